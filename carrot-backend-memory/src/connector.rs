//! How a program reaches the broker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrot_core::backend::{
    Backend, Capabilities, ChannelOptions, Clock, Connector, Event, Role, Status,
};
use carrot_core::{ConnectionOptions, Credentials, Error, Result};

use crate::backend::MemoryBackend;
use crate::broker::{Broker, Core};
use crate::connection::Connection;
use crate::faults::Operation;
use crate::handle::Handle;
use crate::observers::Observers;
use crate::sync::{Deadline, lock};

const SOON: Duration = Duration::from_secs(30);
/// The largest frame that RabbitMQ agrees to, and the smallest that AMQP does.
const FRAME_MAX: usize = 131_072;
const FRAME_MIN: usize = 4096;

/// Makes channels to one [`Broker`], and holds it alive.
///
/// A connector has one connection at a time for each role, as a driver that reaches a broker has: exclusive queues belong to it, and go with it.
/// [`Broker::connector`] makes one; opening never blocks, unless a fault says so. Dropping it leaves the channels that it opened open.
#[derive(Debug)]
pub struct MemoryConnector {
    core: Arc<Core>,
    user: Arc<str>,
    name: Arc<str>,
    call_timeout: Duration,
    frame_max: usize,
    observers: Arc<Observers>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    publishing: Option<Arc<Connection>>,
    consuming: Option<Arc<Connection>>,
    closed: bool,
}

impl State {
    fn connection(&mut self, role: Role) -> &mut Option<Arc<Connection>> {
        match role {
            Role::Publish => &mut self.publishing,
            Role::Consume => &mut self.consuming,
        }
    }

    /// The connection that there is, if it is open.
    fn live(&mut self, role: Role) -> Result<Option<Arc<Connection>>> {
        if self.closed {
            return Err(Error::closed("connection"));
        }
        Ok(self.connection(role).as_ref().filter(|connection| connection.is_open()).cloned())
    }
}

impl MemoryConnector {
    /// A connector of user `guest`, with a call deadline of 30 seconds.
    pub fn new(broker: &Broker) -> MemoryConnector {
        MemoryConnector {
            core: Arc::clone(&broker.core),
            user: "guest".into(),
            name: "".into(),
            call_timeout: SOON,
            frame_max: FRAME_MAX,
            observers: Arc::default(),
            state: Mutex::default(),
        }
    }

    /// A connector with the user, the call deadline, the frame size and the name of `options`. There are no frames here, but what would
    /// not fit one on its way to RabbitMQ is refused in the same way.
    ///
    /// # Errors
    /// [`Error::Authentication`] if the virtual host is another than `/`.
    pub fn with_options(broker: &Broker, options: &ConnectionOptions) -> Result<MemoryConnector> {
        let user = match &options.credentials {
            Credentials::Plain { user, .. } => user.as_str(),
            Credentials::External => "guest",
        };
        if options.vhost != "/" {
            return Err(Error::Authentication {
                endpoint: broker.core.endpoint(),
                user: user.into(),
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
            user: user.into(),
            name,
            call_timeout: options.call_timeout,
            frame_max,
            ..plain
        })
    }

    /// Changes the deadline of calls on channels opened from now on. Defaults to 30 seconds.
    pub fn set_call_timeout(&mut self, timeout: Duration) {
        self.call_timeout = timeout;
    }

    fn connection(&self, role: Role, timeout: Duration) -> Result<Arc<Connection>> {
        let live = lock(&self.state).live(role)?;
        if let Some(connection) = live {
            return Ok(connection);
        }
        self.core.meet(Operation::Connect, None, timeout)?;
        let mut state = lock(&self.state);
        if let Some(connection) = state.live(role)? {
            return Ok(connection);
        }
        let connection =
            Connection::open(&self.core, role, &self.user, &self.name, &self.observers);
        let lost = state.connection(role).replace(Arc::clone(&connection));
        drop(state);
        drop(lost);
        self.observers.tell();
        Ok(connection)
    }
}

impl Connector for MemoryConnector {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        let connection = self.connection(options.role, timeout)?;
        self.core.meet(Operation::Open, None, timeout)?;
        let channel = connection.open_channel(options.confirms)?;
        let handle = Handle {
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

    fn endpoint(&self) -> String {
        self.core.endpoint()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        let deadline = Deadline::after(timeout);
        let mut state = lock(&self.state);
        state.closed = true;
        let connections = [state.publishing.take(), state.consuming.take()];
        drop(state);
        let mut read = true;
        for connection in connections.into_iter().flatten() {
            read &= connection.throttle.wait_read(None, deadline);
            connection.fail(Error::closed("connection"));
        }
        if read { Ok(()) } else { Err(Error::timeout("close", timeout)) }
    }

    fn status(&self, role: Role) -> Status {
        let open = lock(&self.state).live(role).ok().flatten();
        Status::new(open.is_some(), open.and_then(|connection| connection.throttle.blocked()))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            waiting_queues: true,
            quorum_queues: true,
            default_delivery_limit: false,
            declarations_settle_in: Duration::ZERO,
        }
    }

    fn clock(&self) -> Clock {
        self.core.clock.pauses()
    }

    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        self.observers.add(observer);
    }
}
