//! Connects programs to a broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carrot_core::backend::{
    Backend, Capabilities, ChannelOptions, Clock, Connector, Event, EventObservers, Role, Status,
};
use carrot_core::{ConnectionOptions, Error, Result, Scheme};
use carrot_link::{CallDeadline, RoleLinks, on_live_link};

use crate::channel::backend::ActiveMqBackend;
use crate::channel::channel_guard::ChannelGuard;
use crate::channel::dead_letter_sender::DeadLetterSender;
use crate::channel::link_family::LinkFamily;
use crate::channel::link_opening::open_link;
use crate::connection::link_handle::LinkHandle;

/// Opens channels to one broker of Apache ActiveMQ Classic.
///
/// A connector has one connection at a time for each role, and one for dead letters once there are
/// any. Programs use a connector through
/// `carrot::connect`, which creates one for each `activemq://` and `activemq+ssl://` URL.
///
/// Dropping the connector leaves its channels open.
///
/// ```no_run
/// use std::time::Duration;
/// use carrot::ConnectionOptions;
/// use carrot::activemq::ActiveMqConnector;
/// use carrot::backend::{ChannelOptions, Connector};
///
/// let options: ConnectionOptions = "activemq://shop:s3cret@mq.example".parse()?;
/// let connector = ActiveMqConnector::new(&options)?;
/// let channel = connector.open(&ChannelOptions::publish(), Duration::from_secs(10))?;
/// channel.check()?;
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug)]
pub struct ActiveMqConnector {
    options: ConnectionOptions,
    observers: Arc<EventObservers>,
    links: RoleLinks<LinkHandle>,
    family: Arc<LinkFamily>,
    /// Whether the broker of the last connection delays messages.
    delays: AtomicBool,
}

impl ActiveMqConnector {
    /// Creates a connector, and checks its options. Does not connect.
    ///
    /// # Errors
    /// - [`Error::Config`]: an option is out of its limits, is not for this scheme, or the virtual
    ///   host is not `/`; also `activemq+ssl` without the feature `tls`.
    pub fn new(options: &ConnectionOptions) -> Result<ActiveMqConnector> {
        options.validate()?;
        if !matches!(options.scheme, Scheme::ActiveMq | Scheme::ActiveMqSsl) {
            let reason = format!("must be activemq or activemq+ssl, and is {}", options.scheme);
            return Err(Error::config("scheme", reason));
        }
        if options.scheme == Scheme::ActiveMqSsl && !cfg!(feature = "tls") {
            let reason = "activemq+ssl needs the feature `tls` of carrot-backend-activemq";
            return Err(Error::config("scheme", reason));
        }
        Ok(ActiveMqConnector {
            options: options.clone(),
            observers: Arc::default(),
            links: RoleLinks::default(),
            family: Arc::new(LinkFamily::new(DeadLetterSender::new(options))),
            delays: AtomicBool::new(false),
        })
    }

    /// Returns the open connection of a role, or opens one. Also returns whether it was opened now.
    fn link(&self, role: Role, deadline: CallDeadline) -> Result<(Arc<LinkHandle>, bool)> {
        let open = || self.connect_link(role, deadline).map(|link| (link, ()));
        self.links.open(role, deadline, open, |link, ()| {
            link.life.report_open();
            Ok(())
        })
    }

    fn connect_link(&self, role: Role, deadline: CallDeadline) -> Result<Arc<LinkHandle>> {
        let link = open_link(&self.options, role, role, &self.observers, deadline)?;
        self.delays.store(link.scheduler.is_present(), Ordering::Release);
        self.family.add(&link);
        Ok(link)
    }

    fn open_on(
        &self,
        link: &Arc<LinkHandle>,
        options: &ChannelOptions,
        deadline: CallDeadline,
    ) -> Result<Arc<dyn Backend>> {
        let (link, family) = (Arc::clone(link), Arc::clone(&self.family));
        let channel = ChannelGuard::open(
            link,
            family,
            options.confirms,
            options.max_waiting_bytes,
            deadline,
        )?;
        Ok(Arc::new(ActiveMqBackend::new(channel, self.options.max_message_size)))
    }
}

impl Connector for ActiveMqConnector {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        let deadline = CallDeadline::after(timeout);
        let link = || self.link(options.role, deadline);
        on_live_link(link, |link| self.open_on(link, options, deadline))
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.link(role, CallDeadline::after(timeout)).map(drop)
    }

    fn endpoint(&self) -> String {
        self.options.endpoint()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        let deadline = CallDeadline::after(timeout);
        let letters = self.family.letters.as_ref();
        let sent = letters.map_or(Ok(()), |letters| letters.close(deadline));
        sent.and(self.links.close(deadline))
    }

    fn status(&self, role: Role) -> Status {
        Status::new(self.links.current(role).is_some(), None)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.delayed_publish = self.delays.load(Ordering::Acquire);
        capabilities
    }

    fn clock(&self) -> Clock {
        Clock::real()
    }

    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        self.observers.add(observer);
    }
}
