mod form;

use std::sync::Arc;
use std::time::Duration;

use crate::backend::Acknowledgement;
use crate::codec::Codecs;
use crate::consumer::failure::{Afterwards, Retry, UndecodableHandler};
use crate::consumer::handler_error::HandlerError;
use crate::consumer::layer::HandleLayer;
use crate::consumer::message::Message;
use crate::consumer::settings::{BoundExchange, ConsumerSettings};
use crate::consumer::settlement::Settlement;
use crate::consumer::stream_offset::StreamOffset;
use crate::error::Error;
use crate::model::{Exchange, Headers, Queue, ShortString, Value};

/// The definition of a consumer, as plain data: its queue, the bindings of the queue, and how
/// messages are consumed.
///
/// A definition can be stored, cloned, and opened on any connection.
/// [`Connection::consumer`](crate::Connection::consumer) starts a definition that is bound to a
/// connection.
///
/// ```
/// use carrot::{Connection, Consumer, Exchange, Result, consume::ConsumerDefinition};
///
/// fn price_consumer(connection: &Connection) -> Result<Consumer> {
///     ConsumerDefinition::new("usd-prices")
///         .exchange(Exchange::topic("prices"))
///         .routing_key("usd.#")
///         .routing_key("*.usd")
///         .prefetch(100)
///         .open(connection)
/// }
/// ```
///
/// # Configuration files
///
/// A definition without a connection is serialized as a table whose fields have the names of the
/// setters. Every field except `queue` is optional when deserialized, and defaults to the default
/// of its setter.
///
/// ```
/// use carrot::consume::ConsumerDefinition;
///
/// let definition: ConsumerDefinition = serde_json::from_str(
///     r#"{
///         "queue": {"name": "usd-prices"},
///         "exchanges": [{
///             "exchange": {"name": "prices", "type": "topic"},
///             "routing_keys": ["usd.#", "*.usd"]
///         }],
///         "prefetch": 100,
///         "retry": {"first": 1, "longest": 60}
///     }"#,
/// )?;
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// * `exchanges` is a list of tables with the fields `exchange`, `routing_keys` and
///   `binding_arguments`. `arguments` is a table, and includes the priority when serialized.
/// * A duration is a number of seconds, whole or fractional. Setters without an argument are
///   booleans.
/// * At most one of `park`, `park_with` and `discard_failed` can be set.
/// * Serializing fails for a codec of the program, for [`on_undecodable`](Self::on_undecodable),
///   and for layers.
/// * Unknown fields are refused. Settings are refused with the errors of `build`, as far as the
///   check needs no connection.
///
/// The format must be self-describing, as JSON, TOML and YAML are.
#[derive(Debug, Clone)]
#[must_use = "a consumer is only opened by `build` or `open`"]
pub struct ConsumerDefinition<C = ()> {
    /// The connection that the definition is bound to, if any.
    pub(crate) connection: C,
    pub(crate) settings: ConsumerSettings,
}

impl ConsumerDefinition {
    /// Creates a definition for one queue, with the default settings. A string stands for a durable
    /// queue of that name.
    pub fn new(queue: impl Into<Queue>) -> ConsumerDefinition {
        ConsumerDefinition { connection: (), settings: ConsumerSettings::new(queue.into()) }
    }
}

/// Settings. Each replaces the previous value, except where noted.
impl<C> ConsumerDefinition<C> {
    /// Adds an exchange to bind the queue to. The consumer declares the exchange when it opens. A
    /// string stands for a durable direct exchange of that name. [`Exchange::existing`] is only
    /// checked.
    ///
    /// The routing keys and bindings set next belong to this exchange. Without any, the queue is
    /// bound with the empty routing key. Can be called several times.
    ///
    /// Defaults to none. The default exchange routes to every queue by its name.
    pub fn exchange(mut self, exchange: impl Into<Exchange>) -> Self {
        self.settings
            .sources
            .push(BoundExchange { exchange: exchange.into(), bindings: Vec::new() });
        self
    }

    /// Adds a binding with this routing key or pattern, at most 255 bytes. Belongs to the last
    /// exchange added before, which is required.
    ///
    /// Defaults to one binding with the empty key.
    pub fn routing_key(mut self, routing_key: impl Into<String>) -> Self {
        self.settings.bind(routing_key.into(), Headers::new());
        self
    }

    /// Adds a binding with arguments, for a headers exchange: the headers to match, and `x-match`
    /// with `all` (the default) or `any`. Belongs to the last exchange added before, which is
    /// required.
    ///
    /// Defaults to none.
    pub fn binding_arguments(mut self, arguments: impl Into<Headers>) -> Self {
        self.settings.bind(String::new(), arguments.into());
        self
    }

    /// Sets the prefetch: the number of unacknowledged messages at this consumer, 1 to 65,535. All
    /// worker threads share the prefetch.
    ///
    /// Defaults to 32 messages.
    pub fn prefetch(mut self, messages: u16) -> Self {
        self.settings.options.prefetch = messages;
        self
    }

    /// Bounds the bytes of message bodies that a run of this consumer holds, by its prefetch. Suits
    /// queues with messages of many sizes.
    ///
    /// AMQP limits the number of prefetched messages, not their bytes. When a run holds more than
    /// `bytes`, the run cancels its subscription, delivers the messages that have arrived, and
    /// subscribes again. The new prefetch is `bytes` divided by the largest size
    /// seen: at least 1, at most [`prefetch`](Self::prefetch). No message is requeued or delivered
    /// twice for that, and the order is kept. The prefetch grows again when the last
    /// `10 × prefetch` messages allow twice the number, after which the next excess is possible.
    ///
    /// Before the cancel, the run withholds the settlements of up to `prefetch` messages until the
    /// window is full, because RabbitMQ can lose sight of messages of a quorum queue that it sends
    /// during a cancel. A settlement can therefore wait until the next message is received. If the
    /// connection is lost meanwhile, these messages are delivered again.
    ///
    /// A run holds at most `prefetch × L` bytes, where `L` is the size of the largest message.
    /// After the change, a run holds at most `bytes`, or one message if that is larger. Messages
    /// of the subscription before that handlers still hold come on top.
    ///
    /// Each change takes two round trips, during which no message arrives. Other consumers of the
    /// queue receive meanwhile: an exclusive consumer can lose its queue to another one, and a
    /// single active consumer passes its turn on.
    ///
    /// With automatic acknowledgement, `bytes` replaces the bound of
    /// [`automatic_acknowledgement`](Self::automatic_acknowledgement).
    ///
    /// Headers and properties are not counted. [`fetch`](crate::Consumer::fetch) is not bounded,
    /// because each call holds one message. Queues that are deleted with their last consumer, and
    /// streams, fail with [`Error::Invalid`].
    ///
    /// Defaults to no bound but the prefetch.
    pub fn max_held_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_held_bytes = Some(bytes);
        self
    }

    /// Limits what a compressed body inflates to, in bytes. A larger body fails with
    /// [`Error::TooLarge`], as an undecodable one. 0 refuses every compressed body that is not
    /// empty.
    ///
    /// A few kilobytes can inflate to gigabytes. The memory for a body is taken as its bytes
    /// appear, and freed once the body is decoded. Each thread that decodes holds one body, and two
    /// if the body was compressed twice. [`decode`](Message::decode) takes more for the value.
    ///
    /// Does not limit bodies that are not compressed. [`max_held_bytes`](Self::max_held_bytes)
    /// counts bodies as received.
    ///
    /// Defaults to 64 MiB.
    pub fn max_inflated_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_inflated_bytes = bytes;
        self
    }

    /// Enables automatic acknowledgement: the broker deletes each message when it is sent.
    /// Consuming is faster, but a crash loses all messages in memory.
    ///
    /// Settling then does nothing, and the prefetch limits nothing.
    ///
    /// At most 64 MiB wait in the process, or the bytes of
    /// [`max_held_bytes`](Self::max_held_bytes), and those that one read of the socket adds. The
    /// consumer has a connection of its own for that, with three threads, which is not read while
    /// more waits. RabbitMQ ends a connection if one of its writes takes more than 30 s. The
    /// messages that it has sent by then, and that no handler has received, are **lost**. Handlers
    /// that can be this slow need manual acknowledgement.
    ///
    /// A stop reads what the broker sends until it has answered. Consumers of exclusive queues use
    /// the common connection, because the queue belongs to it, and nothing bounds what waits for
    /// them.
    ///
    /// Defaults to manual acknowledgement.
    pub fn automatic_acknowledgement(mut self) -> Self {
        self.settings.options.acknowledgement = Acknowledgement::Automatic;
        self
    }

    /// Requires that the queue has no other consumer.
    ///
    /// Defaults to sharing the queue.
    pub fn exclusive(mut self) -> Self {
        self.settings.options.exclusive = true;
        self
    }

    /// Sets the priority among the queue's consumers (`x-priority`). Consumers with a higher
    /// priority are served first.
    ///
    /// Defaults to 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.settings.options.arguments.insert("x-priority", priority);
        self
    }

    /// Sets the place in a stream where each run starts (`x-stream-offset`). Marks the queue as a
    /// stream, also if it is [existing](Queue::existing).
    ///
    /// After a lost connection, a run continues at its first message that is not settled. Messages
    /// that the run settled before the loss are not delivered to it again. A run that has received
    /// nothing starts at `offset` again. With [`StreamOffset::Next`], it misses the messages that
    /// were written during the outage.
    ///
    /// The position belongs to the run, and is not stored. A later run, and a new process, start at
    /// `offset`. To continue there, store [`Message::stream_offset`] plus 1, and pass it as
    /// [`StreamOffset::Number`].
    ///
    /// # Streams
    ///
    /// A stream keeps its messages, and takes none back. Therefore:
    ///
    /// * [`messages`], [`wait`] and [`workers`] read a stream. [`fetch`] and [`purge`] fail with
    ///   [`Error::Invalid`].
    /// * A failed message is tried again by its worker, after the pauses of
    ///   [`retry`](Self::retry), and then parked. No copy is appended to the stream. After
    ///   10 minutes of pauses, the next failure parks the message.
    /// * [`Message::reject`] skips the message. [`Message::requeue`] fails.
    ///   [`Settlement::Requeue`] counts as a failure. A message that is dropped unsettled is
    ///   skipped, and logged at warn level.
    /// * The prefetch is the number of messages that the broker sends ahead of acknowledgements.
    ///   A larger [`prefetch`](Self::prefetch) is faster. RabbitMQ 3.10 sends whole chunks, and
    ///   with them more messages.
    ///
    /// [`automatic_acknowledgement`](Self::automatic_acknowledgement),
    /// [`requeue_failed`](Self::requeue_failed), [`priority`](Self::priority) and
    /// [`max_held_bytes`](Self::max_held_bytes) are refused when the consumer is opened. These
    /// rules need a definition that describes the stream: [`Queue::stream`], or an offset.
    ///
    /// Defaults to [`StreamOffset::Next`], the default of the broker.
    ///
    /// [`messages`]: crate::Consumer::messages
    /// [`wait`]: crate::Consumer::wait
    /// [`workers`]: crate::Consumer::workers
    /// [`fetch`]: crate::Consumer::fetch
    /// [`purge`]: crate::Consumer::purge
    ///
    /// ```
    /// # fn example(connection: &carrot::Connection) -> carrot::Result<()> {
    /// use carrot::{Queue, consume::StreamOffset};
    ///
    /// let consumer = connection
    ///     .consumer(Queue::new("events").stream())
    ///     .stream_offset(StreamOffset::First)
    ///     .prefetch(500)
    ///     .build()?;
    /// for message in consumer.messages()? {
    ///     let message = message?;
    ///     println!("{:?}: {:?}", message.stream_offset(), message.text());
    ///     message.ack()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream_offset(mut self, offset: StreamOffset) -> Self {
        self.settings.stream_offset = Some(offset);
        self
    }

    /// Adds a consumer argument.
    ///
    /// Defaults to none.
    pub fn argument(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Self {
        self.settings.options.arguments.insert(name, value);
        self
    }

    /// Adds a layer around the handling of each message, inside those added before. Can be called
    /// several times.
    ///
    /// Defaults to the layers of the connection, which are outside.
    pub fn layer(mut self, layer: impl HandleLayer) -> Self {
        self.settings.layers.push(layer);
        self
    }

    /// Ends the run with the last error when reconnecting has failed for this long.
    ///
    /// Defaults to retrying forever.
    pub fn give_up_after(mut self, outage: Duration) -> Self {
        self.settings.give_up_after = Some(outage);
        self
    }

    /// Declares the queue and its bindings again if the queue is deleted during a run, and
    /// continues.
    ///
    /// Defaults to ending the run with [`Error::Cancelled`].
    pub fn redeclare_if_deleted(mut self) -> Self {
        self.settings.redeclares = true;
        self
    }

    /// Sets the number of attempts at a failed message, and the pauses between attempts. See
    /// [`Handler`](crate::Handler). [`Retry::never`] parks a message at its first failure.
    ///
    /// # Retries by the broker
    ///
    /// If the queue of this definition has [`Queue::delayed_retry`], the broker keeps a failed
    /// message for the pause of the queue, and no copy is sent. The pauses of `retry` do not apply;
    /// its number of attempts does. [`Message::attempt`] then is the broker's count of failed
    /// deliveries plus 1. After the last attempt, the message is parked as usual.
    ///
    /// A lost connection, or a process that ends, is a failed delivery. If the count reaches the
    /// [`delivery_limit`](Queue::delivery_limit) of the queue first, the broker dead-letters the
    /// message, or **drops** the message if the queue has no dead-letter exchange. A definition
    /// whose attempts alone exceed the limit of such a queue fails with [`Error::Invalid`].
    ///
    /// A pause that the handler chooses ([`Settlement::RetryAfter`]) uses a waiting queue. So do
    /// all failures on RabbitMQ before 4.3, which ignores the arguments; the consumer then logs a
    /// warning when a run with handlers starts. [`Queue::existing`] proves nothing about the queue:
    /// use [`requeue_failed`](Self::requeue_failed) there.
    ///
    /// Defaults to five attempts, after pauses of 1, 2, 4 and 8 s.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.settings.failures.retry = Some(retry);
        self
    }

    /// Sets the name of the parking queue, to which messages are moved after their last attempt.
    ///
    /// An existing queue of that name is used unchanged. Otherwise, the queue is declared when a
    /// run with handlers starts: durable, and as a quorum queue if the broker supports quorum
    /// queues.
    ///
    /// Defaults to the name of the consumer's queue, followed by `.failed`.
    pub fn park(mut self, queue: impl Into<String>) -> Self {
        self.settings.failures.afterwards = Some(Afterwards::ParkIn(queue.into()));
        self
    }

    /// Sets the definition of the parking queue, for example to limit its length. A full queue
    /// drops or refuses messages.
    ///
    /// Defaults to the queue described at [`park`](Self::park).
    pub fn park_with(mut self, queue: impl Into<Queue>) -> Self {
        self.settings.failures.afterwards = Some(Afterwards::ParkWith(Box::new(queue.into())));
        self
    }

    /// Rejects a message after its last attempt instead of parking it. The broker dead-letters the
    /// message if the queue has a dead-letter exchange. Otherwise the message is **lost**.
    ///
    /// Defaults to parking.
    pub fn discard_failed(mut self) -> Self {
        self.settings.failures.afterwards = Some(Afterwards::Discard);
        self
    }

    /// Requeues a failed message at once with `basic.reject`. The broker then counts the attempts.
    ///
    /// Use with quorum queues that have a delivery limit *and* a dead-letter exchange, or with
    /// RabbitMQ's delayed retry. On any other queue, a poison message is redelivered forever and
    /// without pause. A quorum queue without a dead-letter exchange **drops** a message at its
    /// delivery limit. RabbitMQ 4.0 and later default the limit to 20 deliveries.
    ///
    /// Defaults to retries and parking by Carrot.
    pub fn requeue_failed(mut self) -> Self {
        self.settings.failures.requeues = true;
        self
    }

    /// Pauses the whole consumer for 1 s after this number of consecutive failures. Suits a handler
    /// that depends on a service which may be down.
    ///
    /// If the first attempt after a pause fails, the next pause doubles, up to 60 s. Permanent
    /// failures and bodies that cannot be decoded do not count. Each run counts on its own. Each
    /// pause is logged at warn level.
    ///
    /// Defaults to no pause.
    pub fn pause_after_failures(mut self, failures: u32) -> Self {
        self.settings.failures.pause_after = Some(failures);
        self
    }

    /// Sets a handler for messages whose body cannot be decoded, or that are
    /// [`unreadable`](Message::unreadable). `Err` fails the message. An unreadable message that
    /// fails, or for which the handler returns [`RetryAfter`](Settlement::RetryAfter) or
    /// [`Park`](Settlement::Park), is rejected.
    ///
    /// Defaults to failing the message, because a newer version of the program may be able to
    /// decode it.
    pub fn on_undecodable(
        mut self,
        handler: impl Fn(&Message, &Error) -> Result<Settlement, HandlerError> + Send + Sync + 'static,
    ) -> Self {
        self.settings.failures.on_undecodable = Some(UndecodableHandler(Arc::new(handler)));
        self
    }

    /// Sets the codecs that decode bodies, by content type.
    ///
    /// Defaults to [`Codecs::default`]: JSON, text, raw bytes and, with its feature, MessagePack,
    /// but not bincode. JSON also decodes messages without a content type.
    pub fn codecs(mut self, codecs: impl Into<Codecs>) -> Self {
        self.settings.codecs = codecs.into();
        self
    }
}
