use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::*;

/// What a case does with a channel, in fewer words.
pub(crate) trait Steps {
    fn this(&self) -> &dyn Backend;

    /// Publishes and does not wait.
    #[track_caller]
    fn post(&self, content: Content) -> PublishTag {
        self.this()
            .publish(&Publication { content: &Arc::new(content), mandatory: false }, DEADLINE)
            .expect("publish")
    }

    /// Publishes as mandatory and does not wait.
    #[track_caller]
    fn post_mandatory(&self, content: Content) -> PublishTag {
        self.this()
            .publish(&Publication { content: &Arc::new(content), mandatory: true }, DEADLINE)
            .expect("publish")
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
            assert_eq!(
                self.outcome(tag),
                Outcome::Accepted,
                "the broker's answer to a publication"
            );
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
    fn inspect(&self, queue: &str) -> QueueInfo {
        self.this()
            .declare(Declare::Queue(&Queue::existing(queue)))
            .expect("declare a queue passively")
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

    fn declare_exchange(&self, exchange: &Exchange) -> Result<QueueInfo> {
        self.this().declare(Declare::Exchange(exchange))
    }

    fn declare_queue(&self, queue: &Queue) -> Result<QueueInfo> {
        self.this().declare(Declare::Queue(queue))
    }

    fn find_queue(&self, queue: &str) -> Result<QueueInfo> {
        self.declare_queue(&Queue::existing(queue))
    }

    fn find_exchange(&self, exchange: &str) -> Result<QueueInfo> {
        self.declare_exchange(&Exchange::existing(exchange))
    }

    #[track_caller]
    fn bind(&self, binding: &Binding) -> Result<QueueInfo> {
        self.this().declare(Declare::Binding(binding))
    }

    #[track_caller]
    fn unbind(&self, binding: &Binding) {
        self.this().delete(Delete::Binding(binding)).expect("unbind");
    }

    /// Deletes a queue on a condition; gives back how many messages went with it.
    fn delete_queue(&self, name: &str, condition: DeleteIf) -> Result<u32> {
        self.this().delete(Delete::Queue { name, condition }).map(|deleted| deleted.message_count)
    }

    fn delete_exchange(&self, name: &str, condition: DeleteIf) -> Result<u32> {
        self.this()
            .delete(Delete::Exchange { name, condition })
            .map(|deleted| deleted.message_count)
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
