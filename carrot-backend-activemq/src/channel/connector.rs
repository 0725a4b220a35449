//! Connects programs to a broker.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use carrot_core::backend::{
    Backend, Capabilities, ChannelOptions, Clock, Connector, Event, EventObservers, Role, Status,
};
use carrot_core::{ConnectionOptions, Error, Result, Scheme};
use carrot_listener::{lock, wait_until};

use crate::channel::backend::ActiveMqBackend;
use crate::channel::channel_guard::ChannelGuard;
use crate::channel::link_family::LinkFamily;
use crate::connection::connecting::{connect, endpoint};
use crate::connection::deadline::CallDeadline;
use crate::connection::link_handle::LinkHandle;

/// Opens channels to one broker of Apache ActiveMQ Classic.
///
/// A connector has one connection at a time for each role. Programs use a connector through
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
    publishing: BrokerRole,
    consuming: BrokerRole,
    family: Arc<LinkFamily>,
    is_closed: Mutex<bool>,
}

/// The current connection of one role.
#[derive(Debug, Default)]
struct BrokerRole {
    place: Mutex<BrokerPlace>,
    /// Wakes threads that wait while another one opens the connection.
    opened: Condvar,
}

#[derive(Debug, Default)]
struct BrokerPlace {
    link: Option<Arc<LinkHandle>>,
    /// Whether a thread opens the connection. It holds no lock.
    is_opening: bool,
}

/// The right of one thread to open a connection, until it is dropped.
struct ConnectingTurn<'r>(&'r BrokerRole);

impl Drop for ConnectingTurn<'_> {
    fn drop(&mut self) {
        lock(&self.0.place).is_opening = false;
        self.0.opened.notify_all();
    }
}

impl BrokerPlace {
    fn open(&self) -> Option<Arc<LinkHandle>> {
        self.link.as_ref().filter(|link| link.is_open()).cloned()
    }
}

impl BrokerRole {
    /// Returns the connection, if it is open.
    fn open(&self) -> Option<Arc<LinkHandle>> {
        lock(&self.place).open()
    }

    /// Returns the connection, or the right to open one, once no other thread does that. Returns
    /// `None` if the deadline passed first.
    fn open_or_turn(
        &self,
        deadline: Instant,
    ) -> Option<Result<Arc<LinkHandle>, ConnectingTurn<'_>>> {
        let mut place = lock(&self.place);
        let mut passed = false;
        loop {
            if let Some(link) = place.open() {
                return Some(Ok(link));
            }
            if !place.is_opening {
                place.is_opening = true;
                return Some(Err(ConnectingTurn(self)));
            }
            if passed {
                return None;
            }
            (place, passed) = wait_until(&self.opened, place, deadline);
        }
    }
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
            publishing: BrokerRole::default(),
            consuming: BrokerRole::default(),
            family: Arc::default(),
            is_closed: Mutex::new(false),
        })
    }

    fn role(&self, role: Role) -> &BrokerRole {
        if role == Role::Publish { &self.publishing } else { &self.consuming }
    }

    fn check_open(&self) -> Result<()> {
        if *lock(&self.is_closed) { Err(Error::closed("connection")) } else { Ok(()) }
    }

    /// Returns the open connection of a role, or opens one. Also returns whether it was opened now.
    fn link(&self, role: Role, deadline: CallDeadline) -> Result<(Arc<LinkHandle>, bool)> {
        self.check_open()?;
        let held = self.role(role);
        let turn = match held.open_or_turn(deadline.at()) {
            Some(Ok(link)) => return Ok((link, false)),
            Some(Err(turn)) => turn,
            None => return Err(deadline.late("connect")),
        };
        self.check_open()?;
        let name = connection_name(&self.options.name, role);
        let greeted = connect(&self.options, &name, deadline.left())?;
        let link = LinkHandle::start(role, name, greeted, &self.observers, deadline)?;
        let link = Arc::new(link);
        let lost = lock(&held.place).link.replace(Arc::clone(&link));
        self.family.add(&link);
        drop(turn);
        drop(lost);
        // An observer of the event finds the connection open.
        link.report_open();
        // The connector may have been closed meanwhile.
        if let Err(error) = self.check_open() {
            link.fail(&error);
            return Err(error);
        }
        Ok((link, true))
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

/// Returns a name that no other connection to the broker has.
fn connection_name(name: &str, role: Role) -> String {
    // Each state has random keys.
    let random = || RandomState::new().build_hasher().finish();
    let name = if name.is_empty() { "carrot" } else { name };
    let plain = |character: char| match character {
        character if character.is_ascii_alphanumeric() => character,
        _ => '-',
    };
    let name: String = name.chars().take(40).map(plain).collect();
    format!("{name}-{role}-{:016x}{:016x}", random(), random())
}

impl Connector for ActiveMqConnector {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        let deadline = CallDeadline::after(timeout);
        let (link, is_new) = self.link(options.role, deadline)?;
        match self.open_on(&link, options, deadline) {
            // The connection was lost, and no call had found out.
            Err(error) if !is_new && error.is_disconnected() && !link.is_open() => {
                let (link, _) = self.link(options.role, deadline)?;
                self.open_on(&link, options, deadline)
            }
            opened => opened,
        }
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.link(role, CallDeadline::after(timeout)).map(drop)
    }

    fn endpoint(&self) -> String {
        endpoint(&self.options)
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        *lock(&self.is_closed) = true;
        let deadline = CallDeadline::after(timeout);
        let links = [&self.publishing, &self.consuming].map(|held| lock(&held.place).link.take());
        let mut closed = Ok(());
        for link in links.into_iter().flatten() {
            closed = closed.and(link.close(deadline.left()));
        }
        closed
    }

    fn status(&self, role: Role) -> Status {
        Status::new(self.role(role).open().is_some(), None)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn clock(&self) -> Clock {
        Clock::real()
    }

    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        self.observers.add(observer);
    }
}
