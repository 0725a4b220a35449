//! Carrot is a blocking messaging library for plain synchronous programs: RabbitMQ without an async
//! runtime, and an in-process broker that behaves like RabbitMQ for unit tests.
//!
//! A [`Connection`] opens publishers and consumers. A [`Publisher`] sends values to an
//! [`Exchange`]. A [`Consumer`] receives from a [`Queue`] and passes each [`Message`] to your code,
//! on your thread or on worker threads. One URL chooses the *backend* that carries the messages.
//!
//! ```
//! use carrot::Message;
//!
//! # fn main() -> carrot::Result<()> {
//! let connection = carrot::connect("memory://")?; // or "amqp://user:password@localhost:5672/vhost"
//!
//! let consumer = connection.consumer("feed").exchange("feed").routing_key("importer").build()?;
//! let publisher = connection.publisher().exchange("feed").routing_key("importer").build()?;
//!
//! publisher.send("http://cnn.com/rss/edition.rss")?; // JSON, persistent, confirmed by the broker
//!
//! if let Some(message) = consumer.fetch()? {
//!     let url: String = message.decode()?;
//!     assert_eq!(url, "http://cnn.com/rss/edition.rss");
//!     message.ack()?;
//! }
//!
//! let workers = consumer
//!     .workers(4)
//!     .spawn(|url: String, _message: &Message| println!("importing {url}"))?;
//! publisher.send_all(["http://one", "http://two"])?;
//! let report = workers.stop(std::time::Duration::from_secs(30))?;
//! # assert_eq!(report.failed, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to start
//!
//! [The guide](guide) leads from the first message to production.
//!
//! | task | start at |
//! |---|---|
//! | learn Carrot step by step | [`guide`], [`guide::first_message`] |
//! | come from another library | [`pika`](guide::coming_from_pika), [`kombu`](guide::coming_from_kombu), [`Bunny`](guide::coming_from_bunny), [`lapin`](guide::coming_from_lapin) |
//! | look up a default or a limit | [`guide::limits_and_defaults`] |
//! | go to production | [`guide::production_checklist`] |
//! | connect | [`connect`], [`ConnectionOptions`] |
//! | send a message, and be sure that the broker has it | [`Publisher::send`] |
//! | send many messages fast | [`Publisher::send_all`] |
//! | handle messages on threads | [`Consumer::workers`], [`Handler`] |
//! | ask another program, and wait for its answer | [`call::Caller`], [`Consumer::serve`] |
//! | take single messages | [`Consumer::fetch`], [`Consumer::messages`] |
//! | describe exchanges and queues | [`Exchange`], [`Queue`], [`Binding`] |
//! | keep exchanges and queues in a file | [`topology::Topology`] |
//! | handle several types of messages in one queue | [`consume::Router`] |
//! | handle messages of one key in order | [`WorkersBuilder::ordered_by`](consume::WorkersBuilder::ordered_by) |
//! | handle messages in batches | [`Consumer::batches`], [`WorkersBuilder::batches`](consume::WorkersBuilder::batches) |
//! | decide about failed messages | [`Settlement`], [`consume::Retry`] |
//! | add code around sending and handling | [`layers`], [`guide::layers`] |
//! | handle each message id once | [`layers::Deduplicate`] |
//! | send later, or many with progress | [`guide::sending`] |
//! | choose a format, compress bodies | [`guide::codecs`] |
//! | test without RabbitMQ | [`guide::testing`] |
//! | test programs in any language | [`guide::testing_in_any_language`] |
//! | connect several processes without a server | [`guide::zeromq`] |
//! | choose a type of queue | [`guide::queue_types`] |
//! | know the cost of each failure | [`guide::guarantees`] |
//! | see the numbers of a running program | [`guide::observing`] |
//! | export metrics and traces | [`guide::metrics_and_traces`] |
//! | make a program faster | [`guide::performance`] |
//! | exchange messages with Python or Node.js | [`guide::interop`] |
//! | reach another broker | [`guide::backends`] |
//!
//! # Installing
//!
//! ```toml
//! [dependencies]
//! carrot = "0.1"
//! serde = { version = "1", features = ["derive"] } # for types of your own
//!
//! # Or without TLS and its dependencies:
//! # carrot = { version = "0.1", default-features = false, features = ["memory", "amqp"] }
//! ```
//!
//! # Connecting
//!
//! [`connect`] takes a URL or [`ConnectionOptions`]. [`connect_from_env`] reads `CARROT_URL`, or
//! the five variables of Python's carrot. [`connect_within`] waits for a broker that is not up yet,
//! and [`connect_lazily`] connects in the background. `memory://` is a fresh broker in this
//! process. `memory://name` is a broker that the process shares under that name.
//!
//! # Guarantees
//!
//! * [`Publisher::send`] returns `Ok` only once the broker has confirmed the message. With durable
//!   queues (the default) and persistent messages (the default), the message is then on disk.
//! * Delivery is at least once. A message that is not acknowledged when its channel, connection or
//!   process ends is delivered again, marked as [redelivered](Message::is_redelivered). Handlers
//!   must be idempotent, or remember message ids.
//! * A message whose handler fails is retried after a growing pause, and then parked in the queue
//!   `<queue>.failed`, with the error in its headers; see [`Handler`]. A failed message is dropped
//!   only if the program asks for that. A message that cannot be read is rejected; see
//!   [`Message::unreadable`].
//! * A lost connection is reopened in the background, also while it is idle. Publishers resend
//!   unconfirmed messages, consumers subscribe again, and
//!   [hooks](Connection::on_disconnect) report the loss. Wrong credentials at the first contact,
//!   and refused declarations, fail at once.
//! * A call ends at its own deadline, which covers connecting. Its request is sent again only if
//!   the broker cannot have it. A server answers each request at least once; see
//!   [`Consumer::serve`].
//! * No call hangs: each has a deadline, and fails with a typed [`Error`] when the deadline passes.
//!   Calls that wait for messages, such as [`Consumer::messages`], have a deadline if you set one.
//! * Messages that one thread sends through one publisher and one exchange to one queue keep their
//!   order. Several workers, and requeued messages, change the order of handling.
//!
//! [`guide::guarantees`] has the details.
//!
//! # Errors
//!
//! Every fallible call returns [`Error`]. Its variants are grouped by how you can react. No error,
//! log line or `Debug` output contains a password.
//!
//! # Threads
//!
//! Publishers and consumers share a connection, and any number of threads share a publisher or
//! consumer. Carrot starts these threads:
//!
//! * the workers that you spawn;
//! * one that reopens a connection, while the connection is lost;
//! * one for each caller that receives answers, which ends after 10 idle seconds;
//! * for AMQP, three per connection (reader, channel 0, timer), one more once the socket was full;
//! * for AMQP, one that sends delayed frames, which ends after 10 idle seconds;
//! * short-lived ones, for work that no caller waits for.
//!
//! # Testing
//!
//! The [`memory`] backend routes, acknowledges, limits and dead-letters as RabbitMQ does. One list
//! of cases runs on both. Pass `carrot::connect("memory://")?` to your code in its unit tests. A
//! [`memory::Broker`] of your own also advances its clock, injects faults and shows its queues;
//! see [`guide::testing`].
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `memory` | the in-process broker | on |
//! | `server` | the in-process broker on a port, for any AMQP client | off |
//! | `zeromq` | the in-process broker for other processes, over ZeroMQ's wire protocol | off |
//! | `amqp` | RabbitMQ | on |
//! | `activemq` | Apache ActiveMQ Classic | off |
//! | `tls` | `amqps://`, `zmqs://` and `activemq+ssl://`, through rustls | on |
//! | `bincode` | the [`Codec::bincode`] codec | on |
//! | `message-pack` | the `Codec::message_pack` codec | off |
//! | `gzip`, `zstd`, `bzip2`, `brotli` | one kind of [`codec::Compression`] each | off |
//! | `compression` | all of these kinds | off |
//! | `metrics` | the layer `Metrics`: counters and histograms for the crate `metrics` | off |
//! | `tracing` | the layer `Spans`: spans of the crate `tracing` | off |
//! | `opentelemetry` | the layer `OpenTelemetry`: spans of OpenTelemetry | off |
//!
//! # Log levels
//!
//! Carrot logs through the `log` crate.
//!
//! | level | events |
//! |---|---|
//! | error | a failed message could be neither copied nor parked (at most one line a minute per consumer); a message that cannot be read was rejected; a server's answer was refused; a hook panicked; a layer panicked after a message was sent or settled; a worker ended by a panic |
//! | warn | a handler failed, or was slow ([`layers::SlowHandlers`]); a consumer pauses after failures; an unclaimed message was not confirmed; a connection was lost |
//! | info | connections opened and closed; a handler postponed a message |
//! | debug | channels; messages dropped unsettled; answers without a call |
//!
//! The crate `amiquip` logs under its own name, and never receives the password.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

use std::sync::Arc;

#[doc(inline)]
pub use carrot_core::{
    Binding, Codec, Connection, ConnectionOptions, Consumer, Error, Exchange, ExchangeKind,
    Handler, Message, Publisher, Queue, Result, Settlement, Workers, backend,
};

/// Sending: definitions of a [`Publisher`], single messages, confirmations.
pub mod publish {
    #[doc(inline)]
    pub use carrot_core::{
        Confirmation, IntoBody, MessageBuilder, PublisherDefinition, SendProgress,
    };
}

/// Receiving: definitions of a [`Consumer`], its runs, and the results of handlers.
pub mod consume {
    #[doc(inline)]
    pub use carrot_core::{
        Batch, BatchSettlement, BatchWorkersBuilder, Batches, ConsumerDefinition, FetchAll,
        HandlerError, IntoBatchSettlement, IntoHandlerError, IntoSettlement, Messages,
        OrderedWorkersBuilder, Report, Retry, Router, StopHandle, StreamOffset, WorkersBuilder,
    };
}

/// Layers: code around sending and around handling. [`guide::layers`] explains them.
pub mod layers {
    #[doc(inline)]
    pub use carrot_core::{
        Claim, Deduplicate, HandleLayer, Handled, IdStore, LogMessages, MemoryIds, Next,
        OutgoingMessage, PublishLayer, RateLimit, SentMessage, SettledMessage, SlowHandlers,
        TraceContext, TraceParent, Treatment,
    };

    #[cfg(feature = "metrics")]
    #[doc(inline)]
    pub use carrot_core::Metrics;

    #[cfg(feature = "opentelemetry")]
    #[doc(inline)]
    pub use carrot_core::OpenTelemetry;

    #[cfg(feature = "tracing")]
    #[doc(inline)]
    pub use carrot_core::Spans;
}

/// Calls: a [`Caller`](call::Caller), its requests and replies, and the errors of servers.
pub mod call {
    #[doc(inline)]
    pub use carrot_core::{
        Answer, Caller, CallerDefinition, IntoRemoteError, RemoteError, RequestBuilder,
    };
}

/// Properties and headers of a message, and their values.
pub mod message {
    #[doc(inline)]
    pub use carrot_core::{
        Death, DeliveryMode, Headers, Properties, Timestamp, Value, backend::ShortString,
    };
}

/// Details of exchanges, queues and bindings.
pub mod topology {
    #[doc(inline)]
    pub use carrot_core::{
        DelayedRetry, DeleteIf, Destination, Difference, DifferenceKind, LeaderLocator, Overflow,
        QueueInfo, Topology, TopologyCheck,
    };
}

/// Conversion of values to bodies, and of bodies to values.
pub mod codec {
    #[doc(inline)]
    pub use carrot_core::{BodyReader, Codecs, Compression, Encodable, Format, FormatError};
}

/// Parts of [`ConnectionOptions`], and the roles of connections.
pub mod config {
    #[doc(inline)]
    pub use carrot_core::{
        Credentials, CredentialsProvider, Host, Pem, RabbitMqRelease, Role, Scheme, Secret,
        TlsIdentity, TlsOptions,
    };
}

/// The figures of a [`Connection`]: [`Statistics`](statistics::Statistics) and
/// [`Health`](statistics::Health).
pub mod statistics {
    #[doc(inline)]
    pub use carrot_core::{
        ConnectingStatistics, ConsumingStatistics, Health, PublishingStatistics, RoleHealth,
        RoleStatistics, Statistics, WorkerHealth,
    };
}

/// Types in the variants of [`Error`].
pub mod error {
    #[doc(inline)]
    pub use carrot_core::{Cause, Returned, backend::HardClose};
}

pub mod guide;

#[cfg(feature = "memory")]
#[doc(inline)]
pub use carrot_backend_memory as memory;
#[cfg(feature = "server")]
#[doc(inline)]
pub use carrot_server as server;

#[cfg(feature = "amqp")]
#[doc(inline)]
pub use carrot_backend_amqp as amqp;

#[cfg(feature = "zeromq")]
#[doc(inline)]
pub use carrot_backend_zeromq as zeromq;

#[cfg(feature = "activemq")]
#[doc(inline)]
pub use carrot_backend_activemq as activemq;

use backend::Connector;

/// Connects to a broker, by a URL (`amqp://`, `amqps://`, `memory://`, `zmq://`, `zmqs://`,
/// `zmq+ipc://`, `activemq://`, `activemq+ssl://`) or by [`ConnectionOptions`].
///
/// Tries once. Blocks until connected, at most for the connect timeout of the options (10 s by
/// default).
///
/// # Errors
/// * [`Error::Config`]: an option is unusable, is refused by the release of the broker, or needs a
///   feature that is not compiled in.
/// * [`Error::Connect`], [`Error::Timeout`]: the broker cannot be reached.
/// * [`Error::Disconnected`]: the connection was lost during the handshake.
/// * [`Error::Authentication`]: the broker refuses the credentials or the virtual host.
///
/// ```
/// use carrot::ConnectionOptions;
///
/// let by_url = carrot::connect("memory://orders")?;
/// let by_options = carrot::connect(ConnectionOptions::memory_named("orders"))?;
/// # Ok::<(), carrot::Error>(())
/// ```
pub fn connect<O>(options: O) -> Result<Connection>
where
    O: TryInto<ConnectionOptions>,
    O::Error: Into<Error>,
{
    let options = options.try_into().map_err(Into::into)?;
    let connection = Connection::with_options(connector(&options)?, &options);
    connection.open()?;
    Ok(connection)
}

/// Connects as [`connect`] does, and waits for a broker that is not up yet.
///
/// Blocks until connected, at most for `duration`.
///
/// # Errors
/// As [`connect`]. [`Error::Connect`] names the address, the time and the last failure.
/// [`Error::Config`] and [`Error::Authentication`] are returned at once.
///
/// ```no_run
/// use std::time::Duration;
///
/// let connection = carrot::connect_within("amqp://mq.example", Duration::from_secs(60))?;
/// # Ok::<(), carrot::Error>(())
/// ```
pub fn connect_within<O>(options: O, duration: std::time::Duration) -> Result<Connection>
where
    O: TryInto<ConnectionOptions>,
    O::Error: Into<Error>,
{
    let options = options.try_into().map_err(Into::into)?;
    let connection = Connection::with_options(connector(&options)?, &options);
    connection.open_within(duration)?;
    Ok(connection)
}

/// Creates a connection that needs no broker yet. Its publishers and consumers can be built while
/// the broker is away.
///
/// Publishers and consumers connect in the background. A wrong address, a wrong password or a
/// refused declaration fails the first call that needs the broker, and is logged. Does not block.
///
/// # Errors
/// [`Error::Config`]: an option is unusable, or needs a feature that is not compiled in.
///
/// ```no_run
/// let connection = carrot::connect_lazily("amqp://mq.example")?;
/// let publisher = connection.publisher().queue("orders").build()?; // no broker needed yet
/// # Ok::<(), carrot::Error>(())
/// ```
pub fn connect_lazily<O>(options: O) -> Result<Connection>
where
    O: TryInto<ConnectionOptions>,
    O::Error: Into<Error>,
{
    let options = options.try_into().map_err(Into::into)?;
    Ok(Connection::lazy(connector(&options)?, &options))
}

/// Connects to the broker that the environment names.
///
/// Reads `CARROT_URL`. If that is not set, reads `AMQP_SERVER` or `AMQP_HOST`, with `AMQP_PORT`,
/// `AMQP_USER`, `AMQP_PASSWORD` and `AMQP_VHOST`, each optional. Blocks as [`connect`] does.
///
/// # Errors
/// As [`connect`]. [`Error::Config`] names the variable.
pub fn connect_from_env() -> Result<Connection> {
    connect(ConnectionOptions::from_env()?)
}

fn connector(options: &ConnectionOptions) -> Result<Arc<dyn Connector>> {
    options.validate()?;
    match options.scheme {
        #[cfg(feature = "memory")]
        config::Scheme::Memory => {
            let mut builder = memory::Broker::builder();
            if let Some(release) = options.imitate {
                builder = builder.imitate(release);
            }
            let broker = match options.hosts.first() {
                Some(host) => builder.named(&host.name)?,
                None => builder.build(),
            };
            broker.connector_with(options)
        }
        #[cfg(feature = "amqp")]
        config::Scheme::Amqp | config::Scheme::Amqps => {
            Ok(Arc::new(amqp::AmqpConnector::new(options)?))
        }
        #[cfg(feature = "zeromq")]
        config::Scheme::Zmq | config::Scheme::Zmqs | config::Scheme::ZmqIpc => {
            Ok(Arc::new(zeromq::ZeroMqConnector::new(options)?))
        }
        #[cfg(feature = "activemq")]
        config::Scheme::ActiveMq | config::Scheme::ActiveMqSsl => {
            Ok(Arc::new(activemq::ActiveMqConnector::new(options)?))
        }
        #[allow(unreachable_patterns, reason = "all features know all schemes")]
        scheme => Err(Error::config(
            "URL scheme",
            format!("{scheme}:// needs a feature of carrot that is not compiled in"),
        )),
    }
}

/// The examples of the readme, as tests.
#[cfg(all(doctest, feature = "memory"))]
#[doc = include_str!("../README.md")]
struct Readme;
