//! Connects programs to a host.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use carrot_core::backend::{
    Backend, Capabilities, ChannelOptions, Clock, Connector, Event, EventObservers, Role, Status,
};
use carrot_core::{ConnectionOptions, Error, Result, Scheme};
use carrot_listener::{lock, wait_until};

use crate::calls::put_request::{put_open, put_update_secret};
use crate::client::backend::ZeroMqBackend;
use crate::client::channel_handle::ZeroMqChannel;
use crate::client::channel_state::LinkChannel;
use crate::client::connecting::{connect, endpoint};
use crate::client::link::Link;
use crate::client::link_shared::LinkShared;
use crate::heartbeat::Heartbeat;

/// The largest frame that RabbitMQ accepts, and the smallest that AMQP allows, in bytes.
const FRAME_MAX: usize = 131_072;
const FRAME_MIN: usize = 4096;

/// Opens channels to one [`BrokerHost`](crate::BrokerHost).
///
/// A connector has one connection at a time for each role, as a driver of RabbitMQ has. Exclusive
/// queues belong to the connection, and are deleted with it. Programs use a connector through
/// `carrot::connect`, which creates one for each `zmq://`, `zmqs://` and `zmq+ipc://` URL.
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
    observers: Arc<EventObservers>,
    publishing: RoleLink,
    consuming: RoleLink,
    known: Mutex<Capabilities>,
    is_closed: Mutex<bool>,
}

/// The current connection of one role.
#[derive(Debug, Default)]
struct RoleLink {
    place: Mutex<LinkPlace>,
    /// Wakes threads that wait while another one opens the connection.
    opened: Condvar,
}

#[derive(Debug, Default)]
struct LinkPlace {
    link: Option<Arc<Link>>,
    /// Whether a thread opens the connection. It holds no lock.
    is_opening: bool,
}

/// The right of one thread to open a connection, until it is dropped.
struct OpeningTurn<'r>(&'r RoleLink);

impl Drop for OpeningTurn<'_> {
    fn drop(&mut self) {
        lock(&self.0.place).is_opening = false;
        self.0.opened.notify_all();
    }
}

impl LinkPlace {
    fn open(&self) -> Option<Arc<Link>> {
        self.link.as_ref().filter(|link| link.shared.is_open()).cloned()
    }
}

impl RoleLink {
    /// Returns the connection, if it is open.
    fn open(&self) -> Option<Arc<Link>> {
        lock(&self.place).open()
    }

    /// Returns the connection, or the right to open one, once no other thread does that. Returns
    /// `None` if the deadline passed first.
    fn open_or_turn(&self, deadline: Instant) -> Option<Result<Arc<Link>, OpeningTurn<'_>>> {
        let mut place = lock(&self.place);
        let mut passed = false;
        loop {
            if let Some(link) = place.open() {
                return Some(Ok(link));
            }
            if !place.is_opening {
                place.is_opening = true;
                return Some(Err(OpeningTurn(self)));
            }
            if passed {
                return None;
            }
            (place, passed) = wait_until(&self.opened, place, deadline);
        }
    }
}

impl ZeroMqConnector {
    /// Creates a connector, and checks its options. Does not connect.
    ///
    /// # Errors
    /// - [`Error::Config`]: an option is out of its limits, is not for this scheme, or the virtual
    ///   host is not `/`; also `zmqs` without the feature `tls`.
    pub fn new(options: &ConnectionOptions) -> Result<ZeroMqConnector> {
        options.validate()?;
        if !matches!(options.scheme, Scheme::Zmq | Scheme::Zmqs | Scheme::ZmqIpc) {
            let reason = format!("must be zmq, zmqs or zmq+ipc, and is {}", options.scheme);
            return Err(Error::config("scheme", reason));
        }
        if options.scheme == Scheme::Zmqs && !cfg!(feature = "tls") {
            let reason = "zmqs needs the feature `tls` of carrot-backend-zeromq";
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
        let started = Instant::now();
        let held = self.role(role);
        let turn = match held.open_or_turn(deadline) {
            Some(Ok(link)) => return Ok((link, false)),
            Some(Err(turn)) => turn,
            None => return Err(Error::timeout("connect", started.elapsed())),
        };
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
        let lost = lock(&held.place).link.replace(Arc::clone(&link));
        drop(turn);
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

    /// Accepts every secret, because a host asks for a password only when a client connects. The
    /// secret itself stays here: a host keeps none.
    fn update_secret(&self, _secret: &str, reason: &str, timeout: Duration) -> Result<()> {
        self.check_open()?;
        let deadline = deadline(timeout);
        for link in [self.publishing.open(), self.consuming.open()].into_iter().flatten() {
            let left = deadline.saturating_duration_since(Instant::now());
            let updated = link.call("updating the secret", left, |out, call| {
                put_update_secret(out, call, "", reason);
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
        let links = [&self.publishing, &self.consuming].map(|held| lock(&held.place).link.take());
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
