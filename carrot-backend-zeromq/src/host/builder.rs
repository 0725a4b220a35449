//! Builds hosts with users and limits.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_core::{Error, Result, Secret};
use carrot_listener::{ServerTls, Users, check_addresses};

use crate::heartbeat::Heartbeat;
use crate::host::running::{BrokerHost, HostSocket, failed};
use crate::host::settings::HostSettings;
#[cfg(unix)]
use crate::host::socket_file::SocketFile;

/// The longest name or password of a user, in bytes.
const LONGEST_NAME: usize = 255;

/// Builds a [`BrokerHost`]. [`BrokerHost::builder`] returns one.
///
/// ```
/// use carrot::memory::Broker;
/// use carrot::zeromq::BrokerHost;
///
/// let host = BrokerHost::builder(&Broker::new())
///     .user("ann", "hush")
///     .max_connections(100)
///     .bind("127.0.0.1:0")?;
/// let url = format!("zmq://ann:hush@{}", host.address().expect("TCP"));
/// let connection = carrot::connect(url)?;
/// # drop(connection);
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct BrokerHostBuilder {
    settings: HostSettings,
    any_interface: bool,
    /// The longest name or password that was added, in bytes.
    longest: usize,
}

impl BrokerHost {
    /// Offers a broker at an address, without users.
    ///
    /// `address` is a host name and a port. Port 0 stands for a free port, which
    /// [`address`](BrokerHost::address) returns. The address has to be of this machine's loopback
    /// interface; [`builder`](BrokerHost::builder) has settings for others.
    ///
    /// # Errors
    /// - [`Error::Config`]: the address is not of the loopback interface.
    /// - [`Error::Backend`]: the address cannot be used, for example because its port is in use.
    pub fn bind(address: impl ToSocketAddrs, broker: &Broker) -> Result<BrokerHost> {
        BrokerHost::builder(broker).bind(address)
    }

    /// Returns a builder, for users and limits.
    pub fn builder(broker: &Broker) -> BrokerHostBuilder {
        BrokerHostBuilder::new(broker)
    }
}

#[cfg(any(test, fuzzing))]
impl From<BrokerHostBuilder> for HostSettings {
    fn from(builder: BrokerHostBuilder) -> HostSettings {
        builder.settings
    }
}

impl BrokerHostBuilder {
    fn new(broker: &Broker) -> BrokerHostBuilder {
        BrokerHostBuilder {
            settings: HostSettings {
                broker: broker.clone(),
                users: Users::default(),
                tls: None,
                heartbeat: Heartbeat::every(Duration::from_secs(5)),
                max_connections: 10_000,
                max_channels: 2047,
                max_unfinished_bytes: 256 << 20,
                memory_limit: 1 << 30,
                max_parked_messages: 10_000,
                max_parked_bytes: 4 << 20,
                handshake_timeout: Duration::from_secs(10),
            },
            any_interface: false,
            longest: 0,
        }
    }

    /// Adds a user, who may do everything. Wrong passwords are answered after a pause of 250
    /// milliseconds. Name and password have at most 255 bytes each.
    ///
    /// Without [`tls`](BrokerHostBuilder::tls), the password is readable on the network.
    ///
    /// Defaults to no user, and every client may connect.
    pub fn user(
        mut self,
        name: impl Into<String>,
        password: impl Into<Secret>,
    ) -> BrokerHostBuilder {
        let (name, password) = (name.into(), password.into());
        self.longest = self.longest.max(name.len()).max(password.reveal().len());
        self.settings.users.add(name, Some(password));
        self
    }

    /// Serves ZMTP over TLS, and nothing else, at the address of the host. Its
    /// [`url`](BrokerHost::url) begins with `zmqs://`.
    ///
    /// Carrot's clients connect with `zmqs://`. Libraries of ZeroMQ have no TLS: a second host
    /// without TLS can offer the same broker to them at another address. The TLS handshake counts
    /// for [`handshake_timeout`](BrokerHostBuilder::handshake_timeout).
    ///
    /// Defaults to ZMTP without TLS.
    ///
    /// ```no_run
    /// use carrot::config::Pem;
    /// use carrot::memory::Broker;
    /// use carrot::zeromq::{BrokerHost, ServerTls};
    ///
    /// let host = BrokerHost::builder(&Broker::new())
    ///     .tls(ServerTls::new(Pem::file("host.pem"), Pem::file("host.key")))
    ///     .user("ann", "hush")
    ///     .allow_other_machines()
    ///     .bind("0.0.0.0:5556")?;
    ///
    /// // On another machine:
    /// let connection = carrot::connect("zmqs://ann:hush@mq.example?cacertfile=ca.pem")?;
    /// # drop((host, connection));
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn tls(mut self, tls: ServerTls) -> BrokerHostBuilder {
        self.settings.tls = Some(tls);
        self
    }

    /// Permits addresses that other machines reach. Without [`tls`](BrokerHostBuilder::tls),
    /// passwords and messages cross the network unencrypted.
    ///
    /// A host for other machines needs users.
    ///
    /// Defaults to addresses of the loopback interface only.
    pub fn allow_other_machines(mut self) -> BrokerHostBuilder {
        self.any_interface = true;
        self
    }

    /// Sets the interval at which the host sends a PING to each client; zero for none.
    ///
    /// A connection is closed after three intervals without an octet of the client. So is one over
    /// which 4 MiB wait for a client that reads none of it for three intervals. Without an
    /// interval, the host keeps both until their sockets are closed.
    ///
    /// A client of ZMTP 3.0 answers no PING. It receives none, and may be silent for any time.
    ///
    /// Defaults to 5 seconds.
    pub fn heartbeat(mut self, interval: Duration) -> BrokerHostBuilder {
        self.settings.heartbeat = Heartbeat::every(interval);
        self
    }

    /// Sets the maximum number of connections. The host closes further sockets at once.
    ///
    /// At most 256 connections at a time can be in the handshake.
    ///
    /// Defaults to 10,000.
    pub fn max_connections(mut self, connections: usize) -> BrokerHostBuilder {
        self.settings.max_connections = connections;
        self
    }

    /// Sets the maximum number of channels of a connection. A channel that failed counts until the
    /// client closes it.
    ///
    /// Defaults to 2,047.
    pub fn max_channels(mut self, channels: usize) -> BrokerHostBuilder {
        self.settings.max_channels = channels;
        self
    }

    /// Sets the maximum size of all messages that have not arrived completely, in bytes, of all
    /// connections together. A connection that exceeds the limit is closed.
    ///
    /// Defaults to 268,435,456 (256 MiB).
    pub fn max_unfinished_bytes(mut self, bytes: usize) -> BrokerHostBuilder {
        self.settings.max_unfinished_bytes = bytes;
        self
    }

    /// Sets the memory of all messages of the broker, in bytes, above which the host blocks
    /// publishers, as RabbitMQ's memory alarm does.
    ///
    /// The message that exceeds the limit is accepted. `usize::MAX` stands for no limit.
    ///
    /// Defaults to 1,073,741,824 (1 GiB).
    pub fn memory_limit(mut self, bytes: usize) -> BrokerHostBuilder {
        self.settings.memory_limit = bytes;
        self
    }

    /// Sets how much each connection may publish while publishers are blocked: a number of
    /// messages, and the bytes of their bodies and properties. The host reads no more from the
    /// connection over either.
    ///
    /// All connections together may hold this much for each of them. A connection that is not read
    /// shows no sign of life, so the host does not find out that its client is lost until
    /// publishers are unblocked.
    ///
    /// Defaults to 10,000 messages and 4,194,304 bytes (4 MiB).
    pub fn max_parked(mut self, messages: usize, bytes: usize) -> BrokerHostBuilder {
        self.settings.max_parked_messages = messages;
        self.settings.max_parked_bytes = bytes;
        self
    }

    /// Sets the time that a client has until its connection is open.
    ///
    /// Defaults to 10 seconds.
    pub fn handshake_timeout(mut self, timeout: Duration) -> BrokerHostBuilder {
        self.settings.handshake_timeout = timeout;
        self
    }

    /// Starts the host at an address, which is a host name and a port. Port 0 stands for a free
    /// port.
    ///
    /// # Errors
    /// - [`Error::Config`]: the address is not of the loopback interface and other machines are not
    ///   allowed, a host for other machines has no user, a name or password is too long, or a
    ///   certificate or key cannot be used; also TLS without the feature `tls`.
    /// - [`Error::Backend`]: the address cannot be used, for example because its port is in use.
    pub fn bind(self, address: impl ToSocketAddrs) -> Result<BrokerHost> {
        self.check()?;
        let addresses: Vec<_> = address
            .to_socket_addrs()
            .map_err(|error| failed("find the address", &error))?
            .collect();
        check_addresses(&addresses, self.any_interface, !self.settings.users.is_empty())?;
        let listener = TcpListener::bind(&*addresses)
            .map_err(|error| failed(&format!("bind {}", listed(&addresses)), &error))?;
        BrokerHost::start(HostSocket::Tcp(listener), self.settings)
    }

    /// Starts the host at a socket of the file system, for clients on the same machine.
    ///
    /// The permissions of the folder and those of the file decide who connects. The file is created
    /// with the umask of the process. [`BrokerHost`] removes the file when it ends, unless another
    /// has its place. A socket at which no program listens, such as that of a host that was killed,
    /// is replaced. Of several hosts that are started at one path at once, one starts: each locks
    /// the folder meanwhile. NFS has no such lock.
    ///
    /// Blocks while other hosts start or end in the same folder, at most for 10 seconds. Any user
    /// can hold the lock of a folder that others can read, such as `/tmp`: use one of your own.
    ///
    /// # Errors
    /// - [`Error::Config`]: a name or password of a user is too long, or the host has TLS.
    /// - [`Error::Backend`]: the path cannot be used, for example because another file is there, or
    ///   another program listens there, or another program holds the lock of the folder.
    #[cfg(unix)]
    pub fn bind_path(self, path: impl AsRef<Path>) -> Result<BrokerHost> {
        self.check()?;
        if self.settings.tls.is_some() {
            let reason = "a socket of the file system has no TLS; its permissions protect it";
            return Err(Error::config("tls", reason));
        }
        let path = path.as_ref();
        let (listener, file) =
            SocketFile::bind(path).map_err(|error| failed(&format!("bind {path:?}"), &error))?;
        BrokerHost::start(HostSocket::Unix(listener, file), self.settings)
    }

    fn check(&self) -> Result<()> {
        if self.longest > LONGEST_NAME {
            let reason = format!(
                "a name or password has {} bytes, and the limit is {LONGEST_NAME}",
                self.longest
            );
            return Err(Error::config("user", reason));
        }
        Ok(())
    }
}

/// Returns the addresses for an error.
fn listed(addresses: &[SocketAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    texts.join(", ")
}
