//! Connects programs to a host.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use carrot_core::backend::{
    Backend, Capabilities, ChannelOptions, Clock, Connector, Event, Role, Status,
};
use carrot_core::{ConnectionOptions, Error, Result, Scheme};
use carrot_listener::lock;

use crate::calls::request::{put_open, put_update_secret};
use crate::client::backend::ZeroMqBackend;
use crate::client::channel_handle::ZeroMqChannel;
use crate::client::channel_state::LinkChannel;
use crate::client::connecting::{connect, endpoint};
use crate::client::link::Link;
use crate::client::link_shared::LinkShared;
use crate::client::observers::LinkObservers;
use crate::heartbeat::Heartbeat;

/// The largest frame that RabbitMQ accepts, and the smallest that AMQP allows, in bytes.
const FRAME_MAX: usize = 131_072;
const FRAME_MIN: usize = 4096;

/// Opens channels to one [`BrokerHost`](crate::BrokerHost).
///
/// A connector has one connection at a time for each role, as a driver of RabbitMQ has. Exclusive
/// queues belong to the connection, and are deleted with it. Programs use a connector through
/// `carrot::connect`, which creates one for each `zmq://` and `zmq+ipc://` URL.
///
/// Dropping the connector leaves its channels open.
///
/// ```
/// use std::time::Duration;
/// use carrot::ConnectionOptions;
/// use carrot::backend::{ChannelOptions, Connector};
/// use carrot::memory::Broker;
/// use carrot::zeromq::{BrokerHost, ZeroMqConnector};
///
/// let host = BrokerHost::bind("127.0.0.1:0", &Broker::new())?;
/// let options: ConnectionOptions = host.url().parse()?;
/// let connector = ZeroMqConnector::new(&options)?;
/// let channel = connector.open(&ChannelOptions::publish(), Duration::from_secs(10))?;
/// channel.check()?;
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug)]
pub struct ZeroMqConnector {
    options: ConnectionOptions,
    frame_max: usize,
    observers: Arc<LinkObservers>,
    publishing: RoleLink,
    consuming: RoleLink,
    known: Mutex<Capabilities>,
    is_closed: Mutex<bool>,
}

/// The current connection of one role.
#[derive(Debug, Default)]
struct RoleLink {
    link: Mutex<Option<Arc<Link>>>,
    /// Held while a connection opens, so that no second one does. Calls that only look do not wait.
    opening: Mutex<()>,
}

impl RoleLink {
    /// Returns the connection, if it is open.
    fn open(&self) -> Option<Arc<Link>> {
        lock(&self.link).as_ref().filter(|link| link.shared.is_open()).cloned()
    }
}

impl ZeroMqConnector {
    /// Creates a connector, and checks its options. Does not connect.
    ///
    /// # Errors
    /// - [`Error::Config`]: an option is out of its limits, is not for this scheme, or the virtual
    ///   host is not `/`.
    pub fn new(options: &ConnectionOptions) -> Result<ZeroMqConnector> {
        options.validate()?;
        if !matches!(options.scheme, Scheme::Zmq | Scheme::ZmqIpc) {
            let reason = format!("must be zmq or zmq+ipc, and is {}", options.scheme);
            return Err(Error::config("scheme", reason));
        }
        let frame_max = usize::try_from(options.frame_max).unwrap_or(FRAME_MAX);
        Ok(ZeroMqConnector {
            options: options.clone(),
            frame_max: frame_max.clamp(FRAME_MIN, FRAME_MAX),
            observers: Arc::default(),
            publishing: RoleLink::default(),
            consuming: RoleLink::default(),
            known: Mutex::default(),
            is_closed: Mutex::new(false),
        })
    }

    fn role(&self, role: Role) -> &RoleLink {
        if role == Role::Publish { &self.publishing } else { &self.consuming }
    }

    fn check_open(&self) -> Result<()> {
        if *lock(&self.is_closed) { Err(Error::closed("connection")) } else { Ok(()) }
    }

    /// Returns the open connection of a role, or opens one. Also returns whether it was opened now.
    fn link(&self, role: Role, deadline: Instant) -> Result<(Arc<Link>, bool)> {
        self.check_open()?;
        let place = self.role(role);
        if let Some(link) = place.open() {
            return Ok((link, false));
        }
        let opening = lock(&place.opening);
        if let Some(link) = place.open() {
            return Ok((link, false));
        }
        self.check_open()?;
        let name = match &*self.options.name {
            "" => String::new(),
            name => format!("{name} ({role})"),
        };
        let timeout = deadline.saturating_duration_since(Instant::now());
        let (input, traits) = connect(&self.options, &name, timeout)?;
        let heartbeat = Heartbeat::every(self.options.heartbeat / 2);
        let (stream, input) = input.split();
        let shared = LinkShared::new(role, self.endpoint(), stream, heartbeat, &self.observers);
        let link = Link::new(shared, traits);
        *lock(&self.known) = traits.capabilities;
        let link = Arc::new(link);
        let lost = lock(&place.link).replace(Arc::clone(&link));
        drop(opening);
        drop(lost);
        // An observer of the event finds the connection open.
        link.start(input)?;
        // The connector may have been closed meanwhile.
        if let Err(error) = self.check_open() {
            link.shared.fail(&error);
            return Err(error);
        }
        Ok((link, true))
    }

    fn open_on(
        &self,
        link: &Arc<Link>,
        options: &ChannelOptions,
        deadline: Instant,
    ) -> Result<Arc<dyn Backend>> {
        let max_waiting = options.max_waiting_bytes.unwrap_or_default();
        let number = link.next_channel();
        let channel = Arc::new(LinkChannel::new(number, options.confirms, max_waiting));
        link.shared.add_channel(&channel)?;
        let handle = ZeroMqChannel { link: Arc::clone(link), channel, frame_max: self.frame_max };
        let left = deadline.saturating_duration_since(Instant::now());
        let (role, confirms) = (options.role, options.confirms);
        handle.call("open", left, |out, channel, call| {
            put_open(out, channel, call, role, confirms, max_waiting);
        })?;
        Ok(Arc::new(ZeroMqBackend::new(handle)))
    }
}

fn deadline(timeout: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + timeout.min(LONGEST)
}

impl Connector for ZeroMqConnector {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        let deadline = deadline(timeout);
        let (link, is_new) = self.link(options.role, deadline)?;
        match self.open_on(&link, options, deadline) {
            // The connection was lost, and no call had found out.
            Err(error) if !is_new && error.is_disconnected() && !link.shared.is_open() => {
                let (link, _) = self.link(options.role, deadline)?;
                self.open_on(&link, options, deadline)
            }
            opened => opened,
        }
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.link(role, deadline(timeout)).map(drop)
    }

    /// Accepts every secret, because a host asks for a password only when a client connects.
    fn update_secret(&self, secret: &str, reason: &str, timeout: Duration) -> Result<()> {
        self.check_open()?;
        let deadline = deadline(timeout);
        for link in [self.publishing.open(), self.consuming.open()].into_iter().flatten() {
            let left = deadline.saturating_duration_since(Instant::now());
            let updated = link.call("updating the secret", left, |out, call| {
                put_update_secret(out, call, secret, reason);
            });
            match (updated, link.shared.blocked()) {
                (Err(Error::Timeout { .. }), Some(reason)) => {
                    return Err(Error::Blocked { reason });
                }
                (updated, _) => drop(updated?),
            }
        }
        Ok(())
    }

    fn endpoint(&self) -> String {
        endpoint(&self.options)
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        *lock(&self.is_closed) = true;
        let deadline = deadline(timeout);
        let links = [&self.publishing, &self.consuming].map(|place| lock(&place.link).take());
        let mut closed = Ok(());
        for link in links.into_iter().flatten() {
            let left = deadline.saturating_duration_since(Instant::now());
            closed = closed.and(link.close(left));
        }
        closed
    }

    fn status(&self, role: Role) -> Status {
        let link = self.role(role).open();
        Status::new(link.is_some(), link.and_then(|link| link.shared.blocked()))
    }

    fn capabilities(&self) -> Capabilities {
        *lock(&self.known)
    }

    fn clock(&self) -> Clock {
        Clock::real()
    }

    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        self.observers.add(observer);
    }
}
