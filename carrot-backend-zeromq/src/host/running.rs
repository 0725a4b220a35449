//! The host: its socket, and the parts that its threads share.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use carrot_backend_memory::session::MemoryLimit;
use carrot_core::{Error, Result};
use carrot_listener::{
    AcceptSettings, ConnectionRegistry, ListenerWaker, MemoryBudget, PeerStream, Registration,
    ServedBroker, ServerThreads, ServerTlsAcceptor, ThreadSettings, reachable,
};

use crate::host::connection::{self, STACK};
use crate::host::peer::HostPeer;

use crate::host::settings::{HostContext, HostSettings};
#[cfg(unix)]
use crate::host::socket_file::SocketFile;
use crate::stream_listener::StreamListener;

/// A broker for other processes, over ZeroMQ's wire protocol.
///
/// The program that hosts the broker can use it directly, too. Dropping the host cuts its
/// connections, which takes as long as in [`stop`](BrokerHost::stop) after its timeout. See the
/// [crate](crate) for an example.
pub struct BrokerHost {
    shared: Arc<HostShared>,
    threads: ServerThreads<HostShared>,
}

/// A socket to listen at.
pub(crate) enum HostSocket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

/// The place where clients find a host.
enum HostPlace {
    Tcp(ListenerWaker),
    #[cfg(unix)]
    Unix(SocketFile),
}

/// The parts of a host that its threads share.
struct HostShared {
    place: HostPlace,
    settings: HostSettings,
    tls: Option<ServerTlsAcceptor>,
    budget: MemoryBudget,
    limit: MemoryLimit,
    registry: Arc<ConnectionRegistry>,
}

impl BrokerHost {
    pub(crate) fn start(socket: HostSocket, settings: HostSettings) -> Result<BrokerHost> {
        let tls = settings.tls.as_ref().map(ServerTlsAcceptor::new).transpose()?;
        let (listener, place) = match socket {
            HostSocket::Tcp(listener) => {
                let waker =
                    ListenerWaker::new(&listener).map_err(|error| failed("bind", &error))?;
                (StreamListener::Tcp(listener), HostPlace::Tcp(waker))
            }
            #[cfg(unix)]
            HostSocket::Unix(listener, file) => {
                (StreamListener::Unix(listener), HostPlace::Unix(file))
            }
        };
        let shared = Arc::new(HostShared {
            place,
            tls,
            budget: MemoryBudget::new(settings.max_unfinished_bytes),
            limit: MemoryLimit::new(settings.memory_limit as u64, [&settings.broker]),
            settings,
            registry: Arc::default(),
        });
        let connections = AcceptSettings {
            max_connections: shared.settings.max_connections,
            thread_name: "carrot-zmq-reader",
            stack_bytes: STACK,
        };
        let threads = ThreadSettings {
            accepting: "carrot-zmq-host",
            unblocking: "carrot-zmq-memory",
            connections,
        };
        let threads = ServerThreads::start(&shared, listener, threads)
            .map_err(|error| failed("start a thread", &error))?;
        let host = BrokerHost { shared, threads };
        log::info!("hosting a broker at {}", host.url());
        Ok(host)
    }

    /// Returns the address that clients connect to; `None` for a socket of the file system.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.shared.place {
            HostPlace::Tcp(waker) => Some(waker.address()),
            #[cfg(unix)]
            HostPlace::Unix(_) => None,
        }
    }

    /// Returns the path of a socket of the file system, from the root; `None` for TCP.
    pub fn path(&self) -> Option<&Path> {
        match &self.shared.place {
            HostPlace::Tcp(_) => None,
            #[cfg(unix)]
            HostPlace::Unix(file) => Some(file.path()),
        }
    }

    /// Returns the URL that clients connect to, without user and password, and with the IP address
    /// as its host. With TLS, the certificate has to be for that address, or the client names
    /// another.
    ///
    /// ```
    /// use carrot::memory::Broker;
    /// use carrot::zeromq::BrokerHost;
    ///
    /// let host = BrokerHost::bind("127.0.0.1:0", &Broker::new())?;
    /// assert!(host.url().starts_with("zmq://127.0.0.1:"));
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn url(&self) -> String {
        match &self.shared.place {
            HostPlace::Tcp(waker) => {
                let scheme = if self.shared.tls.is_some() { "zmqs" } else { "zmq" };
                format!("{scheme}://{}", reachable(waker.address()))
            }
            #[cfg(unix)]
            HostPlace::Unix(file) => format!("zmq+ipc://{}", file.escaped()),
        }
    }

    /// Returns the number of open connections, those in the handshake included.
    pub fn connection_count(&self) -> usize {
        self.shared.registry.count()
    }

    /// Returns the memory of the messages that count for
    /// [`memory_limit`](crate::BrokerHostBuilder::memory_limit), in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.shared.limit.held_bytes()
    }

    /// Stops the host. Clients are told, and close their connections.
    ///
    /// The messages of all channels return to their queues. The broker continues.
    ///
    /// Blocks until all connections are closed, at most for `timeout`. Connections that are open
    /// then are cut, which takes up to 5 seconds more. [`Duration::MAX`] stands for no limit.
    /// Removing a socket of the file system takes up to 10 seconds more while another program holds
    /// the lock of its folder.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: connections were cut.
    pub fn stop(mut self, timeout: Duration) -> Result<()> {
        if self.threads.stop(timeout) {
            return Ok(());
        }
        Err(Error::timeout("stopping the host", timeout))
    }
}

impl Drop for BrokerHost {
    fn drop(&mut self) {
        self.threads.cut();
        // A thread that ends at this moment may still share the place.
        #[cfg(unix)]
        if let HostPlace::Unix(file) = &self.shared.place {
            file.remove();
        }
    }
}

impl fmt::Debug for BrokerHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BrokerHost")
            .field("url", &self.url())
            .field("connections", &self.connection_count())
            .finish_non_exhaustive()
    }
}

impl ServedBroker for HostShared {
    type Socket = PeerStream;

    fn registry(&self) -> &Arc<ConnectionRegistry> {
        &self.registry
    }

    fn serve(&self, stream: PeerStream, registration: Registration) {
        if let Err(error) = self.settings.broker.admit_connection() {
            return log::debug!("a connection was refused by an injected fault: {error}");
        }
        let context = HostContext {
            settings: &self.settings,
            tls: self.tls.as_ref(),
            budget: &self.budget,
            registry: &self.registry,
        };
        match HostPeer::new(stream, self.settings.heartbeat) {
            Ok(peer) => connection::run(peer, registration, context),
            Err(error) => log::debug!("a connection was lost: {error}"),
        }
    }

    fn wake_up(&self) -> io::Result<()> {
        match &self.place {
            HostPlace::Tcp(waker) => waker.wake_up(),
            #[cfg(unix)]
            HostPlace::Unix(file) => file.wake_up(),
        }
    }

    fn unblock_publishers(&self) {
        self.limit.run();
    }

    fn end_unblocking(&self) {
        self.limit.end();
    }
}

pub(crate) fn failed(operation: &str, error: &io::Error) -> Error {
    Error::Backend { reason: format!("the host cannot {operation}: {error}"), source: None }
}
