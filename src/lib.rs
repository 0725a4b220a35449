//! Carrot is a blocking messaging library for plain synchronous programs: RabbitMQ without an async
//! runtime, and an in-process broker that behaves like it for unit tests.
//!
//! A [`Connection`] makes a [`Publisher`], which sends values to an [`Exchange`], and a
//! [`Consumer`], which owns a [`Queue`] and hands each [`Message`] to your code, on your thread or
//! on worker threads. Which *backend* carries the messages is decided by one URL.
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
//! let workers = consumer.workers(4).spawn(|url: String, _message: &Message| println!("importing {url}"))?;
//! publisher.send_all(["http://one", "http://two"])?;
//! let report = workers.stop(std::time::Duration::from_secs(30))?;
//! # assert_eq!(report.failed, 0);
//! # Ok(())
//! # }
//! ```
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
//! [`connect`] takes a URL or [`ConnectionOptions`]; [`connect_from_env`] reads `CARROT_URL`, or
//! the five variables of the original carrot. [`connect_within`] waits for a broker that is not up
//! yet, and [`connect_lazily`] connects in the background. `memory://` is a fresh broker in this
//! process, `memory://name` one that is shared under that name.
//!
//! # Guarantees
//!
//! * [`Publisher::send`] gives `Ok` only once the broker has confirmed the message. With durable
//!   queues (the default) and persistent messages (the default) it is then on disk.
//! * A message is delivered at least once: whatever is not acknowledged when its channel,
//!   connection or process ends is delivered again, marked as
//!   [redelivered](Message::is_redelivered). Handlers have to cope with a message that comes twice.
//! * A message at which a handler fails is tried again after a growing pause, and then parked in
//!   the queue `<queue>.failed`, with the error in its headers; see [`Handler`]. It is never
//!   dropped, unless the program says so.
//! * A connection that is lost comes back by itself, also while nothing uses it: publishers send
//!   again what was not confirmed, consumers subscribe again, and
//!   [hooks](Connection::on_disconnect) report it. Wrong credentials at the first contact, and
//!   refused declarations, fail at once.
//! * No call hangs: each has a deadline, and a typed [`Error`] when it passes. The few that wait
//!   without limit say so.
//! * Messages of one publisher, sent from one thread through one exchange to one queue, keep their
//!   order; workers share them, and a requeued one is out of order by nature.
//!
//! # Errors
//!
//! All calls give one [`Error`], cut by what you can do about it. No error, log line or `Debug`
//! output holds a password.
//!
//! # Threads
//!
//! Nothing runs on a thread of its own but the workers that you spawn and what the driver needs:
//! for AMQP two threads and a timer per connection, one more once its socket was full, and one per
//! consuming channel; and, for as long as a connection is lost, one that makes it again. Publishers
//! and consumers share a connection from any number of threads.
//!
//! # Testing
//!
//! The [`memory`] backend routes, acknowledges, limits and dead-letters as RabbitMQ does, and is
//! checked against it by the same list of cases. Give your code a `carrot::connect("memory://")?`
//! in its unit tests, or a [`memory::Broker`] of your own to turn its clock, order failures and
//! look inside; the guide `docs/testing.md` shows how.
//!
//! # Features
//!
//! | feature | what | default |
//! |---|---|---|
//! | `memory` | the in-process broker | on |
//! | `amqp` | RabbitMQ | on |
//! | `tls` | `amqps://`, through rustls | on |
//! | `bincode` | the [`Codec::bincode`] codec | on |
//!
//! # Log levels
//!
//! Through the `log` crate. *error*: a failed message can be neither copied nor parked and stays in
//! the process (at most a line a minute for each consumer), a hook panicked, a worker ended.
//! *warn*: a handler failed, a consumer pauses because its handler fails, a confirm did not come
//! and nobody waits for it, a connection was lost. *info*: connections opened and closed. *debug*:
//! channels, messages dropped unsettled. The crate `amiquip` below logs under its own name, and
//! never sees the password.

use std::sync::Arc;

#[doc(inline)]
pub use carrot_core::{
    Binding, Codec, Connection, ConnectionOptions, Consumer, Error, Exchange, ExchangeKind,
    Handler, Message, Publisher, Queue, Result, Settlement, Workers, backend,
};

/// Sending: what a [`Publisher`] is made of, and what it returns.
pub mod publish {
    #[doc(inline)]
    pub use carrot_core::{Confirmation, IntoBody, MessageBuilder, PublisherDefinition};
}

/// Receiving: what a [`Consumer`] is made of, its runs, and what handlers return.
pub mod consume {
    #[doc(inline)]
    pub use carrot_core::{
        ConsumerDefinition, FetchAll, HandlerError, IntoHandlerError, IntoSettlement, Messages,
        Report, Retry, StopHandle, WorkersBuilder,
    };
}

/// What travels with the body of a message: properties, headers and their values.
pub mod message {
    #[doc(inline)]
    pub use carrot_core::{Death, DeliveryMode, Headers, Properties, Timestamp, Value};
}

/// Exchanges, queues and bindings.
pub mod topology {
    #[doc(inline)]
    pub use carrot_core::{DeleteIf, Destination, Overflow, QueueInfo};
}

/// Values to bodies, and bodies to values.
pub mod codec {
    #[doc(inline)]
    pub use carrot_core::{BodyReader, Codecs, Encodable, Format, FormatError};
}

/// How to reach a broker.
pub mod config {
    #[doc(inline)]
    pub use carrot_core::{Credentials, Host, Pem, Role, Scheme, Secret, TlsOptions};
}

/// The one error type, and the types in its variants.
pub mod error {
    #[doc(inline)]
    pub use carrot_core::{Cause, Returned};
}

#[cfg(feature = "memory")]
pub use carrot_backend_memory as memory;

#[cfg(feature = "amqp")]
pub use carrot_backend_amqp as amqp;

use backend::Connector;
use config::Scheme;

/// Connects to a broker: by a URL (`amqp://`, `amqps://`, `memory://`), or by
/// [`ConnectionOptions`].
///
/// Blocks until connected, the connect timeout of the options at most (10 s unless set otherwise).
///
/// # Errors
/// [`Error::Config`] if an option is unusable, or asks for a feature that is not compiled in.
/// [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`].
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

/// Connects as [`connect`], and waits for a broker that is not up yet.
///
/// Blocks until connected, `duration` at most.
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

/// Makes a connection that needs no broker yet: its publishers and consumers can be built while the
/// broker is away.
///
/// Does not block. Publishers and consumers connect in the background. A wrong address, a wrong
/// password or a refused declaration fails the first call that needs the broker, and is logged.
///
/// # Errors
/// [`Error::Config`] if an option is unusable, or asks for a feature that is not compiled in.
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

/// Connects as the environment says: to `CARROT_URL`; else to `AMQP_SERVER` or `AMQP_HOST`, with
/// `AMQP_PORT`, `AMQP_USER`, `AMQP_PASSWORD` and `AMQP_VHOST`, each optional.
///
/// # Errors
/// As [`connect`]; [`Error::Config`] names the variable.
pub fn connect_from_env() -> Result<Connection> {
    connect(ConnectionOptions::from_env()?)
}

fn connector(options: &ConnectionOptions) -> Result<Arc<dyn Connector>> {
    match options.scheme {
        #[cfg(feature = "memory")]
        Scheme::Memory => {
            let broker = options
                .hosts
                .first()
                .map_or_else(memory::Broker::new, |host| memory::Broker::named(&host.name));
            broker.connector_with(options)
        }
        #[cfg(feature = "amqp")]
        Scheme::Amqp | Scheme::Amqps => Ok(Arc::new(amqp::AmqpConnector::new(options)?)),
        #[allow(unreachable_patterns, reason = "what is left depends on the features")]
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
