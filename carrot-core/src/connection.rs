use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::backend::{Backend, ChannelOptions, Condition, Connector, Declare, Declared, Delete, Event};
use crate::guard::guard;
use crate::isolation::Isolation;
use crate::session::{Line, Session};
use crate::{
    Binding, ConnectionOptions, ConsumerBuilder, ConsumerDefinition, Error, Exchange, PublisherBuilder, PublisherDefinition, Queue, Result,
};

/// A way to one broker, through whichever backend is configured; makes publishers and consumers.
///
/// It is a cheap handle: clones share the same connection, from any thread. Its publishers and consumers each have a channel of their own
/// on it. The backend is reached when the first of them opens.
///
/// Dropping the last handle, with all publishers and consumers, ends the connection without waiting; [`close`](Connection::close) waits.
///
/// ```
/// use carrot_core::{Connection, Queue, Result};
///
/// fn set_up(connection: &Connection) -> Result<()> {
///     connection.declare_queue(Queue::new("jobs").dead_letter_exchange("failed-jobs"))?;
///     let publisher = connection.publisher().routing_key("jobs").build()?;
///     publisher.send("the first job")
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: Line,
    max_message_size: u64,
    administration: Session<()>,
}

impl Connection {
    /// A connection through any connector, with default deadlines; for backends that bring their own, and for tests.
    pub fn new(connector: Arc<dyn Connector>) -> Connection {
        Connection::with_options(connector, &ConnectionOptions::default())
    }

    /// A connection through any connector, with the deadlines and the largest message of `options`.
    pub fn with_options(connector: Arc<dyn Connector>, options: &ConnectionOptions) -> Connection {
        let line = Line::new(connector, options);
        let administration = Session::new(line.clone(), ChannelOptions::consume(), "connection", |_, _| Ok(()));
        Connection { shared: Arc::new(Shared { line, max_message_size: options.max_message_size, administration }) }
    }

    /// Connects now rather than with the first publisher or consumer, so that a wrong address or password shows at once. Does nothing if
    /// it is connected.
    ///
    /// Blocks until connected, the connect timeout at most.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`], [`Error::Disconnected`].
    pub fn open(&self) -> Result<()> {
        self.shared.administration.channel().map(drop)
    }

    /// Starts the definition of a publisher on this connection.
    pub fn publisher(&self) -> PublisherBuilder {
        PublisherDefinition::new().on(self)
    }

    /// Starts the definition of a consumer of `queue` on this connection. A string stands for a durable queue of that name.
    pub fn consumer(&self, queue: impl Into<Queue>) -> ConsumerBuilder {
        ConsumerDefinition::new(queue).on(self)
    }

    /// Declares an exchange, or checks that it exists if it is [`Exchange::existing`].
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// [`Error::Precondition`] if it exists with other properties, [`Error::NotFound`] if it was to exist and does not,
    /// [`Error::AccessRefused`] for a reserved name, [`Error::HardError`] or (RabbitMQ 4.0 and later) [`Error::Precondition`] for an exchange
    /// type that the broker does not know; what connecting gives.
    pub fn declare_exchange(&self, exchange: impl Into<Exchange>) -> Result<()> {
        self.declare(Declare::Exchange(&exchange.into())).map(drop)
    }

    /// Declares a queue, or checks that it exists if it is [`Queue::existing`]; tells its name and how many messages and consumers it has.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// As [`declare_exchange`](Connection::declare_exchange); [`Error::Locked`] if it is exclusive to another connection.
    pub fn declare_queue(&self, queue: impl Into<Queue>) -> Result<Declared> {
        self.declare(Declare::Queue(&queue.into()))
    }

    /// Binds a queue or exchange to an exchange. Binding twice is no error.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// [`Error::NotFound`] if either end does not exist, [`Error::AccessRefused`] for the default exchange; what connecting gives.
    pub fn bind(&self, binding: &Binding) -> Result<()> {
        self.declare(Declare::Binding(binding)).map(drop)
    }

    /// Undoes a binding with the same ends, routing key and arguments. Undoing what is not there is no error.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// As [`bind`](Connection::bind).
    pub fn unbind(&self, binding: &Binding) -> Result<()> {
        self.delete(Delete::Binding(binding)).map(drop)
    }

    /// Deletes an exchange. Deleting what does not exist is no error.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// [`Error::Precondition`] if it is in use and `condition` forbids that; [`Error::AccessRefused`] for a reserved name; what connecting
    /// gives.
    pub fn delete_exchange(&self, name: &str, condition: Condition) -> Result<()> {
        self.delete(Delete::Exchange { name, condition }).map(drop)
    }

    /// Deletes a queue; tells how many ready messages went with it. Deleting what does not exist is no error.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// [`Error::Precondition`] if it is in use or not empty and `condition` forbids that; [`Error::Locked`] if it is exclusive to another
    /// connection; [`Error::HardError`] for a condition on a quorum queue, which RabbitMQ does not know; what connecting gives.
    pub fn delete_queue(&self, name: &str, condition: Condition) -> Result<u32> {
        self.delete(Delete::Queue { name, condition })
    }

    /// Deletes the ready messages of a queue; tells how many. Messages that wait for their settlement stay.
    ///
    /// Blocks for one round trip, the call timeout at most.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Locked`]; what connecting gives.
    pub fn purge(&self, queue: &str) -> Result<u32> {
        self.delete(Delete::Messages { queue })
    }

    /// Whether the connection is open now. It says nothing of the next moment: a call is the only sure way to find out.
    pub fn is_connected(&self) -> bool {
        self.shared.line.connector.status().connected
    }

    /// Whether the broker has blocked publishing, for want of memory or disk. A broker tells so only once something is published.
    pub fn is_blocked(&self) -> bool {
        self.shared.line.connector.status().blocked.is_some()
    }

    /// Has `hook` called, with the reason, each time the connection is lost; not when this program closes it.
    ///
    /// All hooks are called on a thread of the driver, with no lock held. A panic in one is logged at error level. They should return soon: what is known about the connection
    /// waits for them. They are kept for as long as the connection, and several can be set.
    ///
    /// ```
    /// # fn example(connection: &carrot_core::Connection) {
    /// connection.on_disconnect(|error| eprintln!("connection lost: {error}"));
    /// connection.on_reconnect(|| eprintln!("connected again"));
    /// connection.on_blocked(|reason| eprintln!("the broker takes no messages: {reason}"));
    /// connection.on_unblocked(|| eprintln!("the broker takes messages again"));
    /// # }
    /// ```
    pub fn on_disconnect(&self, hook: impl Fn(&Error) + Send + Sync + 'static) {
        self.observe(move |event| {
            if let Event::Disconnected(error) = event {
                hook(error);
            }
        });
    }

    /// Has `hook` called each time a lost connection is open again; see [`on_disconnect`](Connection::on_disconnect).
    pub fn on_reconnect(&self, hook: impl Fn() + Send + Sync + 'static) {
        let lost = AtomicUsize::new(0);
        self.observe(move |event| match event {
            Event::Disconnected(_) => drop(lost.fetch_add(1, Ordering::AcqRel)),
            Event::Connected if lost.fetch_update(Ordering::AcqRel, Ordering::Acquire, |lost| lost.checked_sub(1)).is_ok() => hook(),
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

    /// Has `hook` called each time the broker takes messages again; see [`on_disconnect`](Connection::on_disconnect).
    pub fn on_unblocked(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.observe(move |event| {
            if let Event::Unblocked = event {
                hook();
            }
        });
    }

    fn observe(&self, observer: impl Fn(&Event) + Send + Sync + 'static) {
        self.shared.line.connector.observe(Arc::new(move |event| {
            if let Err(panic) = guard(|| observer(event)) {
                log::error!("a hook of a connection failed: {panic}");
            }
        }));
    }

    /// Ends the connection, with every publisher and consumer on it: their calls give [`Error::Closed`] from now on. Messages that were
    /// not settled return to their queues. Close publishers first, to wait for their confirms.
    ///
    /// Blocks until the broker has answered, the call timeout at most. A second call does nothing.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the connection had to be cut.
    pub fn close(&self) -> Result<()> {
        self.shared.line.close();
        self.shared.administration.shut();
        self.shared.line.connector.close(self.shared.line.call_timeout)
    }

    /// The largest body that a publisher may send, in bytes.
    pub(crate) fn max_message_size(&self) -> u64 {
        self.shared.max_message_size
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.shared.line.call_timeout
    }

    pub(crate) fn isolation(&self) -> Arc<Isolation> {
        Arc::clone(&self.shared.line.isolation)
    }

    pub(crate) fn session<S: Clone>(
        &self,
        options: ChannelOptions,
        what: &'static str,
        set_up: impl Fn(&Arc<dyn Backend>, Instant) -> Result<S> + Send + Sync + 'static,
    ) -> Session<S> {
        Session::new(self.shared.line.clone(), options, what, set_up)
    }

    fn declare(&self, entity: Declare<'_>) -> Result<Declared> {
        self.shared.administration.call(|opened| opened.channel.declare(entity))
    }

    fn delete(&self, entity: Delete<'_>) -> Result<u32> {
        self.shared.administration.call(|opened| opened.channel.delete(entity)).map(|deleted| deleted.message_count)
    }
}
