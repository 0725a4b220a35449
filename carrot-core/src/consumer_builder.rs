use crate::backend::{Acknowledgement, Backend, ConsumeOptions, Declare};
use crate::failure::{Afterwards, FailureSettings, UndecodableHandler};
use crate::{
    Binding, Codecs, Connection, Consumer, Error, Exchange, HandlerError, Headers, Message, Queue, Result, Retry, Settlement, Value,
};
use std::sync::Arc;
use std::time::Duration;

/// What a consumer is to be, as plain data: its queue, where that is bound, and how messages are taken from it.
///
/// It can be kept, cloned, and opened on any connection; together with a [`Handler`](crate::Handler) it is what a sub-class of `Consumer`
/// is in carrot for Python. [`Connection::consumer`] gives the same settings bound to a connection.
///
/// ```
/// use carrot::{Connection, Consumer, ConsumerDefinition, Exchange, Result};
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
pub struct ConsumerDefinition {
    pub(crate) options: ConsumeOptions,
    pub(crate) codecs: Codecs,
    pub(crate) give_up_after: Option<Duration>,
    pub(crate) redeclares: bool,
    pub(crate) failures: FailureSettings,
    pub(crate) queue: Queue,
    sources: Vec<Source>,
}

/// An exchange, and the bindings from it to the queue.
#[derive(Debug, Clone)]
struct Source {
    exchange: Exchange,
    bindings: Vec<(String, Headers)>,
}

settings! {
    ConsumerDefinition, ConsumerBuilder;

    /// An exchange to bind the queue to. It is declared when the consumer opens; a string stands for a durable direct exchange of that
    /// name, and [`Exchange::existing`] is not declared but checked. The routing keys and bindings that follow belong to it; without any,
    /// the queue is bound with the empty routing key. It can be called several times. Defaults to none: every queue is reached by its
    /// name through the default exchange.
    fn exchange(mut self, exchange: impl Into<Exchange>) {
        self.sources.push(Source { exchange: exchange.into(), bindings: Vec::new() });
        self
    }

    /// One more routing key, or pattern, to bind the queue with, at most 255 bytes. Belongs to the exchange named last; an exchange has to
    /// be named. Defaults to the empty key.
    fn routing_key(mut self, routing_key: impl Into<String>) {
        self.bind(routing_key.into(), Headers::new());
        self
    }

    /// One more binding by arguments: for a headers exchange, what messages have to carry, and `x-match` for `all` (the default) or
    /// `any` of it. Belongs to the exchange named last; an exchange has to be named. Defaults to none.
    fn binding_arguments(mut self, arguments: impl Into<Headers>) {
        self.bind(String::new(), arguments.into());
        self
    }

    /// How many unsettled messages the broker sends ahead to this consumer, 1 to 65,535; shared by all its worker threads. Defaults to 32.
    fn prefetch(mut self, messages: u16) {
        self.options.prefetch = messages;
        self
    }

    /// Has the broker forget each message as soon as it is sent: faster, and whatever is in memory is lost with a crash. Settling does
    /// nothing, and prefetch limits nothing. Defaults to manual acknowledgement.
    fn automatic_acknowledgement(mut self) {
        self.options.acknowledgement = Acknowledgement::Automatic;
        self
    }

    /// Demands to be the queue's only consumer. Defaults to sharing it.
    fn exclusive(mut self) {
        self.options.exclusive = true;
        self
    }

    /// The priority among the queue's consumers (`x-priority`): those with higher ones are served first. Defaults to 0.
    fn priority(mut self, priority: i32) {
        self.options.arguments.insert("x-priority", priority);
        self
    }

    /// One more consumer argument. Defaults to none.
    fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.options.arguments.insert(name, value);
        self
    }

    /// Ends a run, with the cause as its error, when its connection was lost and could not be made again for so long. Defaults to going on
    /// for ever.
    fn give_up_after(mut self, outage: Duration) {
        self.give_up_after = Some(outage);
        self
    }

    /// Declares the queue and its bindings again if somebody deletes the queue during a run, and goes on. Defaults to ending the run with
    /// [`Error::Cancelled`].
    fn redeclare_if_deleted(mut self) {
        self.redeclares = true;
        self
    }

    /// How often a message is tried at which a handler fails, and after which pauses; see [`Handler`](crate::Handler). Defaults to five
    /// attempts, after pauses of 1, 2, 4 and 8 s. [`Retry::never`] parks at the first failure.
    fn retry(mut self, retry: Retry) {
        self.failures.retry = Some(retry);
        self
    }

    /// The name of the queue in which messages are parked after their last attempt. A queue of that name that exists serves as it is;
    /// otherwise it is declared when a run with handlers starts: durable, and a quorum queue where the broker has them. Defaults to the
    /// name of the consumer's queue with `.failed` behind it.
    fn park(mut self, queue: impl Into<String>) {
        self.failures.afterwards = Some(Afterwards::ParkIn(queue.into()));
        self
    }

    /// The same with a definition of the queue, for limits on what is parked. Mind that a queue that is full drops or refuses messages.
    fn park_with(mut self, queue: impl Into<Queue>) {
        self.failures.afterwards = Some(Afterwards::ParkWith(Box::new(queue.into())));
        self
    }

    /// Rejects a message after its last attempt, in place of parking it: it goes to the queue's dead-letter exchange if it has one, else
    /// it is **lost**. Defaults to parking.
    fn discard_failed(mut self) {
        self.failures.afterwards = Some(Afterwards::Discard);
        self
    }

    /// Requeues a failed message at once by `basic.reject`, and leaves the counting to the broker: for quorum queues with a delivery
    /// limit *and* a dead-letter exchange, or with RabbitMQ's own delayed retry. On any other queue a message that always fails comes
    /// back for ever, without a pause. A quorum queue without a dead-letter exchange **drops** a message at its limit, which is 20 unless
    /// set otherwise since RabbitMQ 4.0. Defaults to retries and parking by Carrot.
    fn requeue_failed(mut self) {
        self.failures.requeues = true;
        self
    }

    /// Pauses the whole consumer after this number of failures in a row, for 1 s. While the first attempt after each pause fails, the next
    /// pauses are 2 s, 4 s and so on, 60 s at most. For a handler that depends on a service which may be down. Permanent failures and bodies that cannot
    /// be decoded do not count. Each run counts on its own. A line is logged at warn level. Defaults to no pause.
    fn pause_after_failures(mut self, failures: u32) {
        self.failures.pause_after = Some(failures);
        self
    }

    /// Has `handler` decide about messages whose body cannot be decoded. `Err` fails the message, as without a handler. Defaults to failing
    /// them: a newer version of the program may be able to read what this one cannot.
    fn on_undecodable(mut self, handler: impl Fn(&Message, &Error) -> Result<Settlement, HandlerError> + Send + Sync + 'static) {
        self.failures.on_undecodable = Some(UndecodableHandler(Arc::new(handler)));
        self
    }

    /// Which content types are decoded, and how. Defaults to [`Codecs::default`]: JSON,
    /// which also reads messages that name no content type, text, and raw bytes; not bincode.
    fn codecs(mut self, codecs: impl Into<Codecs>) {
        self.codecs = codecs.into();
        self
    }
}

impl ConsumerDefinition {
    /// The defaults, for one queue. A string stands for a durable queue of that name.
    pub fn new(queue: impl Into<Queue>) -> ConsumerDefinition {
        ConsumerDefinition {
            options: ConsumeOptions::default(),
            codecs: Codecs::default(),
            give_up_after: None,
            redeclares: false,
            failures: FailureSettings::default(),
            queue: queue.into(),
            sources: Vec::new(),
        }
    }

    /// Binds the definition to a connection, for further settings.
    pub fn on(&self, connection: &Connection) -> ConsumerBuilder {
        ConsumerBuilder { connection: connection.clone(), definition: self.clone() }
    }

    /// Opens a consumer on a connection; as [`ConsumerBuilder::build`].
    ///
    /// # Errors
    /// As [`ConsumerBuilder::build`].
    pub fn open(&self, connection: &Connection) -> Result<Consumer> {
        self.on(connection).build()
    }

    fn bind(&mut self, routing_key: String, arguments: Headers) {
        if self.sources.is_empty() {
            self.sources.push(Source { exchange: Exchange::default_exchange(), bindings: Vec::new() });
        }
        if let Some(source) = self.sources.last_mut() {
            source.bindings.push((routing_key, arguments));
        }
    }

    fn validate(&self) -> Result<()> {
        if self.options.prefetch == 0 {
            return Err(Error::invalid("prefetch", "0", "1 to 65535; 0 would let the broker send without limit"));
        }
        if let Some(source) = self.sources.iter().find(|source| source.exchange.is_default() && !source.bindings.is_empty()) {
            let (routing_key, _) = &source.bindings[0];
            return Err(Error::invalid("routing key", routing_key, "an exchange to bind to has to be named before it"));
        }
        self.options.validate()?;
        self.failures.validate(&self.queue.name, &self.options)?;
        Declare::Queue(&self.queue).validate()?;
        self.sources.iter().try_for_each(|source| Declare::Exchange(&source.exchange).validate())?;
        self.bindings(&self.queue.name).try_for_each(|binding| Declare::Binding(&binding).validate())
    }

    /// Declares the exchanges, the queue and its bindings; gives the queue's name.
    pub(crate) fn declare(&self, channel: &dyn Backend) -> Result<Arc<str>> {
        for source in self.sources.iter().filter(|source| !source.exchange.is_default()) {
            channel.declare(Declare::Exchange(&source.exchange))?;
        }
        let queue = channel.declare(Declare::Queue(&self.queue))?.name;
        for binding in self.bindings(&queue) {
            channel.declare(Declare::Binding(&binding))?;
        }
        Ok(queue.into())
    }

    /// Checks that the queue exists; gives its name. `last` is the name that the broker made up, if the queue is server-named.
    pub(crate) fn check(&self, channel: &dyn Backend, last: Option<&Arc<str>>) -> Result<Arc<str>> {
        let name = last.map_or(&*self.queue.name, |last| last);
        Ok(channel.declare(Declare::Queue(&Queue::existing(name)))?.name.into())
    }

    fn bindings(&self, queue: &str) -> impl Iterator<Item = Binding> {
        let empty = (String::new(), Headers::new());
        self.sources.iter().filter(|source| !source.exchange.is_default()).flat_map(move |Source { exchange, bindings }| {
            let bindings = if bindings.is_empty() { vec![empty.clone()] } else { bindings.clone() };
            bindings.into_iter().map(move |(routing_key, arguments)| {
                let binding = Binding::queue(&exchange.name, queue, routing_key);
                arguments.into_iter().fold(binding, |binding, (name, value)| binding.argument(name, value))
            })
        })
    }
}

/// A [`ConsumerDefinition`] bound to a connection; made by [`Connection::consumer`].
#[derive(Debug, Clone)]
#[must_use = "a consumer is only opened by `build`"]
pub struct ConsumerBuilder {
    connection: Connection,
    definition: ConsumerDefinition,
}

impl ConsumerBuilder {
    /// Opens the consumer: a channel, its exchanges, its queue and the bindings between them. No message is taken yet.
    ///
    /// Blocks for a few round trips, for connecting if need be, and at most for the connection's deadlines.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a setting out of its limits. [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`],
    /// [`Error::Disconnected`] from connecting. [`Error::Precondition`] if the queue or exchange exists with other properties,
    /// [`Error::NotFound`] if one was to exist and does not, [`Error::Locked`] if the queue is exclusive to another connection,
    /// [`Error::AccessRefused`] for a reserved name.
    pub fn build(self) -> Result<Consumer> {
        self.definition.validate()?;
        Consumer::open(&self.connection, self.definition)
    }
}
