//! Steps that many cases share.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Condition, Connector, ConsumeOptions, Content, Declare, Declared, Delete, Delivery,
    DeliveryTag, Extent, Outcome, Publication, PublishTag, Rejection, Subscription,
};
pub(crate) use carrot_core::{Binding, DeliveryMode, Error, Exchange, ExchangeKind, Headers, Overflow, Properties, Queue, Result, Value};

pub(crate) use crate::Harness;

/// The longest wait for what has to happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// How long to watch for what must not happen.
const QUIET: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(2);

/// The start of every case: a connector with an open channel, and what has to be deleted in the end.
pub(crate) struct Stage<'harness> {
    pub(crate) harness: &'harness dyn Harness,
    pub(crate) connector: Arc<dyn Connector>,
    /// A channel with confirms. Cases that spoil a channel open one of their own.
    pub(crate) channel: Arc<dyn Backend>,
    others: RefCell<Vec<Arc<dyn Connector>>>,
    queues: RefCell<Vec<String>>,
    exchanges: RefCell<Vec<String>>,
}

impl<'harness> Stage<'harness> {
    #[track_caller]
    pub(crate) fn new(harness: &'harness dyn Harness) -> Stage<'harness> {
        let connector = harness.connect();
        let channel = open(&*connector);
        Stage { harness, connector, channel, others: RefCell::default(), queues: RefCell::default(), exchanges: RefCell::default() }
    }

    /// One more channel on the same connection.
    #[track_caller]
    pub(crate) fn open(&self) -> Arc<dyn Backend> {
        open(&*self.connector)
    }

    /// A connector of its own; closed in the end.
    pub(crate) fn connect(&self) -> Arc<dyn Connector> {
        let connector = self.harness.connect();
        self.others.borrow_mut().push(connector.clone());
        connector
    }

    /// A channel on a connection of its own.
    #[track_caller]
    pub(crate) fn elsewhere(&self) -> Arc<dyn Backend> {
        open(&*self.connect())
    }

    /// A name that no queue has, nor ever had; deleted in the end if it has one then.
    pub(crate) fn queue_name(&self) -> String {
        let name = unique("queue");
        self.queues.borrow_mut().push(name.clone());
        name
    }

    /// As [`queue_name`](Stage::queue_name), for an exchange.
    pub(crate) fn exchange_name(&self) -> String {
        let name = unique("exchange");
        self.exchanges.borrow_mut().push(name.clone());
        name
    }

    /// A new, plain queue.
    #[track_caller]
    pub(crate) fn queue(&self) -> String {
        self.queue_with(|queue| queue)
    }

    #[track_caller]
    pub(crate) fn queue_with(&self, adjust: impl FnOnce(Queue) -> Queue) -> String {
        let queue = adjust(Queue::new(self.queue_name()));
        self.channel.declare(Declare::Queue(&queue)).expect("declare a queue");
        queue.name
    }

    #[track_caller]
    pub(crate) fn direct(&self) -> String {
        self.exchange_with(Exchange::direct)
    }

    #[track_caller]
    pub(crate) fn fanout(&self) -> String {
        self.exchange_with(Exchange::fanout)
    }

    #[track_caller]
    pub(crate) fn topic(&self) -> String {
        self.exchange_with(Exchange::topic)
    }

    #[track_caller]
    pub(crate) fn headers(&self) -> String {
        self.exchange_with(Exchange::headers)
    }

    #[track_caller]
    pub(crate) fn exchange_with(&self, make: impl FnOnce(String) -> Exchange) -> String {
        let exchange = make(self.exchange_name());
        self.channel.declare(Declare::Exchange(&exchange)).expect("declare an exchange");
        exchange.name
    }

    #[track_caller]
    pub(crate) fn bind(&self, exchange: &str, queue: &str, routing_key: &str) {
        self.bind_as(&Binding::queue(exchange, queue, routing_key));
    }

    #[track_caller]
    pub(crate) fn bind_as(&self, binding: &Binding) {
        self.channel.declare(Declare::Binding(binding)).expect("bind");
    }

    /// A new queue bound to an exchange.
    #[track_caller]
    pub(crate) fn bound(&self, exchange: &str, routing_key: &str) -> String {
        let queue = self.queue();
        self.bind(exchange, &queue, routing_key);
        queue
    }

    pub(crate) fn pass(&self, duration: Duration) {
        self.harness.pass(duration);
    }

    /// As `pass`, in milliseconds.
    pub(crate) fn pass_ms(&self, milliseconds: u64) {
        self.pass(Duration::from_millis(milliseconds));
    }

    fn delete(&self, entity: Delete<'_>) {
        // A refusal closes a channel, so each deletion may need a new one; what cannot be deleted dies with its connection.
        if self.channel.delete(entity).is_err()
            && let Ok(channel) = self.harness.connect().open(&ChannelOptions::publish(), DEADLINE)
        {
            let _ = channel.delete(entity);
        }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        for connector in self.others.take() {
            let _ = connector.close(DEADLINE);
        }
        for name in self.queues.take() {
            self.delete(Delete::Queue { name: &name, condition: Condition::ALWAYS });
        }
        for name in self.exchanges.take() {
            self.delete(Delete::Exchange { name: &name, condition: Condition::ALWAYS });
        }
        let _ = self.connector.close(DEADLINE);
    }
}

/// A name that nothing else has, on whatever broker, in whatever program.
pub(crate) fn unique(what: &str) -> String {
    // Each RandomState has keys of its own.
    let random = || RandomState::new().build_hasher().finish();
    format!("carrot-conformance.{what}.{:016x}{:016x}", random(), random())
}

#[track_caller]
pub(crate) fn open(connector: &dyn Connector) -> Arc<dyn Backend> {
    connector.open(&ChannelOptions::publish(), DEADLINE).expect("open a channel")
}

/// What a case does with a channel, in fewer words.
pub(crate) trait Steps {
    fn this(&self) -> &dyn Backend;

    /// Publishes and does not wait.
    #[track_caller]
    fn post(&self, content: Content) -> PublishTag {
        self.this().publish(&Publication { content: &Arc::new(content), mandatory: false }).expect("publish")
    }

    /// Publishes as mandatory and does not wait.
    #[track_caller]
    fn post_mandatory(&self, content: Content) -> PublishTag {
        self.this().publish(&Publication { content: &Arc::new(content), mandatory: true }).expect("publish")
    }

    /// The broker's answer to a publication.
    #[track_caller]
    fn outcome(&self, tag: PublishTag) -> Outcome {
        self.this().confirm(tag, DEADLINE).expect("confirm")
    }

    /// Publishes and waits until the broker has accepted it.
    #[track_caller]
    fn send_content(&self, content: Content) {
        let tag = self.post(content);
        assert_eq!(self.outcome(tag), Outcome::Accepted, "the broker's answer to a publication");
    }

    /// Publishes and waits until the broker has accepted it.
    #[track_caller]
    fn send(&self, exchange: &str, routing_key: &str, body: &str) {
        self.send_content(Content::new(exchange, routing_key, body));
    }

    /// Puts messages into a queue, each with its own word from the broker.
    #[track_caller]
    fn put<const COUNT: usize>(&self, queue: &str, bodies: [&str; COUNT]) {
        let tags = bodies.map(|body| self.post(Content::new("", queue, body)));
        for tag in tags {
            assert_eq!(self.outcome(tag), Outcome::Accepted, "the broker's answer to a publication");
        }
    }

    /// Puts a message with properties into a queue.
    #[track_caller]
    fn put_with(&self, queue: &str, body: &str, properties: Properties) {
        self.send_content(Content::new("", queue, body).with_properties(properties));
    }

    /// Publishes what is to be refused, and gives the error that its confirm tells.
    #[track_caller]
    fn refused_publication(&self, content: Content) -> Error {
        let tag = self.post(content);
        match self.this().confirm(tag, DEADLINE) {
            Ok(outcome) => panic!("the broker answered {outcome:?} to what it had to refuse"),
            Err(error) => error,
        }
    }

    /// Takes the next message by a get, waiting for it.
    #[track_caller]
    fn take(&self, queue: &str) -> Delivery {
        self.take_as(queue, Acknowledgement::Manual)
    }

    #[track_caller]
    fn take_as(&self, queue: &str, acknowledgement: Acknowledgement) -> Delivery {
        let mut taken = None;
        eventually("a message to get", || {
            taken = self.this().get(queue, acknowledgement).expect("get");
            taken.is_some()
        });
        taken.expect("eventually returned")
    }

    /// Asserts that exactly these messages come out of a queue, in this order; waits for those that are still on their way.
    #[track_caller]
    fn drain<const COUNT: usize>(&self, queue: &str, bodies: [&str; COUNT]) {
        let mut drained = Vec::new();
        while drained.len() < COUNT {
            drained.push(body(&self.take_as(queue, Acknowledgement::Automatic)));
        }
        assert_eq!(drained, bodies, "what comes out of the queue");
        self.empty(queue);
    }

    /// Asserts that a queue has nothing ready now.
    #[track_caller]
    fn empty(&self, queue: &str) {
        let got = self.this().get(queue, Acknowledgement::Automatic).expect("get");
        assert_eq!(got, None, "the queue is to have nothing ready");
    }

    /// Asserts that a queue has nothing ready, and gets nothing for a while.
    #[track_caller]
    fn stays_empty(&self, queue: &str) {
        let until = Instant::now() + QUIET;
        while Instant::now() < until {
            self.empty(queue);
            thread::sleep(PAUSE);
        }
    }

    /// How many messages are ready, by a passive declaration.
    #[track_caller]
    fn ready(&self, queue: &str) -> u32 {
        self.inspect(queue).message_count
    }

    #[track_caller]
    fn inspect(&self, queue: &str) -> Declared {
        self.this().declare(Declare::Queue(&Queue::existing(queue))).expect("declare a queue passively")
    }

    /// Waits until so many messages are ready.
    #[track_caller]
    fn expect_ready(&self, queue: &str, count: u32) {
        eventually(&format!("{count} ready messages"), || self.ready(queue) == count);
    }

    /// Waits until so many consumers are there.
    #[track_caller]
    fn expect_consumers(&self, queue: &str, count: u32) {
        eventually(&format!("{count} consumers"), || self.inspect(queue).consumer_count == count);
    }

    #[track_caller]
    fn subscribe(&self, queue: &str) -> Box<dyn Subscription> {
        self.subscribe_as(queue, &ConsumeOptions::default())
    }

    #[track_caller]
    fn subscribe_as(&self, queue: &str, options: &ConsumeOptions) -> Box<dyn Subscription> {
        self.this().consume(queue, options).expect("consume")
    }

    #[track_caller]
    fn accept(&self, delivery: &Delivery) {
        self.this().ack(delivery.tag, Extent::One).expect("ack");
    }

    #[track_caller]
    fn requeue(&self, delivery: &Delivery) {
        self.this().reject(delivery.tag, Rejection::Requeue, Extent::One).expect("requeue");
    }

    #[track_caller]
    fn discard(&self, delivery: &Delivery) {
        self.this().reject(delivery.tag, Rejection::Discard, Extent::One).expect("discard");
    }

    /// Waits for the broker once, so that all that was sent before on this channel has been done.
    #[track_caller]
    fn round_trip(&self, queue: &str) {
        self.inspect(queue);
    }

    /// Waits until the channel is dead, by calls that wait for the broker; gives its first error.
    #[track_caller]
    fn death(&self, queue: &str) -> Error {
        let mut told = None;
        eventually("the channel to die", || {
            told = self.this().declare(Declare::Queue(&Queue::existing(queue))).err();
            told.is_some()
        });
        told.expect("eventually returned")
    }

    fn declare_exchange(&self, exchange: &Exchange) -> Result<Declared> {
        self.this().declare(Declare::Exchange(exchange))
    }

    fn declare_queue(&self, queue: &Queue) -> Result<Declared> {
        self.this().declare(Declare::Queue(queue))
    }

    fn find_queue(&self, queue: &str) -> Result<Declared> {
        self.declare_queue(&Queue::existing(queue))
    }

    fn find_exchange(&self, exchange: &str) -> Result<Declared> {
        self.declare_exchange(&Exchange::existing(exchange))
    }

    #[track_caller]
    fn bind(&self, binding: &Binding) -> Result<Declared> {
        self.this().declare(Declare::Binding(binding))
    }

    #[track_caller]
    fn unbind(&self, binding: &Binding) {
        self.this().delete(Delete::Binding(binding)).expect("unbind");
    }

    /// Deletes a queue on a condition; gives back how many messages went with it.
    fn delete_queue(&self, name: &str, condition: Condition) -> Result<u32> {
        self.this().delete(Delete::Queue { name, condition }).map(|deleted| deleted.message_count)
    }

    fn delete_exchange(&self, name: &str, condition: Condition) -> Result<u32> {
        self.this().delete(Delete::Exchange { name, condition }).map(|deleted| deleted.message_count)
    }

    fn purge(&self, queue: &str) -> Result<u32> {
        self.this().delete(Delete::Messages { queue }).map(|deleted| deleted.message_count)
    }

    #[track_caller]
    fn shut(&self) {
        self.this().close(DEADLINE).expect("close a channel");
    }
}

impl Steps for dyn Backend {
    fn this(&self) -> &dyn Backend {
        self
    }
}

/// What a case does with a subscription, in fewer words.
pub(crate) trait Taking {
    fn this(&self) -> &dyn Subscription;

    /// Waits for the next delivery.
    #[track_caller]
    fn take(&self) -> Delivery {
        match self.this().next(DEADLINE) {
            Ok(Some(delivery)) => delivery,
            Ok(None) => panic!("no delivery came within {DEADLINE:?}"),
            Err(error) => panic!("next: {error:?}"),
        }
    }

    /// Waits for the next delivery and asserts its body.
    #[track_caller]
    fn expect(&self, wanted: &str) -> Delivery {
        let delivery = self.take();
        assert_eq!(body(&delivery), wanted, "the body of the next delivery");
        delivery
    }

    /// Waits for several deliveries in this order.
    #[track_caller]
    fn expect_all<const COUNT: usize>(&self, wanted: [&str; COUNT]) {
        for body in wanted {
            self.expect(body);
        }
    }

    /// Asserts that nothing comes for a while.
    #[track_caller]
    fn quiet(&self) {
        match self.this().next(QUIET) {
            Ok(None) => {}
            Ok(Some(delivery)) => panic!("an unexpected delivery: {:?}", body(&delivery)),
            Err(error) => panic!("next: {error:?}"),
        }
    }
}

impl Taking for dyn Subscription {
    fn this(&self) -> &dyn Subscription {
        self
    }
}

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.content.body).into_owned()
}

pub(crate) fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < until, "waited {DEADLINE:?} in vain for {what}");
        thread::sleep(PAUSE);
    }
}

/// Asserts that something gives an error of this kind.
macro_rules! assert_error {
    ($result:expr, $($kind:pat_param)|+ $(,)?) => {
        match $result {
            Err($($kind)|+) => {}
            other => panic!("{} was to give {}, and gave {other:?}", stringify!($result), stringify!($($kind)|+)),
        }
    };
}
pub(crate) use assert_error;
