//! Builds servers with users, virtual hosts and limits.

use std::collections::BTreeMap;
use std::net::{TcpListener, ToSocketAddrs};
use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_core::{Error, Result, Secret};
use carrot_listener::{ServerTls, Users, check_addresses};

use crate::control::ControlInterface;
use crate::server::{Server, failed};
use crate::settings::{FRAME_MIN, ServerSettings};

/// The longest name of a virtual host or a user, in bytes.
const LONGEST_NAME: usize = 255;

/// Builds a [`Server`]. [`Server::builder`] returns one.
///
/// ```
/// use carrot::memory::Broker;
/// use carrot::server::Server;
///
/// let (blue, green) = (Broker::new(), Broker::new());
/// let server = Server::builder(&blue)
///     .vhost("green", &green)
///     .user("ann", "hush")
///     .max_connections(100)
///     .bind("127.0.0.1:0")?;
/// # drop(server);
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ServerBuilder {
    settings: ServerSettings,
    any_interface: bool,
    control: Option<String>,
}

impl Server {
    /// Serves a broker as virtual host `/`, for user `guest` with password `guest`.
    ///
    /// `address` is a host and a port. Port 0 stands for a free port, which
    /// [`address`](Server::address) returns. The address has to be of this machine's loopback
    /// interface; [`builder`](Server::builder) has settings for others.
    ///
    /// # Errors
    /// - [`Error::Config`]: the address is not of the loopback interface.
    /// - [`Error::Backend`]: the address cannot be used, for example because its port is in use.
    pub fn bind(address: impl ToSocketAddrs, broker: &Broker) -> Result<Server> {
        Server::builder(broker).bind(address)
    }

    /// Returns a builder, for users, virtual hosts and limits.
    pub fn builder(broker: &Broker) -> ServerBuilder {
        ServerBuilder::new(broker)
    }
}

impl ServerBuilder {
    fn new(broker: &Broker) -> ServerBuilder {
        ServerBuilder {
            settings: ServerSettings {
                vhosts: BTreeMap::from([("/".to_string(), broker.clone())]),
                users: Users::default(),
                tls: None,
                channel_max: 2047,
                frame_max: 131_072,
                heartbeat: 60,
                max_connections: 10_000,
                max_unfinished_bytes: 256 << 20,
                memory_limit: 1 << 30,
                handshake_timeout: Duration::from_secs(10),
            },
            any_interface: false,
            control: None,
        }
    }

    /// Serves another broker as a virtual host of this name, or replaces the broker of `/`.
    ///
    /// Defaults to the virtual host `/` only.
    pub fn vhost(mut self, name: impl Into<String>, broker: &Broker) -> ServerBuilder {
        self.settings.vhosts.insert(name.into(), broker.clone());
        self
    }

    /// Adds a user, who may do everything in every virtual host. Wrong passwords are answered after
    /// a pause of 250 milliseconds.
    ///
    /// Defaults to the user `guest` with the password `guest`, as long as no user is added.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<Secret>) -> ServerBuilder {
        self.settings.users.add(name.into(), Some(password.into()));
        self
    }

    /// Adds a user without a password, who logs in with a client certificate (mechanism EXTERNAL).
    ///
    /// The user is the common name of the certificate, as on RabbitMQ with `ssl_cert_login_from =
    /// common_name`. Several common names are joined with commas. The certificate has to be of a
    /// [`client_authority`](ServerTls::client_authority). A user that [`user`](ServerBuilder::user)
    /// added may log in with such a certificate, too.
    ///
    /// Defaults to no such user. With one, the user `guest` does not exist.
    pub fn certificate_user(mut self, name: impl Into<String>) -> ServerBuilder {
        self.settings.users.add(name.into(), None);
        self
    }

    /// Serves AMQP over TLS, and nothing else, at the address of the server. Its
    /// [`url`](Server::url) begins with `amqps://`.
    ///
    /// A server without TLS can serve the same broker at another address. The TLS handshake counts
    /// for [`handshake_timeout`](ServerBuilder::handshake_timeout).
    ///
    /// Defaults to AMQP without TLS.
    pub fn tls(mut self, tls: ServerTls) -> ServerBuilder {
        self.settings.tls = Some(tls);
        self
    }

    /// Permits addresses that other machines reach. Without [`tls`](ServerBuilder::tls), passwords
    /// and messages cross the network unencrypted.
    ///
    /// A server for other machines needs users of its own.
    ///
    /// Defaults to addresses of the loopback interface only.
    pub fn allow_other_machines(mut self) -> ServerBuilder {
        self.any_interface = true;
        self
    }

    /// Sets the maximum number of channels of a connection; 0 for no limit. At most 65,535.
    ///
    /// Defaults to 2,047, as RabbitMQ does.
    pub fn channel_max(mut self, channels: u16) -> ServerBuilder {
        self.settings.channel_max = channels;
        self
    }

    /// Sets the maximum size of a frame, in bytes. From 4,096 to 16,777,216.
    ///
    /// As on RabbitMQ, a client may choose a smaller one. Before it has chosen, its frames may have
    /// 4,096 bytes; 8,192 if the broker imitates RabbitMQ 4.3.
    ///
    /// Defaults to 131,072, as RabbitMQ does.
    pub fn frame_max(mut self, bytes: u32) -> ServerBuilder {
        self.settings.frame_max = bytes;
        self
    }

    /// Sets the heartbeat interval that the server proposes, in seconds; 0 for no heartbeats. The
    /// client chooses the interval.
    ///
    /// A connection is closed after two intervals without an octet of the client.
    ///
    /// Defaults to 60 seconds, as RabbitMQ does.
    pub fn heartbeat(mut self, seconds: u16) -> ServerBuilder {
        self.settings.heartbeat = seconds;
        self
    }

    /// Sets the maximum number of connections. The server closes further sockets at once.
    ///
    /// At most 256 connections at a time can be in the handshake.
    ///
    /// Defaults to 10,000.
    pub fn max_connections(mut self, connections: usize) -> ServerBuilder {
        self.settings.max_connections = connections;
        self
    }

    /// Sets the maximum size of all messages that have not arrived completely, in bytes, of all
    /// connections together. A connection that exceeds the limit is closed.
    ///
    /// Messages that have arrived count for [`memory_limit`](ServerBuilder::memory_limit) instead.
    ///
    /// Defaults to 268,435,456 (256 MiB).
    pub fn max_unfinished_bytes(mut self, bytes: usize) -> ServerBuilder {
        self.settings.max_unfinished_bytes = bytes;
        self
    }

    /// Sets the memory of all messages of all virtual hosts, in bytes, above which the server
    /// blocks publishers.
    ///
    /// Messages count from their arrival until they are acknowledged or dropped: with their bodies,
    /// properties and names, and about 400 bytes each. A message in several queues shares its body
    /// and counts once; each further queue adds about 150 bytes. Messages do not count that the
    /// broker held before its first server was bound.
    ///
    /// As RabbitMQ does under its memory alarm, the server sends `connection.blocked` with the
    /// reason `low on memory`, and reads no more from connections that publish. The other
    /// connections continue. The server unblocks publishers once the messages do not exceed the
    /// limit any more. Connections of this program to the same broker are blocked, too.
    ///
    /// The message that exceeds the limit is accepted. `usize::MAX` stands for no limit.
    ///
    /// Defaults to 1,073,741,824 (1 GiB), on every machine. RabbitMQ takes a share of the machine's
    /// memory, which differs from machine to machine.
    ///
    /// ```
    /// use carrot::memory::Broker;
    /// use carrot::server::Server;
    ///
    /// let server = Server::builder(&Broker::new()).memory_limit(64 << 20).bind("127.0.0.1:0")?;
    /// assert_eq!(server.held_bytes(), 0);
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn memory_limit(mut self, bytes: usize) -> ServerBuilder {
        self.settings.memory_limit = bytes;
        self
    }

    /// Sets the time that a client has until its connection is open.
    ///
    /// Defaults to 10 seconds.
    pub fn handshake_timeout(mut self, timeout: Duration) -> ServerBuilder {
        self.settings.handshake_timeout = timeout;
        self
    }

    /// Starts a control interface with the server: faults, the manual clock and inspection, for
    /// tests in another process or language. [`Server::control`] returns the interface.
    ///
    /// `address` is a host and a port of the loopback interface. Port 0 stands for a free port.
    ///
    /// Defaults to no control interface.
    ///
    /// ```
    /// use carrot::memory::Broker;
    /// use carrot::server::Server;
    ///
    /// let server =
    ///     Server::builder(&Broker::new()).control("127.0.0.1:0").bind("127.0.0.1:0")?;
    /// let control = server.control().expect("asked for");
    /// println!("{} {}", control.url(), control.token());
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn control(mut self, address: impl Into<String>) -> ServerBuilder {
        self.control = Some(address.into());
        self
    }

    /// Starts the server at an address, which is a host and a port. Port 0 stands for a free port.
    ///
    /// # Errors
    /// - [`Error::Config`]: the address is not of the loopback interface and other machines are not
    ///   allowed, a server for other machines has no user, a setting is out of its limits, or a
    ///   certificate or key cannot be used; also TLS without the feature `tls`. The address of the
    ///   control interface is not of the loopback interface.
    /// - [`Error::Backend`]: an address cannot be used, for example because its port is in use.
    pub fn bind(self, address: impl ToSocketAddrs) -> Result<Server> {
        let ServerBuilder { mut settings, any_interface, control } = self;
        check(&settings)?;
        let addresses: Vec<_> = address
            .to_socket_addrs()
            .map_err(|error| failed("find the address", &error))?
            .collect();
        check_addresses(&addresses, any_interface, !settings.users.is_empty())?;
        if settings.users.is_empty() {
            settings.users.add("guest".into(), Some("guest".into()));
        }
        let listener =
            TcpListener::bind(&*addresses).map_err(|error| failed("bind the address", &error))?;
        let control =
            control.map(|address| ControlInterface::start(&address, &settings)).transpose()?;
        Server::start(listener, settings, control)
    }
}

#[cfg(any(test, fuzzing))]
impl From<ServerBuilder> for ServerSettings {
    fn from(builder: ServerBuilder) -> ServerSettings {
        let mut settings = builder.settings;
        if settings.users.is_empty() {
            settings.users.add("guest".into(), Some("guest".into()));
        }
        settings
    }
}

/// Checks that the settings are within their limits.
fn check(settings: &ServerSettings) -> Result<()> {
    const FRAME_MOST: u32 = 16 << 20;
    if !(FRAME_MIN..=FRAME_MOST).contains(&settings.frame_max) {
        let reason = format!(
            "is {} bytes, and has to be from {FRAME_MIN} to {FRAME_MOST}",
            settings.frame_max
        );
        return Err(Error::config("frame_max", reason));
    }
    for (option, longest) in [
        ("vhost", settings.vhosts.keys().map(String::len).max()),
        ("user", settings.users.longest_name()),
    ] {
        if let Some(length) = longest.filter(|length| *length > LONGEST_NAME) {
            let reason = format!("a name has {length} bytes, and the limit is {LONGEST_NAME}");
            return Err(Error::config(option, reason));
        }
    }
    Ok(())
}
