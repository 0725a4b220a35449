use std::error::Error as StdError;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backend::address_text;
use crate::config::credentials::Credentials;
use crate::config::credentials_provider::CredentialsProvider;
use crate::config::given::Given;
use crate::config::host::Host;
use crate::config::rabbitmq_release::RabbitMqRelease;
use crate::config::scheme::Scheme;
use crate::config::seconds;
use crate::config::secret::Secret;
use crate::config::tls::TlsOptions;

/// The options of a connection, from a URL, from the environment, or from setters.
///
/// ```
/// use std::time::Duration;
/// use carrot::ConnectionOptions;
///
/// let built = ConnectionOptions::new()
///     .host("mq.example")
///     .credentials("shop", "s3cret")
///     .vhost("/")
///     .heartbeat(Duration::from_secs(20));
/// let parsed: ConnectionOptions = "amqp://shop:s3cret@mq.example/%2f?heartbeat=20".parse()?;
/// assert_eq!(built, parsed);
/// assert_eq!(built.to_string(), "amqp://shop:***@mq.example/%2F?heartbeat=20");
/// # Ok::<(), carrot::Error>(())
/// ```
///
/// # URLs
///
/// ```text
/// amqp://user:password@host:port,host:port/vhost?option=value&option=value
/// memory://name
/// ```
///
/// All parts except the scheme are optional, and default to the default of the setter below.
/// Percent-encode characters other than letters, digits and `-._~`. User names, passwords and
/// vhosts must encode `/ ? # @ %`. Passwords are never shown, not even in the error about an
/// invalid URL.
///
/// * `amqps` is AMQP over TLS. The default port is 5672, and 5671 with TLS.
/// * IPv6 addresses are written in brackets. Commas separate several addresses, all of one cluster.
/// * The path is the virtual host, in one segment: `/orders`, or `/%2Forders` for the vhost
///   `/orders`. No path, like a single `/`, is the vhost `/`, which every broker has. (The URI
///   specification of RabbitMQ reads a single `/` as the vhost with the empty name, and RabbitMQ
///   clients disagree. Only [`vhost`](Self::vhost) selects the empty name.)
/// * `memory://` is a private broker in this process, and `memory://name` the broker of that name.
///   The memory broker has no users, no vhosts and no TLS. URLs that set one of them are refused.
/// * `zmq://host:port` is a host of ZeroMQ over TCP, and `zmqs://host:port` the same over TLS. The
///   default port is 5555, and 5556 with TLS. `zmq+ipc:///path` is a host at a socket of the file
///   system. A host of ZeroMQ has no vhosts.
/// * `activemq://host:port` is a broker of Apache ActiveMQ Classic over TCP, and
///   `activemq+ssl://host:port` the same over TLS. The default port is 61616, and 61617 with TLS.
///   ActiveMQ has no vhosts.
///
/// | option | meaning |
/// |---|---|
/// | `heartbeat` | [`heartbeat`](Self::heartbeat), in seconds |
/// | `connection_timeout` | [`connect_timeout`](Self::connect_timeout), in milliseconds |
/// | `call_timeout` | [`call_timeout`](Self::call_timeout), in milliseconds |
/// | `channel_max` | [`channel_max`](Self::channel_max) |
/// | `frame_max` | [`frame_max`](Self::frame_max), in bytes |
/// | `max_message_size` | [`max_message_size`](Self::max_message_size), in bytes |
/// | `imitate` | [`imitate`](Self::imitate), `3.10` or `4.3` |
/// | `name` | [`name`](Self::name) |
/// | `auth_mechanism` | `plain`, or `external` for the client certificate |
/// | `cacertfile` | [`TlsOptions::authority`], a file; may be repeated |
/// | `certfile`, `keyfile` | [`TlsOptions::identity`], two files |
/// | `server_name_indication` | [`TlsOptions::server_name`] |
/// | `verify` | only `verify_peer`, which is always on |
///
/// Any other option, or one set twice, fails with [`Error::Config`](crate::Error::Config).
///
/// # Configuration files
///
/// Serialized as a table whose fields have the names of the fields below. Deserialized from such a
/// table, or from a URL. Every field is optional, and defaults to the default of its setter.
///
/// ```
/// use std::time::Duration;
/// use carrot::ConnectionOptions;
///
/// let read: ConnectionOptions = serde_json::from_str(
///     r#"{
///         "host": "mq.example",
///         "credentials": {"user": "shop", "password": "s3cret"},
///         "call_timeout": 2.5
///     }"#,
/// )?;
/// let built = ConnectionOptions::new()
///     .host("mq.example")
///     .credentials("shop", "s3cret")
///     .call_timeout(Duration::from_millis(2500));
/// assert_eq!(read, built);
/// let read: ConnectionOptions = serde_json::from_str(r#""amqp://mq.example""#)?;
/// assert_eq!(read, ConnectionOptions::new().host("mq.example"));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// * A duration is a number of seconds, whole or fractional.
/// * `host` and `port` stand for a single address in `hosts`.
/// * `tls` without a `scheme` selects `amqps`. The credentials `"external"` are those of the client
///   certificate.
/// * No password is serialized. The default credentials are omitted. Of another user, only the name
///   is serialized, and deserializing fails until a password is added. Serializing PEM text or a
///   credentials provider fails.
/// * The options are [validated](Self::validate). Unknown fields are refused. An error names the
///   field, and never contains the password. A format that quotes the file in its own errors, such
///   as TOML, may still show a password of the file.
///
/// The format must be self-describing, as JSON, TOML and YAML are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Given")]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// The scheme, which selects the backend.
    pub scheme: Scheme,
    /// The addresses of the broker: one, or several of one cluster.
    ///
    /// For the memory broker, its name, or none for a private broker.
    pub hosts: Vec<Host>,
    /// The credentials of the user.
    #[serde(skip_serializing_if = "is_default")]
    pub credentials: Credentials,
    /// The virtual host.
    pub vhost: String,
    /// The TLS options, for [`Scheme::Amqps`], [`Scheme::Zmqs`] and [`Scheme::ActiveMqSsl`].
    #[serde(skip_serializing_if = "is_default")]
    pub tls: TlsOptions,
    /// The interval of heartbeats, in whole seconds; zero for none.
    ///
    /// A peer that is silent for two intervals is considered lost.
    #[serde(serialize_with = "seconds::serialize")]
    pub heartbeat: Duration,
    /// The deadline for opening a connection, over all addresses.
    ///
    /// Resolving, TCP, TLS and AMQP share the deadline.
    #[serde(serialize_with = "seconds::serialize")]
    pub connect_timeout: Duration,
    /// The deadline of every other call that waits for the broker.
    #[serde(serialize_with = "seconds::serialize")]
    pub call_timeout: Duration,
    /// The maximum number of channels per connection; 0 uses the limit of the broker.
    pub channel_max: u16,
    /// The maximum size of a frame in either direction, in bytes.
    ///
    /// The broker may negotiate a smaller size.
    pub frame_max: u32,
    /// The maximum size of a published body, in bytes.
    pub max_message_size: u64,
    /// The name of the connection, for logs and threads.
    pub name: String,
    /// The release of RabbitMQ that the memory broker imitates; `None` for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imitate: Option<RabbitMqRelease>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for ConnectionOptions {
    /// Returns the options for a broker on this machine, `amqp://guest:guest@localhost:5672/%2F`.
    fn default() -> ConnectionOptions {
        ConnectionOptions {
            scheme: Scheme::Amqp,
            hosts: vec![Host::new("localhost")],
            credentials: Credentials::default(),
            vhost: "/".into(),
            tls: TlsOptions::default(),
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            channel_max: 0,
            frame_max: 131_072,
            max_message_size: 134_217_728,
            name: "carrot".into(),
            imitate: None,
        }
    }
}

impl ConnectionOptions {
    /// Creates the options for a broker on this machine, `amqp://guest:guest@localhost:5672/%2F`.
    pub fn new() -> ConnectionOptions {
        ConnectionOptions::default()
    }

    /// Creates the options for a private broker in this process, `memory://`.
    ///
    /// No other connection can reach the broker.
    pub fn memory() -> ConnectionOptions {
        ConnectionOptions {
            scheme: Scheme::Memory,
            hosts: Vec::new(),
            ..ConnectionOptions::default()
        }
    }

    /// Creates the options for the named broker in this process, `memory://name`.
    ///
    /// All connections with the same name share one broker.
    pub fn memory_named(name: impl Into<String>) -> ConnectionOptions {
        ConnectionOptions { hosts: vec![Host::new(name)], ..ConnectionOptions::memory() }
    }

    /// Sets the first, or only, address: a name, an IPv4 or an IPv6 address.
    ///
    /// Defaults to `localhost`.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> ConnectionOptions {
        self.first_host().name = name.into();
        self
    }

    /// Sets the port of the first, or only, address.
    ///
    /// Defaults to the [port of the scheme](Scheme::default_port): 5672, and 5671 with TLS.
    #[must_use]
    pub fn port(mut self, port: u16) -> ConnectionOptions {
        self.first_host().port = Some(port);
        self
    }

    /// Adds an address of the same cluster, which is tried when the earlier addresses fail.
    ///
    /// Defaults to none.
    ///
    /// ```
    /// use carrot::ConnectionOptions;
    ///
    /// let options = ConnectionOptions::new().host("mq1").add_host("mq2").add_host(("mq3", 5673));
    /// let addresses: Vec<_> = options.addresses().collect();
    /// assert_eq!(addresses, [("mq1", 5672), ("mq2", 5672), ("mq3", 5673)]);
    /// ```
    #[must_use]
    pub fn add_host(mut self, host: impl Into<Host>) -> ConnectionOptions {
        self.hosts.push(host.into());
        self
    }

    /// Replaces all addresses, of one cluster, which are tried in this order.
    ///
    /// Defaults to `localhost`.
    ///
    /// ```
    /// use carrot::ConnectionOptions;
    ///
    /// let options = ConnectionOptions::new().hosts(["mq1", "mq2", "mq3"]);
    /// let addresses: Vec<_> = options.addresses().collect();
    /// assert_eq!(addresses, [("mq1", 5672), ("mq2", 5672), ("mq3", 5672)]);
    /// ```
    #[must_use]
    pub fn hosts<H: Into<Host>>(mut self, hosts: impl IntoIterator<Item = H>) -> ConnectionOptions {
        self.hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the user name, at most 255 bytes, and the password, at most 65,536 bytes.
    ///
    /// The password may be a token of OAuth 2. User and password must fit into the first frame.
    /// RabbitMQ up to 4.0 accepts about 3,700 bytes there, and later releases about 7,800 bytes.
    ///
    /// Defaults to `guest` and `guest`.
    #[must_use]
    pub fn credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<Secret>,
    ) -> ConnectionOptions {
        self.credentials = Credentials::plain(user, password);
        self
    }

    /// Calls `provide` for the user name and the password of each connection. Suits passwords that
    /// rotate and tokens that expire.
    ///
    /// `provide` is called at each attempt to connect, before the address is resolved: for the
    /// connection of publishers, for that of consumers and declarations, and again for each
    /// reconnect. The calls run one at a time, on threads of their own, with no lock held. The
    /// limits are those of [`credentials`](Self::credentials).
    ///
    /// An error or a panic of `provide` fails the attempt with
    /// [`Error::Connect`](crate::Error::Connect), which contains the text of the error. A program
    /// that is connected tries again. The text appears in logs, so it must not contain the secret.
    ///
    /// The connect timeout includes the call. A call that takes longer fails the attempt with
    /// [`Error::Timeout`](crate::Error::Timeout). Its thread continues until `provide` returns, and
    /// later attempts wait for that, at most for their own deadlines.
    ///
    /// A provider is neither serialized nor part of the URL. The memory broker calls `provide`,
    /// takes the user name for the user id of messages, and accepts every password.
    ///
    /// Defaults to a fixed user name and password.
    ///
    /// ```
    /// use carrot::ConnectionOptions;
    ///
    /// let options = ConnectionOptions::new()
    ///     .host("mq.example")
    ///     .credentials_provider(|| Ok(("shop", std::fs::read_to_string("/run/secrets/shop")?)));
    /// assert_eq!(options.to_string(), "amqp://mq.example/%2F");
    /// ```
    #[must_use]
    pub fn credentials_provider<U: Into<String>, S: Into<Secret>>(
        mut self,
        provide: impl Fn() -> Result<(U, S), Box<dyn StdError + Send + Sync>> + Send + Sync + 'static,
    ) -> ConnectionOptions {
        self.credentials = Credentials::Provider(CredentialsProvider::new(provide));
        self
    }

    /// Authenticates with the client certificate of [`tls`](Self::tls) (SASL EXTERNAL).
    ///
    /// RabbitMQ needs the plug-in `rabbitmq_auth_mechanism_ssl`.
    ///
    /// Defaults to a user name and password.
    #[must_use]
    pub fn external_credentials(mut self) -> ConnectionOptions {
        self.credentials = Credentials::External;
        self
    }

    /// Sets the virtual host, at most 255 bytes, without percent-encoding.
    ///
    /// Defaults to `/`.
    #[must_use]
    pub fn vhost(mut self, vhost: impl Into<String>) -> ConnectionOptions {
        self.vhost = vhost.into();
        self
    }

    /// Connects with TLS. The scheme becomes `zmqs` if it was one of ZeroMQ, `activemq+ssl` if it
    /// was one of ActiveMQ, and otherwise `amqps`.
    /// A socket of the file system has no TLS: connecting to one then fails with
    /// [`Error::Config`](crate::Error::Config).
    ///
    /// Defaults to no TLS.
    #[must_use]
    pub fn tls(mut self, tls: TlsOptions) -> ConnectionOptions {
        self.scheme = self.scheme.with_tls();
        self.tls = tls;
        self
    }

    /// Sets the interval of heartbeats, in whole seconds, at most 65535; zero for none.
    ///
    /// A peer that is silent for two intervals is considered lost.
    ///
    /// Defaults to 10 seconds.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> ConnectionOptions {
        self.heartbeat = interval;
        self
    }

    /// Sets the deadline for opening a connection, over all addresses.
    ///
    /// Resolving, TCP, TLS and AMQP share the deadline.
    ///
    /// Defaults to 10 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> ConnectionOptions {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the deadline of every other call that waits for the broker.
    ///
    /// Defaults to 30 seconds.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> ConnectionOptions {
        self.call_timeout = timeout;
        self
    }

    /// Sets the maximum number of channels per connection; 0 uses the limit of the broker.
    ///
    /// Defaults to 0.
    #[must_use]
    pub fn channel_max(mut self, channels: u16) -> ConnectionOptions {
        self.channel_max = channels;
        self
    }

    /// Sets the maximum size of a frame in either direction, in bytes, at least 4096.
    ///
    /// RabbitMQ 4.1 and later require at least 8192. Connecting to one with less fails with
    /// [`Error::Config`](crate::Error::Config).
    ///
    /// Larger bodies are sent in several frames. All headers of a message must fit into one frame.
    /// The broker may negotiate a smaller size.
    ///
    /// Defaults to 131072, as RabbitMQ.
    #[must_use]
    pub fn frame_max(mut self, bytes: u32) -> ConnectionOptions {
        self.frame_max = bytes;
        self
    }

    /// Sets the maximum size of a published body, in bytes.
    ///
    /// Publishing a larger body fails with [`Error::Invalid`](crate::Error::Invalid), and sends
    /// nothing. RabbitMQ has a limit of the same name, and closes the channel over a larger body.
    /// Keep this limit at or below the limit of RabbitMQ: 16 MiB by default since 4.0, and 128 MiB
    /// before. Zero allows empty bodies only.
    ///
    /// Defaults to 134217728 (128 MiB), as RabbitMQ before 4.0.
    #[must_use]
    pub fn max_message_size(mut self, bytes: u64) -> ConnectionOptions {
        self.max_message_size = bytes;
        self
    }

    /// Sets the name of the connection, for logs and threads, at most 255 bytes.
    ///
    /// Defaults to `carrot`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> ConnectionOptions {
        self.name = name.into();
        self
    }

    /// Sets the release of RabbitMQ that the memory broker imitates.
    ///
    /// Connecting to a named broker that imitates another release fails with
    /// [`Error::Config`](crate::Error::Config), and so does the option on RabbitMQ itself.
    ///
    /// Defaults to the release of the named broker, or else to 4.3.
    ///
    /// ```
    /// use carrot::ConnectionOptions;
    /// use carrot::config::RabbitMqRelease;
    ///
    /// let options = ConnectionOptions::memory().imitate(RabbitMqRelease::V3_10);
    /// assert_eq!(options.to_string(), "memory://?imitate=3.10");
    /// ```
    #[must_use]
    pub fn imitate(mut self, release: RabbitMqRelease) -> ConnectionOptions {
        self.imitate = Some(release);
        self
    }

    /// Returns every address with its port, or with the default port of the scheme.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, u16)> {
        self.hosts
            .iter()
            .map(|host| (host.name.as_str(), host.port.unwrap_or(self.scheme.default_port())))
    }

    /// Returns every address for errors and logs, separated by commas.
    ///
    /// ```
    /// use carrot::ConnectionOptions;
    ///
    /// let options: ConnectionOptions = "amqp://shop:s3cret@mq1.example,[::1]:5673".parse()?;
    /// assert_eq!(options.endpoint(), "mq1.example:5672, [::1]:5673");
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn endpoint(&self) -> String {
        let show = |(name, port): (&str, u16)| match self.scheme {
            Scheme::ZmqIpc => name.to_string(),
            _ => address_text(name, port),
        };
        self.addresses().map(show).collect::<Vec<_>>().join(", ")
    }

    fn first_host(&mut self) -> &mut Host {
        if self.hosts.is_empty() {
            self.hosts.push(Host::new("localhost"));
        }
        &mut self.hosts[0]
    }
}
