use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::{Connector, Declare, Delete, DeleteIf, Event, QueueInfo, Role};
use crate::config::ConnectionOptions;
use crate::consumer::Consumer;
use crate::consumer::definition::ConsumerDefinition;
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::{Binding, Exchange, Queue};
use crate::panic_guard::guard;
use crate::publisher::Publisher;
use crate::publisher::definition::PublisherDefinition;
use crate::recovery::handle::ConnectionHandle;

/// A way to one broker, through whichever backend is configured; makes publishers and consumers.
///
/// It is a cheap handle: clones share the same connection, from any thread. Its publishers and
/// consumers each have a channel of their own on it. The backend is reached when the first of them
/// opens.
///
/// Dropping the last handle, with all publishers and consumers, ends the connection without
/// waiting; [`close`](Connection::close) waits.
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
}

impl Connection {
    /// A connection through any connector, with default deadlines; for backends that bring their
    /// own, and for tests.
    pub fn new(connector: Arc<dyn Connector>) -> Connection {
        Connection::with_options(connector, &ConnectionOptions::default())
    }

    /// A connection through any connector, with the deadlines and the largest message of `options`.
    pub fn with_options(connector: Arc<dyn Connector>, options: &ConnectionOptions) -> Connection {
        Connection::start(connector, options, false)
    }

    /// The same, with publishers and consumers that can be built while the broker is away. They
    /// connect in the background. A refused declaration fails the first call that needs the broker.
    pub fn lazy(connector: Arc<dyn Connector>, options: &ConnectionOptions) -> Connection {
        Connection::start(connector, options, true)
    }

    fn start(connector: Arc<dyn Connector>, options: &ConnectionOptions, lazy: bool) -> Connection {
        Connection { handle: Arc::new(ConnectionHandle::new(connector, options, lazy)) }
    }

    /// Connects now rather than with the first publisher or consumer, so that a wrong address or
    /// password shows at once. Does nothing if it is connected.
    ///
    /// Blocks until connected, the connect timeout at most.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`], [`Error::Disconnected`].
    pub fn open(&self) -> Result<()> {
        self.handle.open()
    }

    /// Connects as [`open`](Connection::open), and waits for a broker that is not up yet.
    ///
    /// Blocks until connected, `duration` at most.
    ///
    /// # Errors
    /// As [`open`](Connection::open). Errors that do not pass by themselves, such as
    /// [`Error::Authentication`], are returned at once.
    pub fn open_within(&self, duration: Duration) -> Result<()> {
        self.handle.open_before(deadline::after(duration))
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

    /// Declares an exchange, or checks that it exists if it is [`Exchange::existing`].
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if it exists with other properties, [`Error::NotFound`] if it
    /// was to exist and does not, [`Error::AccessRefused`] for a reserved name,
    /// [`Error::HardError`] or (RabbitMQ 4.0 and later) [`Error::PreconditionFailed`] for an
    /// exchange type that the broker does not know; what connecting gives.
    pub fn declare_exchange(&self, exchange: impl Into<Exchange>) -> Result<()> {
        self.handle.declare(Declare::Exchange(&exchange.into())).map(drop)
    }

    /// Declares a queue, or checks that it exists if it is [`Queue::existing`]; tells its name and
    /// how many messages and consumers it has.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// As [`declare_exchange`](Connection::declare_exchange); [`Error::ResourceLocked`] if it is
    /// exclusive to another connection.
    pub fn declare_queue(&self, queue: impl Into<Queue>) -> Result<QueueInfo> {
        self.handle.declare(Declare::Queue(&queue.into()))
    }

    /// Binds a queue or exchange to an exchange. Binding twice is no error.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// [`Error::NotFound`] if either end does not exist, [`Error::AccessRefused`] for the default
    /// exchange; what connecting gives.
    pub fn bind(&self, binding: &Binding) -> Result<()> {
        self.handle.declare(Declare::Binding(binding)).map(drop)
    }

    /// Undoes a binding with the same ends, routing key and arguments. Undoing what is not there is
    /// no error.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// As [`bind`](Connection::bind).
    pub fn unbind(&self, binding: &Binding) -> Result<()> {
        self.handle.delete(Delete::Binding(binding)).map(drop)
    }

    /// Deletes an exchange. Deleting what does not exist is no error.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if it is in use and `condition` forbids that;
    /// [`Error::AccessRefused`] for a reserved name; what connecting gives.
    pub fn delete_exchange(&self, name: &str, condition: DeleteIf) -> Result<()> {
        self.handle.delete(Delete::Exchange { name, condition }).map(drop)
    }

    /// Deletes a queue; tells how many ready messages went with it. Deleting what does not exist is
    /// no error.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if it is in use or not empty and `condition` forbids that;
    /// [`Error::ResourceLocked`] if it is exclusive to another connection; [`Error::HardError`] for
    /// a condition on a quorum queue, which RabbitMQ does not know; what connecting gives.
    pub fn delete_queue(&self, name: &str, condition: DeleteIf) -> Result<u32> {
        self.handle.delete(Delete::Queue { name, condition })
    }

    /// Deletes the ready messages of a queue; tells how many. Messages that wait for their
    /// settlement stay.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ResourceLocked`]; what connecting gives.
    pub fn purge(&self, queue: &str) -> Result<u32> {
        self.handle.delete(Delete::Messages { queue })
    }

    /// Whether a message would be sent on a live connection now: the connection for publishers, or,
    /// if no publisher was built yet, the one for consumers and declarations.
    ///
    /// Carrot makes a lost connection again in the background, within two seconds of the broker's
    /// return, also while nothing uses it. Suits a readiness probe and a circuit breaker. Does not
    /// block.
    ///
    /// ```
    /// # fn example(connection: &carrot::Connection, publisher: &carrot::Publisher) -> Result<(), u16> {
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

    /// Whether the connection of one role is open. Never blocks.
    pub fn is_connected_to(&self, role: Role) -> bool {
        self.handle.shared.connector.status(role).connected
    }

    /// Whether the broker has blocked publishing, for want of memory or disk. A broker tells so
    /// only once something is published.
    pub fn is_blocked(&self) -> bool {
        self.handle.shared.blocked().is_some()
    }

    /// Calls `hook` each time a connection is lost, with its role and the reason; not when this
    /// program closes it.
    ///
    /// Publishers share one connection to the broker, consumers and declarations another. An outage
    /// calls the hook once for each of the two that was open, and
    /// [`on_reconnect`](Connection::on_reconnect) once for each when it is back.
    ///
    /// All hooks are called on a thread of the driver, with no lock held. A panic in one is logged
    /// at error level. They should return soon: later events wait for them, and so does
    /// reconnecting. Hooks stay for as long as the connection, and several can be set.
    ///
    /// ```
    /// # fn example(connection: &carrot::Connection) {
    /// connection.on_disconnect(|role, error| eprintln!("{role} connection: {error}"));
    /// connection.on_reconnect(|role| eprintln!("{role} connection: open again"));
    /// connection.on_blocked(|reason| eprintln!("the broker takes no messages: {reason}"));
    /// connection.on_unblocked(|| eprintln!("the broker takes messages again"));
    /// # }
    /// ```
    pub fn on_disconnect(&self, hook: impl Fn(Role, &Error) + Send + Sync + 'static) {
        self.observe(move |event| {
            if let Event::Disconnected { role, error } = event {
                hook(*role, error);
            }
        });
    }

    /// Calls `hook` each time a lost connection is open again, with its role; see
    /// [`on_disconnect`](Connection::on_disconnect).
    pub fn on_reconnect(&self, hook: impl Fn(Role) + Send + Sync + 'static) {
        let lost = [AtomicBool::new(false), AtomicBool::new(false)];
        let flag = move |role: Role, now_lost: bool| {
            let [publishing, consuming] = &lost;
            let flag = if role == Role::Publish { publishing } else { consuming };
            flag.swap(now_lost, Ordering::AcqRel)
        };
        self.observe(move |event| match event {
            Event::Disconnected { role, .. } => drop(flag(*role, true)),
            Event::Connected { role } if flag(*role, false) => hook(*role),
            _ => {}
        });
    }

    /// Has `hook` called, with the broker's reason, each time it stops taking messages; see
    /// [`on_disconnect`](Connection::on_disconnect).
    pub fn on_blocked(&self, hook: impl Fn(&str) + Send + Sync + 'static) {
        self.observe(move |event| {
            if let Event::Blocked(reason) = event {
                hook(reason);
            }
        });
    }

    /// Has `hook` called each time the broker takes messages again; see
    /// [`on_disconnect`](Connection::on_disconnect).
    pub fn on_unblocked(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.observe(move |event| {
            if let Event::Unblocked = event {
                hook();
            }
        });
    }

    fn observe(&self, observer: impl Fn(&Event) + Send + Sync + 'static) {
        self.handle.shared.connector.observe(Arc::new(move |event| {
            if let Err(panic) = guard(|| observer(event)) {
                log::error!("a hook of a connection failed: {panic}");
            }
        }));
    }

    /// Ends the connection, with every publisher and consumer on it: their calls give
    /// [`Error::Closed`] from now on. Messages that were not settled return to their queues. Close
    /// publishers first, to wait for their confirms.
    ///
    /// Blocks until the broker has answered, the call timeout at most. A second call does nothing.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the connection had to be cut.
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }
}

impl PublisherDefinition {
    /// Binds the definition to a connection, for further settings.
    pub fn on(&self, connection: &Connection) -> PublisherDefinition<Connection> {
        PublisherDefinition { connection: connection.clone(), settings: self.settings.clone() }
    }

    /// Opens a publisher on a connection; as [`build`](PublisherDefinition::build).
    ///
    /// # Errors
    /// As [`build`](PublisherDefinition::build).
    pub fn open(&self, connection: &Connection) -> Result<Publisher> {
        Publisher::open(&connection.handle, self.settings.clone())
    }
}

impl PublisherDefinition<Connection> {
    /// Opens the publisher: a channel, and its exchange.
    ///
    /// Blocks for a few round trips, for connecting if need be, and at most for the connection's
    /// deadlines.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a setting out of its limits. [`Error::Connect`],
    /// [`Error::Authentication`], [`Error::Timeout`], [`Error::Disconnected`] from connecting.
    /// [`Error::PreconditionFailed`] if the exchange exists with other properties,
    /// [`Error::NotFound`] if it was to exist and does not, [`Error::AccessRefused`] if its name is
    /// reserved.
    pub fn build(self) -> Result<Publisher> {
        Publisher::open(&self.connection.handle, self.settings)
    }
}

impl ConsumerDefinition {
    /// Binds the definition to a connection, for further settings.
    pub fn on(&self, connection: &Connection) -> ConsumerDefinition<Connection> {
        ConsumerDefinition { connection: connection.clone(), settings: self.settings.clone() }
    }

    /// Opens a consumer on a connection; as [`build`](ConsumerDefinition::build).
    ///
    /// # Errors
    /// As [`build`](ConsumerDefinition::build).
    pub fn open(&self, connection: &Connection) -> Result<Consumer> {
        Consumer::open(&connection.handle, self.settings.clone())
    }
}

impl ConsumerDefinition<Connection> {
    /// Opens the consumer: a channel, its exchanges, its queue and the bindings between them. No
    /// message is taken yet.
    ///
    /// Blocks for a few round trips, for connecting if need be, and at most for the connection's
    /// deadlines.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a setting out of its limits. [`Error::Connect`],
    /// [`Error::Authentication`], [`Error::Timeout`], [`Error::Disconnected`] from connecting.
    /// [`Error::PreconditionFailed`] if the queue or exchange exists with other properties,
    /// [`Error::NotFound`] if one was to exist and does not, [`Error::ResourceLocked`] if the queue
    /// is exclusive to another connection, [`Error::AccessRefused`] for a reserved name.
    pub fn build(self) -> Result<Consumer> {
        Consumer::open(&self.connection.handle, self.settings)
    }
}
