//! The deliveries of a queue to a channel.

use std::sync::Arc;

use carrot_core::backend::Content;

use crate::channel::BrokerChannel;
use crate::queue::message::QueuedMessage;
use crate::queue::sink::{ConsumerKey, DeliverySink};
use crate::sync::lock;

/// Delivers the messages of one consumer into an inbox of a channel.
#[derive(Debug)]
pub(crate) struct InboxSink {
    pub(crate) channel: Arc<BrokerChannel>,
    pub(crate) inbox: u64,
    /// The name of the consumer's queue.
    pub(crate) queue: Arc<str>,
}

impl DeliverySink for InboxSink {
    fn channel_id(&self) -> u64 {
        self.channel.id
    }

    fn deliver(
        &self,
        consumer: Option<ConsumerKey>,
        message: QueuedMessage,
        shown: Option<Arc<Content>>,
    ) -> Result<(), QueuedMessage> {
        let mut state = lock(&self.channel.state);
        if state.failure.is_some() {
            return Err(message);
        }
        let Some(index) = state.find(self.inbox) else { return Err(message) };
        if !state.has_room(index) {
            state.lacked_room = true;
            return Err(message);
        }
        let source =
            consumer.and_then(|consumer| Some((state.inboxes[index].queue.clone()?, consumer)));
        let delivery = state.deliver(message, shown, source);
        let waiter = state.inboxes[index].add(delivery);
        drop(state);
        waiter.inspect(|arrived| arrived.notify_one());
        Ok(())
    }

    fn cancel(&self) {
        let reason = "the broker cancelled it, because the queue was deleted or is moving";
        self.channel.end_subscription(self.inbox, &self.queue, reason);
        self.channel.cancel_peer(self.inbox);
    }
}
