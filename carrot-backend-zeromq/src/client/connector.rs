//! Connects programs to a host.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrot_core::backend::{
    Backend, Capabilities, ChannelOptions, Clock, Connector, Event, EventObservers, Role, Status,
};
use carrot_core::{ConnectionOptions, Error, Result, Scheme};
use carrot_link::{CallDeadline, LinkLife, RoleLinks, on_live_link};
use carrot_listener::lock;

use crate::calls::put_request::{put_open, put_update_secret};
use crate::client::backend::ZeroMqBackend;
use crate::client::channel_handle::ZeroMqChannel;
use crate::client::channel_state::LinkChannel;
use crate::client::connecting::connect;
use crate::client::link::Link;
use crate::client::link_reader::LinkReadState;
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
    links: RoleLinks<Link>,
    known: Mutex<Capabilities>,
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
            links: RoleLinks::default(),
            known: Mutex::default(),
        })
    }

    /// Returns the open connection of a role, or opens one. Also returns whether it was opened now.
    fn link(&self, role: Role, deadline: CallDeadline) -> Result<(Arc<Link>, bool)> {
        let open = || self.connect_link(role, deadline);
        self.links.open(role, deadline, open, |link, input| link.start(input))
    }

    fn connect_link(
        &self,
        role: Role,
        deadline: CallDeadline,
    ) -> Result<(Arc<Link>, LinkReadState)> {
        let name = match &*self.options.name {
            "" => String::new(),
            name => format!("{name} ({role})"),
        };
        let (input, traits) = connect(&self.options, &name, deadline.left())?;
        let heartbeat = Heartbeat::every(self.options.heartbeat / 2);
        let (stream, input) = input.split();
        let life = LinkLife::new(role, self.endpoint(), &self.observers);
        let link = Link::new(LinkShared::new(stream, heartbeat, life), traits);
        *lock(&self.known) = traits.capabilities;
        Ok((Arc::new(link), input))
    }

    fn open_on(
        &self,
        link: &Arc<Link>,
        options: &ChannelOptions,
        deadline: CallDeadline,
    ) -> Result<Arc<dyn Backend>> {
        let max_waiting = options.max_waiting_bytes.unwrap_or_default();
        let number = link.next_channel();
        let channel = Arc::new(LinkChannel::new(number, options.confirms, max_waiting));
        link.shared.add_channel(&channel)?;
        let handle = ZeroMqChannel { link: Arc::clone(link), channel, frame_max: self.frame_max };
        let (role, confirms) = (options.role, options.confirms);
        handle.call("open", deadline.left(), |out, channel, call| {
            put_open(out, channel, call, role, confirms, max_waiting);
        })?;
        Ok(Arc::new(ZeroMqBackend::new(handle)))
    }
}

impl Connector for ZeroMqConnector {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        let deadline = CallDeadline::after(timeout);
        let link = || self.link(options.role, deadline);
        on_live_link(link, |link| self.open_on(link, options, deadline))
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.link(role, CallDeadline::after(timeout)).map(drop)
    }

    /// Accepts every secret, because a host asks for a password only when a client connects. The
    /// secret itself stays here: a host keeps none.
    fn update_secret(&self, _secret: &str, reason: &str, timeout: Duration) -> Result<()> {
        self.links.check_open()?;
        let deadline = CallDeadline::after(timeout);
        let roles = [Role::Publish, Role::Consume];
        for link in roles.into_iter().filter_map(|role| self.links.current(role)) {
            let updated = link.call("updating the secret", deadline.left(), |out, call| {
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
        self.options.endpoint()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        self.links.close(CallDeadline::after(timeout))
    }

    fn status(&self, role: Role) -> Status {
        let link = self.links.current(role);
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
