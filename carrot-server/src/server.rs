//! The server: its socket, and the parts that its threads share.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use carrot_backend_memory::session::MemoryLimit;
use carrot_core::{Error, Result};
use carrot_listener::{
    AcceptSettings, ConnectionRegistry, ListenerWaker, MemoryBudget, Registration, ServedBroker,
    ServerThreads, ServerTlsAcceptor, ThreadSettings, reachable,
};

use crate::connection::reader::{self, STACK, ServerContext};
use crate::control::ControlInterface;
use crate::settings::ServerSettings;

/// A broker on a socket, for any AMQP 0-9-1 client.
///
/// The server shows the broker to its clients as RabbitMQ. The program that hosts it can use the
/// same broker directly, inject faults and advance its clock. Dropping the server cuts its
/// connections.
///
/// ```
/// use carrot::memory::Broker;
/// use carrot::server::Server;
///
/// let server = Server::bind("127.0.0.1:0", &Broker::new())?;
/// let connection = carrot::connect(server.url())?;
/// let consumer = connection.consumer("jobs").build()?;
/// connection.publisher().routing_key("jobs").build()?.send("hello")?;
/// let message = consumer.fetch()?.expect("a message");
/// assert_eq!(message.decode::<String>()?, "hello");
/// message.ack()?;
/// # Ok::<(), carrot::Error>(())
/// ```
pub struct Server {
    shared: Arc<ServerShared>,
    threads: ServerThreads<ServerShared>,
    control: Option<ControlInterface>,
}

/// The parts of a server that its threads share.
struct ServerShared {
    waker: ListenerWaker,
    settings: ServerSettings,
    tls: Option<ServerTlsAcceptor>,
    budget: MemoryBudget,
    limit: MemoryLimit,
    registry: Arc<ConnectionRegistry>,
}

impl Server {
    pub(crate) fn start(
        listener: TcpListener,
        settings: ServerSettings,
        control: Option<ControlInterface>,
    ) -> Result<Server> {
        let tls = settings.tls.as_ref().map(ServerTlsAcceptor::new).transpose()?;
        let waker = ListenerWaker::new(&listener).map_err(|error| failed("bind", &error))?;
        let address = waker.address();
        let shared = Arc::new(ServerShared {
            waker,
            tls,
            budget: MemoryBudget::new(settings.max_unfinished_bytes),
            limit: MemoryLimit::new(settings.memory_limit as u64, settings.vhosts.values()),
            settings,
            registry: Arc::default(),
        });
        let connections = AcceptSettings {
            max_connections: shared.settings.max_connections,
            thread_name: "carrot-server-reader",
            stack_bytes: STACK,
        };
        let threads = ThreadSettings {
            accepting: "carrot-server",
            unblocking: "carrot-server-memory",
            connections,
        };
        let threads = ServerThreads::start(&shared, listener, threads)
            .map_err(|error| failed("start a thread", &error))?;
        let server = Server { shared, threads, control };
        let with = if server.shared.tls.is_some() { " with TLS" } else { "" };
        log::info!("serving AMQP 0-9-1{with} at {address}");
        Ok(server)
    }

    /// Returns the address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.shared.waker.address()
    }

    /// Returns the URL of virtual host `/` for user `guest`, with the IP address as its host. With
    /// TLS, the certificate has to be for that address, or the client names another.
    ///
    /// ```
    /// use carrot::memory::Broker;
    /// use carrot::server::Server;
    ///
    /// let server = Server::bind("127.0.0.1:0", &Broker::new())?;
    /// let port = server.address().port();
    /// assert_eq!(server.url(), format!("amqp://guest:guest@127.0.0.1:{port}/%2f"));
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "amqps" } else { "amqp" };
        format!("{scheme}://guest:guest@{}/%2f", reachable(self.address()))
    }

    /// Returns the control interface; `None` if [`ServerBuilder::control`] did not ask for one.
    ///
    /// [`ServerBuilder::control`]: crate::ServerBuilder::control
    ///
    /// ```
    /// use carrot::memory::Broker;
    /// use carrot::server::Server;
    ///
    /// let server = Server::bind("127.0.0.1:0", &Broker::new())?;
    /// assert!(server.control().is_none());
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn control(&self) -> Option<&ControlInterface> {
        self.control.as_ref()
    }

    /// Returns the number of open connections, those in the handshake included.
    pub fn connection_count(&self) -> usize {
        self.shared.registry.count()
    }

    /// Returns the memory of the messages that count for
    /// [`memory_limit`](crate::ServerBuilder::memory_limit), in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.shared.limit.held_bytes()
    }

    /// Stops the server. Clients are asked to close, as RabbitMQ asks them before it shuts down.
    ///
    /// The messages of all channels return to their queues. The broker continues. The control
    /// interface ends first.
    ///
    /// Blocks until all connections are closed, at most for `timeout`. Connections that are open
    /// then are cut, which takes up to 5 seconds more. [`Duration::MAX`] stands for no limit.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: connections were cut.
    pub fn stop(mut self, timeout: Duration) -> Result<()> {
        self.control = None;
        if self.threads.stop(timeout) {
            return Ok(());
        }
        Err(Error::timeout("stopping the server", timeout))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control = None;
        self.threads.cut();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("address", &self.address())
            .field("connections", &self.connection_count())
            .finish_non_exhaustive()
    }
}

impl ServedBroker for ServerShared {
    type Socket = TcpStream;

    fn registry(&self) -> &Arc<ConnectionRegistry> {
        &self.registry
    }

    fn serve(&self, socket: TcpStream, registration: Registration) {
        let refused =
            self.settings.vhosts.values().find_map(|broker| broker.admit_connection().err());
        if let Some(error) = refused {
            log::debug!("a connection was refused by an injected fault: {error}");
            return;
        }
        let context = ServerContext {
            settings: &self.settings,
            tls: self.tls.as_ref(),
            budget: &self.budget,
            registry: &self.registry,
        };
        reader::run(socket, registration, context);
    }

    fn wake_up(&self) -> io::Result<()> {
        self.waker.wake_up()
    }

    fn unblock_publishers(&self) {
        self.limit.run();
    }

    fn end_unblocking(&self) {
        self.limit.end();
    }
}

pub(crate) fn failed(operation: &str, error: &io::Error) -> Error {
    Error::Backend { reason: format!("the server cannot {operation}: {error}"), source: None }
}
