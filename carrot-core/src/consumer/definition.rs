use std::sync::Arc;
use std::time::Duration;

use crate::backend::Acknowledgement;
use crate::codec::Codecs;
use crate::consumer::failure::{Afterwards, Retry, UndecodableHandler};
use crate::consumer::handler_error::HandlerError;
use crate::consumer::message::Message;
use crate::consumer::settings::{BoundExchange, ConsumerSettings};
use crate::consumer::settlement::Settlement;
use crate::error::Error;
use crate::model::{Exchange, Headers, Queue, ShortString, Value};

/// What a consumer is to be, as plain data: its queue, where that is bound, and how messages are
/// taken from it.
///
/// It can be kept, cloned, and opened on any connection; together with a
/// [`Handler`](crate::Handler) it is what a sub-class of `Consumer` is in carrot for Python.
/// [`Connection::consumer`](crate::Connection::consumer) gives the same settings bound to a
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
#[derive(Debug, Clone)]
#[must_use = "a consumer is only opened by `build` or `open`"]
pub struct ConsumerDefinition<C = ()> {
    /// The connection that it is bound to, if any.
    pub(crate) connection: C,
    pub(crate) settings: ConsumerSettings,
}

impl ConsumerDefinition {
    /// The defaults, for one queue. A string stands for a durable queue of that name.
    pub fn new(queue: impl Into<Queue>) -> ConsumerDefinition {
        ConsumerDefinition { connection: (), settings: ConsumerSettings::new(queue.into()) }
    }
}

/// Settings. Each takes the place of what was set before, unless it says otherwise.
impl<C> ConsumerDefinition<C> {
    /// An exchange to bind the queue to. It is declared when the consumer opens; a string stands
    /// for a durable direct exchange of that name, and [`Exchange::existing`] is not declared but
    /// checked. The routing keys and bindings that follow belong to it; without any, the queue is
    /// bound with the empty routing key. It can be called several times. Defaults to none: every
    /// queue is reached by its name through the default exchange.
    pub fn exchange(mut self, exchange: impl Into<Exchange>) -> Self {
        self.settings
            .sources
            .push(BoundExchange { exchange: exchange.into(), bindings: Vec::new() });
        self
    }

    /// One more routing key, or pattern, to bind the queue with, at most 255 bytes. Belongs to the
    /// exchange named last; an exchange has to be named. Defaults to the empty key.
    pub fn routing_key(mut self, routing_key: impl Into<String>) -> Self {
        self.settings.bind(routing_key.into(), Headers::new());
        self
    }

    /// One more binding by arguments: for a headers exchange, what messages have to carry, and
    /// `x-match` for `all` (the default) or `any` of it. Belongs to the exchange named last; an
    /// exchange has to be named. Defaults to none.
    pub fn binding_arguments(mut self, arguments: impl Into<Headers>) -> Self {
        self.settings.bind(String::new(), arguments.into());
        self
    }

    /// How many unsettled messages the broker sends ahead to this consumer, 1 to 65,535; shared by
    /// all its worker threads. Defaults to 32.
    pub fn prefetch(mut self, messages: u16) -> Self {
        self.settings.options.prefetch = messages;
        self
    }

    /// Has the broker forget each message as soon as it is sent: faster, and whatever is in memory
    /// is lost with a crash. Settling does nothing, and prefetch limits nothing. Defaults to manual
    /// acknowledgement.
    pub fn automatic_acknowledgement(mut self) -> Self {
        self.settings.options.acknowledgement = Acknowledgement::Automatic;
        self
    }

    /// Demands to be the queue's only consumer. Defaults to sharing it.
    pub fn exclusive(mut self) -> Self {
        self.settings.options.exclusive = true;
        self
    }

    /// The priority among the queue's consumers (`x-priority`): those with higher ones are served
    /// first. Defaults to 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.settings.options.arguments.insert("x-priority", priority);
        self
    }

    /// One more consumer argument. Defaults to none.
    pub fn argument(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Self {
        self.settings.options.arguments.insert(name, value);
        self
    }

    /// Ends a run, with the cause as its error, when its connection was lost and could not be made
    /// again for so long. Defaults to going on for ever.
    pub fn give_up_after(mut self, outage: Duration) -> Self {
        self.settings.give_up_after = Some(outage);
        self
    }

    /// Declares the queue and its bindings again if somebody deletes the queue during a run, and
    /// goes on. Defaults to ending the run with [`Error::Cancelled`].
    pub fn redeclare_if_deleted(mut self) -> Self {
        self.settings.redeclares = true;
        self
    }

    /// How often a message is tried at which a handler fails, and after which pauses; see
    /// [`Handler`](crate::Handler). Defaults to five attempts, after pauses of 1, 2, 4 and 8 s.
    /// [`Retry::never`] parks at the first failure.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.settings.failures.retry = Some(retry);
        self
    }

    /// The name of the queue in which messages are parked after their last attempt. A queue of that
    /// name that exists serves as it is; otherwise it is declared when a run with handlers starts:
    /// durable, and a quorum queue where the broker has them. Defaults to the name of the
    /// consumer's queue with `.failed` behind it.
    pub fn park(mut self, queue: impl Into<String>) -> Self {
        self.settings.failures.afterwards = Some(Afterwards::ParkIn(queue.into()));
        self
    }

    /// The same with a definition of the queue, for limits on what is parked. Mind that a queue
    /// that is full drops or refuses messages.
    pub fn park_with(mut self, queue: impl Into<Queue>) -> Self {
        self.settings.failures.afterwards = Some(Afterwards::ParkWith(Box::new(queue.into())));
        self
    }

    /// Rejects a message after its last attempt, in place of parking it: it goes to the queue's
    /// dead-letter exchange if it has one, else it is **lost**. Defaults to parking.
    pub fn discard_failed(mut self) -> Self {
        self.settings.failures.afterwards = Some(Afterwards::Discard);
        self
    }

    /// Requeues a failed message at once by `basic.reject`, and leaves the counting to the broker:
    /// for quorum queues with a delivery limit *and* a dead-letter exchange, or with RabbitMQ's own
    /// delayed retry. On any other queue a message that always fails comes back for ever, without a
    /// pause. A quorum queue without a dead-letter exchange **drops** a message at its limit, which
    /// is 20 unless set otherwise since RabbitMQ 4.0. Defaults to retries and parking by Carrot.
    pub fn requeue_failed(mut self) -> Self {
        self.settings.failures.requeues = true;
        self
    }

    /// Pauses the whole consumer after this number of failures in a row, for 1 s. While the first
    /// attempt after each pause fails, the next pauses are 2 s, 4 s and so on, 60 s at most. For a
    /// handler that depends on a service which may be down. Permanent failures and bodies that
    /// cannot be decoded do not count. Each run counts on its own. A line is logged at warn level.
    /// Defaults to no pause.
    pub fn pause_after_failures(mut self, failures: u32) -> Self {
        self.settings.failures.pause_after = Some(failures);
        self
    }

    /// Has `handler` decide about messages whose body cannot be decoded. `Err` fails the message,
    /// as without a handler. Defaults to failing them: a newer version of the program may be able
    /// to read what this one cannot.
    pub fn on_undecodable(
        mut self,
        handler: impl Fn(&Message, &Error) -> Result<Settlement, HandlerError> + Send + Sync + 'static,
    ) -> Self {
        self.settings.failures.on_undecodable = Some(UndecodableHandler(Arc::new(handler)));
        self
    }

    /// Which content types are decoded, and how. Defaults to [`Codecs::default`]: JSON,
    /// which also reads messages that name no content type, text, and raw bytes; not bincode.
    pub fn codecs(mut self, codecs: impl Into<Codecs>) -> Self {
        self.settings.codecs = codecs.into();
        self
    }
}
