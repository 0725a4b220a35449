//! Connects programs to the broker.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use carrot_core::backend::{
    Backend, Capabilities, ChannelOptions, Clock, Connector, Event, Role, Status,
};
use carrot_core::{ConnectionOptions, Credentials, Error, Result};

use crate::broker::connection::BrokerConnection;
use crate::broker::fault_plan::Operation;
use crate::broker::observers::ConnectorObservers;
use crate::broker::{Broker, BrokerShared, OpenConnection};
use crate::driver::backend::MemoryBackend;
use crate::driver::channel_handle::ChannelHandle;
use crate::sync::{Deadline, lock};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest frame that RabbitMQ accepts, and the smallest that AMQP allows, in bytes.
pub(crate) const FRAME_MAX: usize = 131_072;
const FRAME_MIN: usize = 4096;

/// Returns the user whose id messages may have.
fn user_of(credentials: &Credentials) -> &str {
    match credentials {
        Credentials::Plain { user, .. } => user,
        _ => "guest",
    }
}

/// Opens channels to one [`Broker`], and keeps the broker alive.
///
/// A connector has one connection at a time for each role, as a driver of a remote broker has.
/// Exclusive queues belong to the connection, and are deleted with it. [`Broker::connector`]
/// creates a connector. Opening a channel never blocks, except for an injected delay. Dropping the
/// connector leaves its channels open.
#[derive(Debug)]
pub struct MemoryConnector {
    shared: Arc<BrokerShared>,
    credentials: Credentials,
    name: Arc<str>,
    call_timeout: Duration,
    frame_max: usize,
    observers: Arc<ConnectorObservers>,
    state: Mutex<ConnectorState>,
}

#[derive(Debug, Default)]
struct ConnectorState {
    publishing: Option<Arc<BrokerConnection>>,
    consuming: Option<Arc<BrokerConnection>>,
    closed: bool,
}

impl ConnectorState {
    fn connection(&mut self, role: Role) -> &mut Option<Arc<BrokerConnection>> {
        if role == Role::Publish { &mut self.publishing } else { &mut self.consuming }
    }

    /// Returns the current connection, if it is open.
    fn live(&mut self, role: Role) -> Result<Option<Arc<BrokerConnection>>> {
        if self.closed {
            return Err(Error::closed("connection"));
        }
        Ok(self.connection(role).as_ref().filter(|connection| connection.is_open()).cloned())
    }
}

impl Broker {
    /// Creates a connector of user `guest`, with a call deadline of 30 seconds.
    ///
    /// Exclusive queues belong to one connector.
    pub fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(MemoryConnector::new(self))
    }

    /// Creates a connector with the user, the call deadline, the frame size and the name of
    /// `options`.
    ///
    /// # Errors
    /// [`Error::Authentication`]: the virtual host is not `/`, the only one that exists.
    pub fn connector_with(&self, options: &ConnectionOptions) -> Result<Arc<dyn Connector>> {
        Ok(Arc::new(MemoryConnector::with_options(self, options)?))
    }
}

impl MemoryConnector {
    /// Creates a connector of user `guest`, with a call deadline of 30 seconds.
    pub fn new(broker: &Broker) -> MemoryConnector {
        MemoryConnector {
            shared: Arc::clone(&broker.shared),
            credentials: Credentials::default(),
            name: "".into(),
            call_timeout: CALL_TIMEOUT,
            frame_max: FRAME_MAX,
            observers: Arc::default(),
            state: Mutex::default(),
        }
    }

    /// Creates a connector with the user, the call deadline, the frame size and the name of
    /// `options`.
    ///
    /// The broker uses no frames, but refuses what would not fit into a frame of RabbitMQ.
    ///
    /// # Errors
    /// [`Error::Authentication`]: the virtual host is not `/`.
    pub fn with_options(broker: &Broker, options: &ConnectionOptions) -> Result<MemoryConnector> {
        if options.vhost != "/" {
            return Err(Error::Authentication {
                endpoint: broker.shared.endpoint(),
                user: user_of(&options.credentials).into(),
                reason: format!(
                    "the memory broker has no virtual host {:?}, only \"/\"",
                    options.vhost
                ),
            });
        }
        let plain = MemoryConnector::new(broker);
        let frame_max = match usize::try_from(options.frame_max) {
            Ok(0) | Err(_) => FRAME_MAX,
            Ok(bytes) => bytes.clamp(FRAME_MIN, FRAME_MAX),
        };
        let name = options.name.as_str().into();
        Ok(MemoryConnector {
            credentials: options.credentials.clone(),
            name,
            call_timeout: options.call_timeout,
            frame_max,
            ..plain
        })
    }

    /// Sets the deadline of calls on channels that are opened later.
    ///
    /// Defaults to 30 seconds.
    pub fn set_call_timeout(&mut self, timeout: Duration) {
        self.call_timeout = timeout;
    }

    /// Returns the user of a new connection, and the rest of the timeout.
    fn provide_user(&self, timeout: Duration) -> Result<(Arc<str>, Duration)> {
        let Credentials::Provider(_) = &self.credentials else {
            return Ok((user_of(&self.credentials).into(), timeout));
        };
        let started = Instant::now();
        let credentials = self.credentials.resolve(&self.endpoint(), timeout)?;
        Ok((user_of(&credentials).into(), timeout.saturating_sub(started.elapsed())))
    }

    fn connection(&self, role: Role, timeout: Duration) -> Result<Arc<BrokerConnection>> {
        let live = lock(&self.state).live(role)?;
        if let Some(connection) = live {
            return Ok(connection);
        }
        let (user, timeout) = self.provide_user(timeout)?;
        self.shared.inject_faults(Operation::Connect, None, timeout)?;
        let mut state = lock(&self.state);
        if let Some(connection) = state.live(role)? {
            return Ok(connection);
        }
        let connection =
            BrokerConnection::open(&self.shared, role, &user, &self.name, &self.observers);
        let lost = state.connection(role).replace(Arc::clone(&connection));
        drop(state);
        drop(lost);
        self.observers.notify();
        Ok(connection)
    }
}

impl Connector for MemoryConnector {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        let connection = self.connection(options.role, timeout)?;
        self.shared.inject_faults(Operation::Open, None, timeout)?;
        let channel = connection.open_channel(options.confirms)?;
        let handle = ChannelHandle {
            connection,
            channel,
            call_timeout: self.call_timeout,
            frame_max: self.frame_max,
        };
        Ok(Arc::new(MemoryBackend::new(handle)))
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.connection(role, timeout).map(drop)
    }

    /// Accepts every secret, because no user of the broker has one.
    fn update_secret(&self, _secret: &str, _reason: &str, timeout: Duration) -> Result<()> {
        let deadline = Deadline::after(timeout);
        let mut state = lock(&self.state);
        let open = [state.live(Role::Publish)?, state.live(Role::Consume)?];
        drop(state);
        let update = |connection: Arc<BrokerConnection>| {
            let injected = self.shared.inject_faults(Operation::UpdateSecret, None, timeout);
            if let Err(error @ Error::HardError { .. }) = &injected {
                connection.fail_because_of(None, error);
            }
            injected?;
            if connection.gate.wait_until_read(None, deadline) {
                let lost = || Error::disconnected("the connection was lost meanwhile");
                return if connection.is_open() { Ok(()) } else { Err(lost()) };
            }
            let late = || Error::timeout("updating the secret", timeout);
            Err(connection.gate.reason().map_or_else(late, |reason| Error::Blocked { reason }))
        };
        let results: Vec<_> = open.into_iter().flatten().map(update).collect();
        results.into_iter().collect()
    }

    fn endpoint(&self) -> String {
        self.shared.endpoint()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        let deadline = Deadline::after(timeout);
        let mut state = lock(&self.state);
        state.closed = true;
        let connections = [state.publishing.take(), state.consuming.take()];
        drop(state);
        let mut read = true;
        for connection in connections.into_iter().flatten() {
            read &= connection.gate.wait_until_read(None, deadline);
            connection.fail(Error::closed("connection"));
        }
        if read { Ok(()) } else { Err(Error::timeout("close", timeout)) }
    }

    fn status(&self, role: Role) -> Status {
        let open = lock(&self.state).live(role).ok().flatten();
        Status::new(open.is_some(), open.and_then(|connection| connection.gate.reason()))
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.secret_updates = true;
        capabilities.waiting_queues = true;
        capabilities.quorum_queues = true;
        capabilities.direct_reply_to = true;
        let quorum = &self.shared.rules().quorum;
        capabilities.default_delivery_limit = quorum.default_delivery_limit.is_some();
        capabilities.delayed_retry = quorum.delays_retries;
        capabilities
    }

    fn clock(&self) -> Clock {
        self.shared.clock().pauses()
    }

    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        self.observers.add(observer);
    }
}
