//! The public handle: opens publishers, consumers and callers.

mod definitions;
mod observing;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Connector, validate};
use crate::call::caller::Caller;
use crate::call::definition::CallerDefinition;
use crate::call::settings::CallerSettings;
use crate::config::{ConnectionOptions, Secret};
use crate::consumer::Consumer;
use crate::consumer::definition::ConsumerDefinition;
use crate::consumer::layer::{HandleLayer, HandleLayers};
use crate::consumer::settings::ConsumerSettings;
use crate::deadline;
#[allow(unused_imports, reason = "the links of the documentation name it")]
use crate::error::Error;
use crate::error::Result;
use crate::model::Queue;
use crate::publish_layer::layer::{PublishLayer, PublishLayers};
use crate::publisher::Publisher;
use crate::publisher::definition::PublisherDefinition;
use crate::publisher::settings::PublisherSettings;
use crate::recovery::handle::ConnectionHandle;

/// A handle to one broker, through any backend. Opens publishers, consumers and callers.
///
/// Clones are cheap and share the same connection, and every thread may use them. Each publisher
/// and each consumer has its own channel. Publishers share one connection to the broker; consumers
/// and declarations share another.
///
/// Dropping the last handle, publisher and consumer closes the connection without waiting.
/// [`close`](Connection::close) waits.
///
/// ```
/// use carrot::{Connection, Queue, Result};
///
/// fn set_up(connection: &Connection) -> Result<()> {
///     connection.declare_queue(Queue::new("jobs").dead_letter_exchange("failed-jobs"))?;
///     let publisher = connection.publisher().routing_key("jobs").build()?;
///     publisher.send("the first job")
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Connection {
    handle: Arc<ConnectionHandle>,
    /// The layers of the publishers that this handle opens.
    publish_layers: PublishLayers,
    /// The layers of the consumers that this handle opens.
    handle_layers: HandleLayers,
}

impl Connection {
    /// Creates a connection through `connector`, with default options. For third-party backends and
    /// for tests.
    ///
    /// Does not block, and does not connect yet.
    pub fn new(connector: Arc<dyn Connector>) -> Connection {
        Connection::with_options(connector, &ConnectionOptions::default())
    }

    /// Creates a connection through `connector`, with the deadlines and the maximum message size of
    /// `options`.
    ///
    /// Does not block, and does not connect yet.
    pub fn with_options(connector: Arc<dyn Connector>, options: &ConnectionOptions) -> Connection {
        Connection::start(connector, options, false)
    }

    /// Creates a connection whose publishers and consumers can be built while the broker is down.
    ///
    /// The publishers and consumers connect in the background. If the broker refuses a declaration,
    /// the first call that needs the broker fails with that error. Does not block, and does not
    /// connect yet.
    pub fn lazy(connector: Arc<dyn Connector>, options: &ConnectionOptions) -> Connection {
        Connection::start(connector, options, true)
    }

    fn start(connector: Arc<dyn Connector>, options: &ConnectionOptions, lazy: bool) -> Connection {
        Connection {
            handle: Arc::new(ConnectionHandle::new(connector, options, lazy)),
            publish_layers: PublishLayers::default(),
            handle_layers: HandleLayers::default(),
        }
    }

    /// Opens the connection for consumers and declarations. Without this call, their first use
    /// opens it. A wrong address or password fails here. Does nothing if the connection is open.
    ///
    /// Blocks until the connection is open, at most for the connect timeout.
    ///
    /// # Errors
    /// - [`Error::Connect`]: no broker answered.
    /// - [`Error::Authentication`]: the broker refused the credentials.
    /// - [`Error::Timeout`]: the connect timeout passed.
    /// - [`Error::Disconnected`]: the connection was lost during the handshake.
    pub fn open(&self) -> Result<()> {
        self.handle.open()
    }

    /// Connects as [`open`](Connection::open) does, and retries while the broker is down.
    ///
    /// Blocks until the connection is open, at most for `duration`.
    ///
    /// # Errors
    /// As [`open`](Connection::open). Errors that a retry cannot cure, such as
    /// [`Error::Authentication`], are returned at once.
    pub fn open_within(&self, duration: Duration) -> Result<()> {
        self.handle.open_before(deadline::after(duration))
    }

    /// Replaces the password or token of the open connections, those of publishers and those of
    /// consumers, without reconnecting. For tokens of OAuth 2, which expire.
    ///
    /// Later connections, also after a loss, use the credentials of the options. Have a
    /// [credentials provider](ConnectionOptions::credentials_provider) return the new secret before
    /// this call, or the next reconnect uses the old one. Does nothing if no connection is open.
    ///
    /// RabbitMQ 3.8 and later support this. RabbitMQ keeps a connection while the token of its user
    /// is valid. RabbitMQ 3.10 refuses operations after that, and 4.x closes the connection. For a
    /// user with a password, RabbitMQ accepts every secret and changes nothing: only a new
    /// connection checks the password. The memory broker accepts every secret.
    ///
    /// `reason` has at most 255 bytes, for the log of the broker. The secret has at most about
    /// 130,000 bytes with the default frame size, and appears in no error and no log.
    ///
    /// Blocks for one round trip, at most for the call timeout. Does not connect.
    ///
    /// # Errors
    /// - [`Error::HardError`]: the broker refused the secret, and closed the connection. Carrot
    ///   reconnects with the credentials of the options.
    /// - [`Error::Invalid`]: the broker cannot replace secrets, or the secret or the reason is too
    ///   long.
    /// - [`Error::Timeout`], or [`Error::Blocked`] during an alarm: a connection has no answer yet.
    ///   The broker may accept the secret later.
    /// - [`Error::Disconnected`]: a connection was lost meanwhile.
    /// - [`Error::Closed`]: the connection was closed.
    ///
    /// The secret of the other connection is replaced also if one fails. Repeating the call is
    /// safe.
    ///
    /// A program whose tokens expire renews them on a thread of its own:
    ///
    /// ```no_run
    /// use std::sync::{Arc, Mutex, PoisonError};
    /// use std::thread;
    /// use std::time::Duration;
    ///
    /// use carrot::ConnectionOptions;
    ///
    /// /// Returns a token, and the time for which it is valid.
    /// fn new_token() -> Result<(String, Duration), std::io::Error> {
    /// #   Ok((String::new(), Duration::ZERO))
    ///     // Ask the token server.
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (token, mut valid_for) = new_token()?;
    /// let token = Arc::new(Mutex::new(token));
    /// let provided = Arc::clone(&token);
    /// let options = ConnectionOptions::new().credentials_provider(move || {
    ///     Ok(("", provided.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    /// });
    /// let connection = carrot::connect(options)?;
    ///
    /// let renewed = connection.clone();
    /// thread::spawn(move || {
    ///     loop {
    ///         // Leaves time for two more attempts.
    ///         thread::sleep(valid_for / 3);
    ///         let Ok((next, valid)) = new_token() else { continue };
    ///         *token.lock().unwrap_or_else(PoisonError::into_inner) = next.clone();
    ///         valid_for = valid;
    ///         if let Err(error) = renewed.update_secret(next, "the token expires") {
    ///             eprintln!("{error}");
    ///         }
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn update_secret(&self, secret: impl Into<Secret>, reason: &str) -> Result<()> {
        validate::short_string("reason", reason)?;
        self.handle.update_secret(secret.into().reveal(), reason)
    }

    /// Returns a handle to the same connection whose publishers, callers and servers have one more
    /// layer for what they send, before their own. Publishers that are open keep their layers.
    ///
    /// ```
    /// use carrot::layers::LogMessages;
    ///
    /// let connection = carrot::connect("memory://")?.with_publish_layer(LogMessages::new());
    /// # Ok::<(), carrot::Error>(())
    /// ```
    #[must_use = "the layer applies to publishers that the returned handle opens"]
    pub fn with_publish_layer(mut self, layer: impl PublishLayer) -> Connection {
        self.publish_layers.push(layer);
        self
    }

    /// Returns a handle to the same connection whose consumers have one more layer, outside their
    /// own. Consumers that are open keep their layers.
    ///
    /// ```
    /// use carrot::layers::LogMessages;
    ///
    /// let connection = carrot::connect("memory://")?.with_handle_layer(LogMessages::new());
    /// # Ok::<(), carrot::Error>(())
    /// ```
    #[must_use = "the layer applies to consumers that the returned handle opens"]
    pub fn with_handle_layer(mut self, layer: impl HandleLayer) -> Connection {
        self.handle_layers.push(layer);
        self
    }

    /// Returns a handle to the same connection with one more layer, around what it sends and around
    /// handling. Adds the same value by [`with_publish_layer`](Connection::with_publish_layer) and
    /// [`with_handle_layer`](Connection::with_handle_layer).
    ///
    /// A [`RateLimit`](crate::RateLimit) that is added here counts sent and handled messages
    /// together.
    ///
    /// ```
    /// use carrot::layers::{LogMessages, TraceContext};
    ///
    /// let connection = carrot::connect("memory://")?
    ///     .with_layer(TraceContext::new())
    ///     .with_layer(LogMessages::new());
    /// # Ok::<(), carrot::Error>(())
    /// ```
    #[must_use = "the layer applies to publishers and consumers that the returned handle opens"]
    pub fn with_layer(self, layer: impl PublishLayer + HandleLayer) -> Connection {
        let layer = Arc::new(layer);
        self.with_publish_layer(Arc::clone(&layer)).with_handle_layer(layer)
    }

    fn open_publisher(&self, mut settings: PublisherSettings) -> Result<Publisher> {
        settings.layers.prepend(&self.publish_layers);
        Publisher::open(&self.handle, settings)
    }

    fn open_caller(&self, mut settings: CallerSettings) -> Result<Caller> {
        settings.layers.prepend(&self.publish_layers);
        Caller::open(&self.handle, settings)
    }

    fn open_consumer(&self, mut settings: ConsumerSettings) -> Result<Consumer> {
        settings.layers.prepend(&self.handle_layers);
        settings.answer_layers = self.publish_layers.clone();
        Consumer::open(&self.handle, settings)
    }

    /// Starts the definition of a publisher on this connection.
    pub fn publisher(&self) -> PublisherDefinition<Connection> {
        PublisherDefinition::new().on(self)
    }

    /// Starts the definition of a consumer of `queue` on this connection. A string stands for a
    /// durable queue of that name.
    pub fn consumer(&self, queue: impl Into<Queue>) -> ConsumerDefinition<Connection> {
        ConsumerDefinition::new(queue).on(self)
    }

    /// Starts the definition of a caller of the server that consumes `queue`, on this connection.
    /// Requests go through the default exchange, unless the definition names another.
    ///
    /// The caller does not declare the queue. A call before the server has declared it fails with
    /// [`Error::Unroutable`].
    pub fn caller(&self, queue: impl Into<String>) -> CallerDefinition<Connection> {
        CallerDefinition::new(queue).on(self)
    }

    /// Closes the connection with its publishers and consumers. Their later calls fail with
    /// [`Error::Closed`].
    ///
    /// The broker requeues unacknowledged messages. Close publishers first to wait for their
    /// confirms. A second call does nothing.
    ///
    /// Blocks until the broker has answered, at most for the call timeout.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer, and the connection was cut.
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }
}
