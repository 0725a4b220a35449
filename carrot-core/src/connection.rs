use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::{Connector, Declare, Delete, DeleteIf, Event, QueueInfo, Role, validate};
use crate::call::caller::Caller;
use crate::call::definition::CallerDefinition;
use crate::call::settings::CallerSettings;
use crate::config::{ConnectionOptions, Secret};
use crate::consumer::Consumer;
use crate::consumer::definition::ConsumerDefinition;
use crate::consumer::layer::{HandleLayer, HandleLayers};
use crate::consumer::settings::ConsumerSettings;
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{Binding, Exchange, Queue};
use crate::publish_layer::layer::{PublishLayer, PublishLayers};
use crate::publisher::Publisher;
use crate::publisher::definition::PublisherDefinition;
use crate::publisher::settings::PublisherSettings;
use crate::recovery::handle::ConnectionHandle;
use crate::statistics::Statistics;
use crate::statistics::health::Health;
use crate::topology::{Topology, TopologyCheck};

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

    /// Declares an exchange. Only checks that the exchange exists if `exchange` is
    /// [`Exchange::existing`].
    ///
    /// Blocks for one round trip, at most for the call timeout, and for connecting if the
    /// connection is not open.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the exchange exists with other properties.
    /// - [`Error::NotFound`]: an existing exchange was expected, and there is none.
    /// - [`Error::AccessRefused`]: the name is reserved.
    /// - [`Error::HardError`], or [`Error::PreconditionFailed`] with RabbitMQ 4.0 and later: the
    ///   broker does not know the exchange type.
    /// - [`Error::Invalid`]: a name or an argument is out of its limits.
    /// - [`Error::Closed`]: the connection was closed.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    pub fn declare_exchange(&self, exchange: impl Into<Exchange>) -> Result<()> {
        self.handle.declare(Declare::Exchange(&exchange.into())).map(drop)
    }

    /// Declares a queue, and returns its name and its numbers of messages and consumers. Only
    /// checks that the queue exists if `queue` is [`Queue::existing`].
    ///
    /// Blocks as [`declare_exchange`](Connection::declare_exchange) does.
    ///
    /// # Errors
    /// - As [`declare_exchange`](Connection::declare_exchange).
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    pub fn declare_queue(&self, queue: impl Into<Queue>) -> Result<QueueInfo> {
        let queue = queue.into();
        queue.validate_delayed_length()?;
        self.handle.declare(Declare::Queue(&queue))
    }

    /// Binds a queue or an exchange to an exchange. Binding twice is no error.
    ///
    /// Blocks for one round trip, at most for the call timeout, and for connecting if the
    /// connection is not open.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: the source or the destination does not exist.
    /// - [`Error::AccessRefused`]: the source is the default exchange.
    /// - [`Error::Invalid`]: a name or an argument is out of its limits.
    /// - [`Error::Closed`]: the connection was closed.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    pub fn bind(&self, binding: &Binding) -> Result<()> {
        self.handle.declare(Declare::Binding(binding)).map(drop)
    }

    /// Removes the binding with the same source, destination, routing key and arguments. Removing a
    /// binding that does not exist is no error.
    ///
    /// Blocks as [`bind`](Connection::bind) does.
    ///
    /// # Errors
    /// As [`bind`](Connection::bind).
    pub fn unbind(&self, binding: &Binding) -> Result<()> {
        self.handle.delete(Delete::Binding(binding)).map(drop)
    }

    /// Declares the exchanges, then the queues, then the bindings of a topology.
    ///
    /// What exists with the same properties stays unchanged. Everything that needs no broker is
    /// checked before anything is declared. The declarations before a refusal stay.
    ///
    /// Blocks for one round trip for each entity, each at most for the call timeout, and for
    /// connecting if the connection is not open.
    ///
    /// ```
    /// use carrot::topology::Topology;
    ///
    /// let connection = carrot::connect("memory://")?;
    /// let topology: Topology =
    ///     serde_json::from_str(r#"{"queues": [{"name": "jobs"}, {"name": "reports"}]}"#)?;
    /// connection.declare_all(&topology)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::Declaration`]: an entity is invalid, or the broker refused it. Names the entity
    ///   and carries the error of [`declare_exchange`](Connection::declare_exchange),
    ///   [`declare_queue`](Connection::declare_queue) or [`bind`](Connection::bind).
    pub fn declare_all(&self, topology: &Topology) -> Result<()> {
        topology.declare(&self.handle)
    }

    /// Compares a topology with the broker, and lists every entity that differs. Changes nothing.
    ///
    /// An entity that exists is declared again with the properties of the topology, which the
    /// broker accepts only if they are equal. RabbitMQ names the first argument that differs. It
    /// creates the entity if another client deletes it in between. The comparison restarts the time
    /// after which an unused queue expires. AMQP cannot compare bindings;
    /// [`TopologyCheck::unchecked`] lists them.
    ///
    /// Blocks for two round trips for each entity, each at most for the call timeout, and for
    /// connecting if the connection is not open. Each difference costs a channel.
    ///
    /// ```
    /// use carrot::Queue;
    /// use carrot::topology::{DifferenceKind, Topology};
    ///
    /// let connection = carrot::connect("memory://")?;
    /// connection.declare_queue(Queue::new("jobs"))?;
    /// let topology = Topology::new().queue(Queue::new("jobs").max_length(10)).queue("reports");
    ///
    /// let check = connection.check(&topology)?;
    /// assert_eq!(check.differences[0].kind, DifferenceKind::Different);
    /// assert_eq!(check.differences[1].kind, DifferenceKind::Missing);
    /// println!("{check}");
    /// # Ok::<(), carrot::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::Declaration`]: an entity is invalid.
    /// - [`Error::Timeout`], [`Error::Disconnected`], [`Error::Closed`]: the broker did not answer.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    ///
    /// [`TopologyCheck::unchecked`]: crate::TopologyCheck::unchecked
    pub fn check(&self, topology: &Topology) -> Result<TopologyCheck> {
        topology.check(&self.handle)
    }

    /// Deletes an exchange. Deleting an exchange that does not exist is no error.
    ///
    /// Blocks for one round trip, at most for the call timeout, and for connecting if the
    /// connection is not open.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the exchange is in use, and `condition` forbids that.
    /// - [`Error::AccessRefused`]: the name is reserved.
    /// - [`Error::Invalid`]: a name or an argument is out of its limits.
    /// - [`Error::Closed`]: the connection was closed.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    pub fn delete_exchange(&self, name: &str, condition: DeleteIf) -> Result<()> {
        self.handle.delete(Delete::Exchange { name, condition }).map(drop)
    }

    /// Deletes a queue, and returns the number of ready messages deleted with it. Deleting a queue
    /// that does not exist is no error.
    ///
    /// Blocks for one round trip, at most for the call timeout, and for connecting if the
    /// connection is not open.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the queue is in use or not empty, and `condition` forbids
    ///   that.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    /// - [`Error::HardError`]: a quorum queue was given a condition, which RabbitMQ does not
    ///   support.
    /// - [`Error::Invalid`]: a name or an argument is out of its limits.
    /// - [`Error::Closed`]: the connection was closed.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    pub fn delete_queue(&self, name: &str, condition: DeleteIf) -> Result<u32> {
        self.handle.delete(Delete::Queue { name, condition })
    }

    /// Deletes the ready messages of a queue, and returns their number. Unacknowledged messages
    /// stay.
    ///
    /// Blocks for one round trip, at most for the call timeout, and for connecting if the
    /// connection is not open.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: the queue does not exist.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    /// - [`Error::Invalid`]: a name or an argument is out of its limits.
    /// - [`Error::Closed`]: the connection was closed.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    pub fn purge_queue(&self, queue: &str) -> Result<u32> {
        self.handle.delete(Delete::Messages { queue })
    }

    /// Returns whether a message would be sent on an open connection now. Suits a readiness probe
    /// and a circuit breaker.
    ///
    /// Checks the connection for publishers. Before the first publisher is built, checks the
    /// connection for consumers and declarations. Carrot reopens a lost connection in the
    /// background, within two seconds of the broker's return, even if no call uses the connection.
    ///
    /// Does not block.
    ///
    /// ```
    /// # use carrot::{Connection, Publisher};
    /// # fn example(connection: &Connection, publisher: &Publisher) -> Result<(), u16> {
    /// if !connection.is_connected() {
    ///     return Err(503);
    /// }
    /// publisher.try_publish("an order").map_err(|_| 503_u16)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_connected(&self) -> bool {
        self.handle.shared.is_connected()
    }

    /// Returns whether the connection of `role` is open. Does not block.
    pub fn is_connected_to(&self, role: Role) -> bool {
        self.handle.shared.connector.status(role).connected
    }

    /// Returns whether the broker has blocked publishing because memory or disk space is short.
    ///
    /// RabbitMQ reports the block to a connection only after that connection has published. Does
    /// not block.
    pub fn is_blocked(&self) -> bool {
        self.handle.shared.blocked().is_some()
    }

    /// Returns the numbers of messages, losses and pauses since the connection was created. They
    /// cover all of its publishers and consumers, the dropped ones included.
    ///
    /// Clones of a connection share the numbers. Nothing has to be switched on. A call reads the
    /// counters of each publisher, each consumer and each run that exists, so suits a few calls a
    /// second, not one for each message.
    ///
    /// Does not block, and does not ask the broker.
    ///
    /// ```
    /// # fn example(connection: &carrot::Connection) {
    /// let before = connection.statistics();
    /// std::thread::sleep(std::time::Duration::from_secs(10));
    /// let now = connection.statistics();
    /// let confirmed = now.publishing.confirmed - before.publishing.confirmed;
    /// println!("{} confirmed messages a second", confirmed / 10);
    /// if now.consuming.paused > before.consuming.paused {
    ///     eprintln!("failed messages can be neither copied nor parked");
    /// }
    /// # }
    /// ```
    pub fn statistics(&self) -> Statistics {
        self.handle.shared.statistics()
    }

    /// Returns the state of the connections to the broker, of the messages in flight and of the
    /// workers. [`Health::is_ready`] is the summary for a readiness probe.
    ///
    /// Does not block, and does not ask the broker. A broken network is seen once the operating
    /// system or a missing heartbeat reports the loss.
    ///
    /// ```
    /// # fn example(connection: &carrot::Connection) -> (u16, String) {
    /// let health = connection.health();
    /// let code = if health.is_ready() { 200 } else { 503 };
    /// (code, format!("{health:?}"))
    /// # }
    /// ```
    pub fn health(&self) -> Health {
        self.handle.shared.health()
    }

    /// Calls `hook` with the role and the reason each time a connection is lost. A connection that
    /// this program closes does not call `hook`.
    ///
    /// Publishers share one connection to the broker; consumers and declarations share another. An
    /// outage calls the hook once for each open connection.
    /// [`on_reconnect`](Connection::on_reconnect) is then called once for each recovered
    /// connection.
    ///
    /// Hooks run one after another, on a thread of their own, with no lock held. A hook may use
    /// the connection, for example to declare and to send. A hook that waits delays later hooks,
    /// not the reconnecting. While a hook does not return, the last 1,000 events are kept for it. A
    /// panic in a hook is logged at error level. Several hooks can be set, and none can be removed.
    /// A hook that holds a `Connection`, a publisher or a consumer keeps the connection open.
    ///
    /// ```
    /// # fn example(connection: &carrot::Connection) {
    /// connection.on_disconnect(|role, error| eprintln!("{role} connection: {error}"));
    /// connection.on_reconnect(|role| eprintln!("{role} connection: recovered"));
    /// connection.on_blocked(|role, reason| eprintln!("{role} connection: blocked: {reason}"));
    /// connection.on_unblocked(|role| eprintln!("{role} connection: unblocked"));
    /// # }
    /// ```
    pub fn on_disconnect(&self, hook: impl Fn(Role, &Error) + Send + Sync + 'static) {
        self.handle.shared.hooks.add(Arc::new(move |event| {
            if let Event::Disconnected { role, error } = event {
                hook(*role, error);
            }
        }));
    }

    /// Calls `hook` with the role each time a lost connection is recovered. See
    /// [`on_disconnect`](Connection::on_disconnect).
    pub fn on_reconnect(&self, hook: impl Fn(Role) + Send + Sync + 'static) {
        let lost = [AtomicBool::new(false), AtomicBool::new(false)];
        let flag = move |role: Role, now_lost: bool| {
            let [publishing, consuming] = &lost;
            let flag = if role == Role::Publish { publishing } else { consuming };
            flag.swap(now_lost, Ordering::AcqRel)
        };
        self.handle.shared.hooks.add(Arc::new(move |event| match event {
            Event::Disconnected { role, .. } => drop(flag(*role, true)),
            Event::Connected { role } if flag(*role, false) => hook(*role),
            _ => {}
        }));
    }

    /// Calls `hook` with the role and the broker's reason each time the broker blocks publishing on
    /// a connection. See [`on_disconnect`](Connection::on_disconnect).
    ///
    /// A consumer publishes, too, when it copies a failed message to another queue.
    pub fn on_blocked(&self, hook: impl Fn(Role, &str) + Send + Sync + 'static) {
        self.handle.shared.hooks.add(Arc::new(move |event| {
            if let Event::Blocked { role, reason } = event {
                hook(*role, reason);
            }
        }));
    }

    /// Calls `hook` with the role each time the broker unblocks publishing on a connection. See
    /// [`on_disconnect`](Connection::on_disconnect).
    pub fn on_unblocked(&self, hook: impl Fn(Role) + Send + Sync + 'static) {
        self.handle.shared.hooks.add(Arc::new(move |event| {
            if let Event::Unblocked { role } = event {
                hook(*role);
            }
        }));
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

impl PublisherDefinition {
    /// Binds the definition to a connection, for further settings.
    pub fn on(&self, connection: &Connection) -> PublisherDefinition<Connection> {
        PublisherDefinition { connection: connection.clone(), settings: self.settings.clone() }
    }

    /// Opens a publisher on `connection`, as [`build`](PublisherDefinition::build) does.
    ///
    /// # Errors
    /// As [`build`](PublisherDefinition::build).
    pub fn open(&self, connection: &Connection) -> Result<Publisher> {
        connection.open_publisher(self.settings.clone())
    }
}

impl PublisherDefinition<Connection> {
    /// Opens the publisher: opens a channel, and declares the exchange and the queue of
    /// [`queue`](Self::queue). A publisher of a lazy connection is opened in the background, and its
    /// first call reports these errors.
    ///
    /// Blocks for two to four round trips, and for connecting if the connection is not open. The
    /// connect timeout and the call timeout limit the wait.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: a setting is out of its limits.
    /// - [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`],
    ///   [`Error::Disconnected`]: connecting failed.
    /// - [`Error::PreconditionFailed`]: the exchange exists with other properties.
    /// - [`Error::NotFound`]: an existing exchange or queue was expected, and there is none.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    /// - [`Error::AccessRefused`]: the name of the exchange or of the queue is reserved.
    /// - [`Error::HardError`]: the broker does not know the exchange type.
    /// - [`Error::Closed`]: the connection was closed.
    pub fn build(self) -> Result<Publisher> {
        self.connection.open_publisher(self.settings)
    }
}

impl ConsumerDefinition {
    /// Binds the definition to a connection, for further settings.
    pub fn on(&self, connection: &Connection) -> ConsumerDefinition<Connection> {
        ConsumerDefinition { connection: connection.clone(), settings: self.settings.clone() }
    }

    /// Opens a consumer on `connection`, as [`build`](ConsumerDefinition::build) does.
    ///
    /// # Errors
    /// As [`build`](ConsumerDefinition::build).
    pub fn open(&self, connection: &Connection) -> Result<Consumer> {
        connection.open_consumer(self.settings.clone())
    }
}

impl ConsumerDefinition<Connection> {
    /// Opens the consumer: opens a channel, and declares the exchanges, the queue and the bindings.
    /// No message is delivered yet. A consumer of a lazy connection is opened in the background,
    /// and its first call reports these errors.
    ///
    /// Blocks for a round trip per declaration, and for connecting if the connection is not open.
    /// The connect timeout and the call timeout limit the wait.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: a setting is out of its limits.
    /// - [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`],
    ///   [`Error::Disconnected`]: connecting failed.
    /// - [`Error::PreconditionFailed`]: the queue or an exchange exists with other properties.
    /// - [`Error::NotFound`]: an existing queue or exchange was expected, and there is none.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    /// - [`Error::AccessRefused`]: the name of an exchange or of the queue is reserved.
    /// - [`Error::HardError`]: the broker does not know the type of an exchange.
    /// - [`Error::Closed`]: the connection was closed.
    pub fn build(self) -> Result<Consumer> {
        self.connection.open_consumer(self.settings)
    }
}

impl CallerDefinition {
    /// Binds the definition to a connection, for further settings.
    pub fn on(&self, connection: &Connection) -> CallerDefinition<Connection> {
        CallerDefinition { connection: connection.clone(), settings: self.settings.clone() }
    }

    /// Opens a caller on `connection`, as [`build`](CallerDefinition::build) does.
    ///
    /// # Errors
    /// As [`build`](CallerDefinition::build).
    pub fn open(&self, connection: &Connection) -> Result<Caller> {
        connection.open_caller(self.settings.clone())
    }
}

impl CallerDefinition<Connection> {
    /// Opens the caller: opens a channel, declares the exchange, and subscribes to the answers. A
    /// caller of a lazy connection is opened by its first call, which reports these errors.
    ///
    /// Blocks for two to four round trips, and for connecting if the connection is not open. The
    /// connect timeout and the call timeout limit the wait.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: a setting is out of its limits.
    /// - [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`],
    ///   [`Error::Disconnected`]: connecting failed.
    /// - [`Error::PreconditionFailed`]: the exchange exists with other properties.
    /// - [`Error::NotFound`]: an existing exchange was expected, and there is none.
    /// - [`Error::AccessRefused`]: the name of the exchange is reserved.
    /// - [`Error::HardError`]: the broker does not know the exchange type.
    /// - [`Error::Closed`]: the connection was closed.
    pub fn build(self) -> Result<Caller> {
        self.connection.open_caller(self.settings)
    }
}
