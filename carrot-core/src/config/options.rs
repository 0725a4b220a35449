use std::time::Duration;

use crate::config::credentials::Credentials;
use crate::config::host::Host;
use crate::config::scheme::Scheme;
use crate::config::secret::Secret;
use crate::config::tls::TlsOptions;

/// Everything that opens a connection: made from a URL, from the environment, or step by step.
///
/// ```
/// use std::time::Duration;
/// use carrot::ConnectionOptions;
///
/// let built = ConnectionOptions::new().host("mq.example").credentials("shop", "s3cret").vhost("/").heartbeat(Duration::from_secs(20));
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
/// Everything but scheme and port may be left out, and has then the default of its setter below.
/// Outside letters, digits and `-._~`, characters are best percent-encoded; in a user name,
/// password or vhost `/ ? # @ %` must be. A password is never shown, not even by the error about a
/// URL that cannot be read.
///
/// * `amqps` is AMQP over TLS. The default port is 5672, with TLS 5671.
/// * An IPv6 address stands in brackets. Several addresses, all of one cluster, are separated by
///   commas.
/// * The path is the virtual host, in one segment: `/orders`, or `/%2Forders` for the vhost
///   `/orders`. No path, like a single `/`, is the vhost `/`, which every broker has. (The URI
///   specification of RabbitMQ reads a single `/` as the vhost with the empty name, and its clients
///   disagree; that vhost can be had by [`vhost`](Self::vhost) only.)
/// * `memory://` is a private broker in this process, `memory://name` the one of that name. It has
///   no users, no vhosts and no TLS: a URL that gives them is refused.
///
/// | option | meaning |
/// |---|---|
/// | `heartbeat` | [`heartbeat`](Self::heartbeat), in seconds |
/// | `connection_timeout` | [`connect_timeout`](Self::connect_timeout), in milliseconds |
/// | `call_timeout` | [`call_timeout`](Self::call_timeout), in milliseconds |
/// | `channel_max` | [`channel_max`](Self::channel_max) |
/// | `frame_max` | [`frame_max`](Self::frame_max), in bytes |
/// | `max_message_size` | [`max_message_size`](Self::max_message_size), in bytes |
/// | `name` | [`name`](Self::name) |
/// | `auth_mechanism` | `plain`, or `external` for the client certificate |
/// | `cacertfile` | [`TlsOptions::authority`], a file; may be given several times |
/// | `certfile`, `keyfile` | [`TlsOptions::identity`], two files |
/// | `server_name_indication` | [`TlsOptions::server_name`] |
/// | `verify` | only `verify_peer`, which is always so |
///
/// Any other option, or one given twice, is [`Error::Config`](crate::Error::Config).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// Which backend.
    pub scheme: Scheme,
    /// Where the broker is: one address, or several of one cluster. For the memory broker, its
    /// name, or none for a private one.
    pub hosts: Vec<Host>,
    /// Who connects.
    pub credentials: Credentials,
    /// The virtual host.
    pub vhost: String,
    /// How TLS works, for [`Scheme::Amqps`].
    pub tls: TlsOptions,
    /// The interval of heartbeats, in whole seconds; zero for none. A peer silent for twice as long
    /// is dead.
    pub heartbeat: Duration,
    /// The deadline for opening a connection: resolving, TCP, TLS and AMQP together, over all
    /// addresses.
    pub connect_timeout: Duration,
    /// The deadline of every other call that waits for the broker.
    pub call_timeout: Duration,
    /// The most channels on one connection; 0 leaves it to the broker.
    pub channel_max: u16,
    /// The largest frame, in bytes, that either side sends; what the broker allows may be less.
    pub frame_max: u32,
    /// The largest body, in bytes, that a publisher sends.
    pub max_message_size: u64,
    /// A name for logs and threads.
    pub name: String,
}

impl Default for ConnectionOptions {
    /// A broker on this machine, `amqp://guest:guest@localhost:5672/%2F`.
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
        }
    }
}

impl ConnectionOptions {
    /// A broker on this machine, `amqp://guest:guest@localhost:5672/%2F`.
    pub fn new() -> ConnectionOptions {
        ConnectionOptions::default()
    }

    /// A broker in this process that nobody else can reach, `memory://`.
    pub fn memory() -> ConnectionOptions {
        ConnectionOptions {
            scheme: Scheme::Memory,
            hosts: Vec::new(),
            ..ConnectionOptions::default()
        }
    }

    /// The broker in this process that has this name, `memory://name`: everybody who names it gets
    /// the same one.
    pub fn memory_named(name: impl Into<String>) -> ConnectionOptions {
        ConnectionOptions { hosts: vec![Host::new(name)], ..ConnectionOptions::memory() }
    }

    /// Sets the first, or only, address: a name, an IPv4 or an IPv6 address. Defaults to
    /// `localhost`.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> ConnectionOptions {
        self.first_host().name = name.into();
        self
    }

    /// Sets the port of the first, or only, address. Defaults to 5672, with TLS 5671.
    #[must_use]
    pub fn port(mut self, port: u16) -> ConnectionOptions {
        self.first_host().port = Some(port);
        self
    }

    /// Adds one more address of the same cluster, tried when those before it fail. Defaults to
    /// none.
    ///
    /// ```
    /// use carrot::ConnectionOptions;
    ///
    /// let options = ConnectionOptions::new().host("mq1").add_host("mq2").add_host(("mq3", 5673));
    /// assert_eq!(options.addresses().collect::<Vec<_>>(), [("mq1", 5672), ("mq2", 5672), ("mq3", 5673)]);
    /// ```
    #[must_use]
    pub fn add_host(mut self, host: impl Into<Host>) -> ConnectionOptions {
        self.hosts.push(host.into());
        self
    }

    /// Sets all addresses, of one cluster, in the order in which they are tried. Takes the place of
    /// those set before. Defaults to `localhost`.
    ///
    /// ```
    /// use carrot::ConnectionOptions;
    ///
    /// let options = ConnectionOptions::new().hosts(["mq1", "mq2", "mq3"]);
    /// assert_eq!(options.addresses().collect::<Vec<_>>(), [("mq1", 5672), ("mq2", 5672), ("mq3", 5672)]);
    /// ```
    #[must_use]
    pub fn hosts<H: Into<Host>>(mut self, hosts: impl IntoIterator<Item = H>) -> ConnectionOptions {
        self.hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the user name and password, at most 255 bytes each. Defaults to `guest` and `guest`.
    #[must_use]
    pub fn credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<Secret>,
    ) -> ConnectionOptions {
        self.credentials = Credentials::plain(user, password);
        self
    }

    /// Proves who connects by the client certificate of [`tls`](Self::tls) instead of a password
    /// (SASL EXTERNAL; RabbitMQ has it as the plug-in `rabbitmq_auth_mechanism_ssl`). Defaults to a
    /// user name and password.
    #[must_use]
    pub fn external_credentials(mut self) -> ConnectionOptions {
        self.credentials = Credentials::External;
        self
    }

    /// Sets the virtual host, at most 255 bytes, as it is called: not percent-encoded. Defaults to
    /// `/`.
    #[must_use]
    pub fn vhost(mut self, vhost: impl Into<String>) -> ConnectionOptions {
        self.vhost = vhost.into();
        self
    }

    /// Connects with TLS. Defaults to no TLS.
    #[must_use]
    pub fn tls(mut self, tls: TlsOptions) -> ConnectionOptions {
        self.scheme = Scheme::Amqps;
        self.tls = tls;
        self
    }

    /// Sets the interval of heartbeats: whole seconds, at most 65535; zero for none. A peer that is
    /// silent for twice as long is taken for dead. Defaults to 10 seconds.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> ConnectionOptions {
        self.heartbeat = interval;
        self
    }

    /// Sets the deadline for opening a connection: resolving, TCP, TLS and AMQP together, over all
    /// addresses. Defaults to 10 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> ConnectionOptions {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the deadline of every other call that waits for the broker. Defaults to 30 seconds.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> ConnectionOptions {
        self.call_timeout = timeout;
        self
    }

    /// Sets the most channels on one connection; 0 leaves it to the broker. Defaults to 0.
    #[must_use]
    pub fn channel_max(mut self, channels: u16) -> ConnectionOptions {
        self.channel_max = channels;
        self
    }

    /// Sets the largest frame, in bytes and at least 4096, that either side sends. Larger bodies
    /// are sent in several frames; all headers of a message must fit in one. What the broker allows
    /// may be less. Defaults to 131072, as RabbitMQ.
    #[must_use]
    pub fn frame_max(mut self, bytes: u32) -> ConnectionOptions {
        self.frame_max = bytes;
        self
    }

    /// Sets the largest body, in bytes, that a publisher sends; a larger one is
    /// [`Error::Invalid`](crate::Error::Invalid), and nothing leaves. RabbitMQ has a limit of the
    /// same name, and closes the channel over a larger body, so this one should be at most that.
    /// Zero allows empty bodies only. Defaults to 134217728 (128 MiB), as RabbitMQ.
    #[must_use]
    pub fn max_message_size(mut self, bytes: u64) -> ConnectionOptions {
        self.max_message_size = bytes;
        self
    }

    /// Sets a name for logs and threads, at most 255 bytes. Defaults to `carrot`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> ConnectionOptions {
        self.name = name.into();
        self
    }

    /// Every address, with its port or the scheme's own.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, u16)> {
        self.hosts
            .iter()
            .map(|host| (host.name.as_str(), host.port.unwrap_or(self.scheme.default_port())))
    }

    fn first_host(&mut self) -> &mut Host {
        if self.hosts.is_empty() {
            self.hosts.push(Host::new("localhost"));
        }
        &mut self.hosts[0]
    }
}
