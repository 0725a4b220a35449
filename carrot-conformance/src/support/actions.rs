use std::sync::Arc;
use std::thread;
use std::time::Instant;

use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Content, Declare, Delete, DeleteIf, Delivery, Extent,
    Outcome, Publication, PublishTag, QueueInfo, Rejection, Subscription,
};
use carrot_core::{Binding, Error, Exchange, Properties, Queue, Result};

use super::waiting::{DEADLINE, PAUSE, QUIET, body, eventually, readable};

/// The actions of a case on a channel. Most of them panic on an unexpected result.
pub(crate) trait ChannelActions {
    fn channel(&self) -> &dyn Backend;

    /// Publishes without waiting for the confirm.
    #[track_caller]
    fn publish_content(&self, content: Content) -> PublishTag {
        self.channel().publish(&Publication::new(&Arc::new(content)), DEADLINE).expect("publish")
    }

    /// Publishes a mandatory message without waiting for the confirm.
    #[track_caller]
    fn publish_mandatory(&self, content: Content) -> PublishTag {
        self.channel()
            .publish(&Publication::new(&Arc::new(content)).with_mandatory(true), DEADLINE)
            .expect("publish")
    }

    /// Blocks until the broker confirms or refuses a publication.
    #[track_caller]
    fn outcome(&self, tag: PublishTag) -> Outcome {
        self.channel().confirm(tag, DEADLINE).expect("confirm")
    }

    /// Publishes, and blocks until the broker accepts the message.
    #[track_caller]
    fn send_content(&self, content: Content) {
        let tag = self.publish_content(content);
        assert_eq!(self.outcome(tag), Outcome::Accepted, "the outcome of a publication");
    }

    /// Publishes, and blocks until the broker accepts the message.
    #[track_caller]
    fn send(&self, exchange: &str, routing_key: &str, body: &str) {
        self.send_content(Content::new(exchange, routing_key, body));
    }

    /// Publishes messages to a queue, and blocks until the broker accepts each of them.
    #[track_caller]
    fn enqueue<const COUNT: usize>(&self, queue: &str, bodies: [&str; COUNT]) {
        let tags = bodies.map(|body| self.publish_content(Content::new("", queue, body)));
        for tag in tags {
            assert_eq!(self.outcome(tag), Outcome::Accepted, "the outcome of a publication");
        }
    }

    /// Publishes a message with properties to a queue, and blocks until the broker accepts it.
    #[track_caller]
    fn enqueue_with(&self, queue: &str, body: &str, properties: Properties) {
        self.send_content(Content::new("", queue, body).with_properties(properties));
    }

    /// Publishes an invalid message, and returns the error of its confirm.
    #[track_caller]
    fn publish_error(&self, content: Content) -> Error {
        let tag = self.publish_content(content);
        match self.channel().confirm(tag, DEADLINE) {
            Ok(outcome) => panic!("the broker did not fail the publication: {outcome:?}"),
            Err(error) => error,
        }
    }

    /// Gets the next message. Blocks until there is one.
    #[track_caller]
    fn get_delivery(&self, queue: &str) -> Delivery {
        self.get_delivery_as(queue, Acknowledgement::Manual)
    }

    #[track_caller]
    fn get_delivery_as(&self, queue: &str, acknowledgement: Acknowledgement) -> Delivery {
        let mut delivery = None;
        eventually("a message is ready", || {
            delivery = self.channel().get(queue, acknowledgement, DEADLINE).expect("get");
            delivery.is_some()
        });
        readable(delivery.expect("eventually returned"))
    }

    /// Gets these messages from a queue, in this order, and asserts that the queue is empty then.
    /// Blocks until the messages are ready.
    #[track_caller]
    fn expect_messages<const COUNT: usize>(&self, queue: &str, bodies: [&str; COUNT]) {
        let mut bodies_got = Vec::new();
        while bodies_got.len() < COUNT {
            bodies_got.push(body(&self.get_delivery_as(queue, Acknowledgement::Automatic)));
        }
        assert_eq!(bodies_got, bodies, "the messages of the queue");
        self.expect_empty(queue);
    }

    /// Asserts that a queue has no ready message.
    #[track_caller]
    fn expect_empty(&self, queue: &str) {
        let got = self.channel().get(queue, Acknowledgement::Automatic, DEADLINE).expect("get");
        assert_eq!(got, None, "the queue has a ready message");
    }

    /// Asserts that a queue has no ready message for a tenth of a second.
    #[track_caller]
    fn expect_stays_empty(&self, queue: &str) {
        let until = Instant::now() + QUIET;
        while Instant::now() < until {
            self.expect_empty(queue);
            thread::sleep(PAUSE);
        }
    }

    /// Returns the number of ready messages, by a passive declaration.
    #[track_caller]
    fn ready_count(&self, queue: &str) -> u32 {
        self.inspect(queue).message_count
    }

    #[track_caller]
    fn inspect(&self, queue: &str) -> QueueInfo {
        self.channel()
            .declare(Declare::Queue(&Queue::existing(queue)), DEADLINE)
            .expect("declare a queue passively")
    }

    /// Blocks until `count` messages are ready.
    #[track_caller]
    fn expect_ready(&self, queue: &str, count: u32) {
        eventually(&format!("{count} messages are ready"), || self.ready_count(queue) == count);
    }

    /// Blocks until the queue has `count` consumers.
    #[track_caller]
    fn expect_consumers(&self, queue: &str, count: u32) {
        eventually(&format!("the queue has {count} consumers"), || {
            self.inspect(queue).consumer_count == count
        });
    }

    #[track_caller]
    fn subscribe(&self, queue: &str) -> Box<dyn Subscription> {
        self.subscribe_as(queue, &ConsumeOptions::default())
    }

    #[track_caller]
    fn subscribe_as(&self, queue: &str, options: &ConsumeOptions) -> Box<dyn Subscription> {
        self.channel().consume(queue, options, DEADLINE).expect("consume")
    }

    #[track_caller]
    fn ack_one(&self, delivery: &Delivery) {
        self.channel().ack(delivery.tag, Extent::One).expect("ack");
    }

    #[track_caller]
    fn requeue(&self, delivery: &Delivery) {
        self.channel().reject(delivery.tag, Rejection::Requeue, Extent::One).expect("requeue");
    }

    #[track_caller]
    fn discard(&self, delivery: &Delivery) {
        self.channel().reject(delivery.tag, Rejection::Discard, Extent::One).expect("discard");
    }

    /// Waits for one response. The broker has then processed all earlier calls of this channel.
    #[track_caller]
    fn round_trip(&self, queue: &str) {
        self.inspect(queue);
    }

    /// Declares the queue passively until that fails, and returns the error.
    #[track_caller]
    fn channel_error(&self, queue: &str) -> Error {
        let mut failure = None;
        eventually("the channel fails", || {
            failure =
                self.channel().declare(Declare::Queue(&Queue::existing(queue)), DEADLINE).err();
            failure.is_some()
        });
        failure.expect("eventually returned")
    }

    fn declare_exchange(&self, exchange: &Exchange) -> Result<QueueInfo> {
        self.channel().declare(Declare::Exchange(exchange), DEADLINE)
    }

    fn declare_queue(&self, queue: &Queue) -> Result<QueueInfo> {
        self.channel().declare(Declare::Queue(queue), DEADLINE)
    }

    fn find_queue(&self, queue: &str) -> Result<QueueInfo> {
        self.declare_queue(&Queue::existing(queue))
    }

    fn find_exchange(&self, exchange: &str) -> Result<QueueInfo> {
        self.declare_exchange(&Exchange::existing(exchange))
    }

    #[track_caller]
    fn bind(&self, binding: &Binding) -> Result<QueueInfo> {
        self.channel().declare(Declare::Binding(binding), DEADLINE)
    }

    #[track_caller]
    fn unbind(&self, binding: &Binding) {
        self.channel().delete(Delete::Binding(binding), DEADLINE).expect("unbind");
    }

    /// Deletes a queue on a condition, and returns the number of deleted messages.
    fn delete_queue(&self, name: &str, condition: DeleteIf) -> Result<u32> {
        self.channel()
            .delete(Delete::Queue { name, condition }, DEADLINE)
            .map(|deleted| deleted.message_count)
    }

    fn delete_exchange(&self, name: &str, condition: DeleteIf) -> Result<u32> {
        self.channel()
            .delete(Delete::Exchange { name, condition }, DEADLINE)
            .map(|deleted| deleted.message_count)
    }

    fn purge(&self, queue: &str) -> Result<u32> {
        self.channel()
            .delete(Delete::Messages { queue }, DEADLINE)
            .map(|deleted| deleted.message_count)
    }

    #[track_caller]
    fn close_channel(&self) {
        self.channel().close(DEADLINE).expect("close a channel");
    }
}

impl ChannelActions for dyn Backend {
    fn channel(&self) -> &dyn Backend {
        self
    }
}
