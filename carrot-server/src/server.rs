//! The server: its socket, and the thread that accepts connections.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use carrot_backend_memory::session::MemoryLimit;
use carrot_core::{Error, Result};
use carrot_listener::{
    AcceptSettings, ConnectionRegistry, MemoryBudget, Registration, ServerTlsAcceptor, accept_all,
};

use crate::connection::reader::{self, STACK, ServerContext};
use crate::control::ControlInterface;
use crate::settings::ServerSettings;

/// The time that threads have to end after their sockets were closed.
const CUT_TIMEOUT: Duration = Duration::from_secs(5);

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
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
    unblocking: Option<JoinHandle<()>>,
    control: Option<ControlInterface>,
}

/// The parts of a server that its threads share.
struct ServerShared {
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
        let address = listener.local_addr().map_err(|error| failed("bind", &error))?;
        let shared = Arc::new(ServerShared {
            tls,
            budget: MemoryBudget::new(settings.max_unfinished_bytes),
            limit: MemoryLimit::new(settings.memory_limit as u64, settings.vhosts.values()),
            settings,
            registry: Arc::default(),
        });
        let mut server = Server { shared, address, accepting: None, unblocking: None, control };
        let limited = Arc::clone(&server.shared);
        server.unblocking = Some(start("carrot-server-memory", move || limited.limit.run())?);
        let accepted = Arc::clone(&server.shared);
        server.accepting = Some(start("carrot-server", move || accept(&listener, &accepted))?);
        let with = if server.shared.tls.is_some() { " with TLS" } else { "" };
        log::info!("serving AMQP 0-9-1{with} at {address}");
        Ok(server)
    }

    /// Returns the address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
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
        format!("{scheme}://guest:guest@{}/%2f", reachable(self.address))
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
    /// then are cut. [`Duration::MAX`] stands for no limit.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: connections were cut.
    pub fn stop(mut self, timeout: Duration) -> Result<()> {
        self.control = None;
        let registry = Arc::clone(&self.shared.registry);
        registry.stop(|connection| connection.request_close());
        self.end_accepting();
        let closed = registry.wait_until_empty(timeout);
        self.cut();
        if closed { Ok(()) } else { Err(Error::timeout("stopping the server", timeout)) }
    }

    /// Closes all sockets, and waits for the threads.
    fn cut(&mut self) {
        self.control = None;
        let registry = &self.shared.registry;
        registry.stop(|connection| connection.cut());
        self.end_accepting();
        let registry = &self.shared.registry;
        if !registry.wait_until_empty(CUT_TIMEOUT) {
            log::warn!("{} connections of a server that ends are still busy", registry.count());
        }
        self.shared.limit.end();
        if self.unblocking.take().is_some_and(|unblocking| unblocking.join().is_err()) {
            log::error!("the thread that unblocks publishers panicked");
        }
    }

    /// Ends the thread that accepts connections. The registry admits no more.
    fn end_accepting(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        // The thread waits for a connection, and finds that the server stops.
        if let Err(error) = TcpStream::connect(reachable(self.address)) {
            log::debug!("the thread that accepts connections may not have ended: {error}");
            return;
        }
        if accepting.join().is_err() {
            log::error!("the thread that accepts connections panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cut();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("address", &self.address)
            .field("connections", &self.connection_count())
            .finish_non_exhaustive()
    }
}

/// Starts a thread of the server.
fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(name.into())
        .stack_size(STACK)
        .spawn(run)
        .map_err(|error| failed("start a thread", &error))
}

/// Accepts connections until the server stops.
fn accept(listener: &TcpListener, shared: &Arc<ServerShared>) {
    let settings = AcceptSettings {
        max_connections: shared.settings.max_connections,
        thread_name: "carrot-server-reader",
        stack_bytes: STACK,
    };
    let served = Arc::clone(shared);
    accept_all(listener, &shared.registry, settings, move |socket, registration| {
        served.serve(socket, registration);
    });
}

impl ServerShared {
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
}

/// Returns an address of this machine at which a server is reached that listens at `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

pub(crate) fn failed(operation: &str, error: &io::Error) -> Error {
    Error::Backend { reason: format!("the server cannot {operation}: {error}"), source: None }
}
