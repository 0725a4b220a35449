//! The deliveries of one consumer, as the contract requires them.

use std::sync::{Arc, Condvar};
use std::time::Duration;

use carrot_core::backend::{
    Acknowledgement, ArrivedDeliveries, ConsumeOptions, Delivery, Subscription,
};
use carrot_core::{Error, Result};

use crate::broker::direct_reply_to::PSEUDO_QUEUE;
use crate::broker::fault_plan::Operation;
use crate::channel::inbox_sink::InboxSink;
use crate::driver::channel_handle::ChannelHandle;
use crate::errors;
use crate::queue::arguments::consumer_priority;
use crate::queue::consumers::QueueConsumer;
use crate::queue::state::SettleAction;

/// The deliveries of one consumer of the memory broker.
#[derive(Debug)]
pub(crate) struct MemorySubscription {
    handle: Arc<ChannelHandle>,
    queue: Arc<str>,
    inbox: u64,
    arrived: Arc<Condvar>,
}

impl MemorySubscription {
    /// Subscribes to a queue, or to the direct replies of the channel.
    pub(crate) fn open(
        handle: &Arc<ChannelHandle>,
        name: &str,
        options: &ConsumeOptions,
    ) -> Result<MemorySubscription> {
        let manual = options.acknowledgement == Acknowledgement::Manual;
        let last = if name.is_empty() { handle.channel.last_queue().ok() } else { None };
        let name = last.as_deref().unwrap_or(name);
        if name == PSEUDO_QUEUE {
            return MemorySubscription::to_replies(handle, manual);
        }
        let queue = handle.queue(name)?;
        let rules = &handle.shared().rules().queues;
        let priority = consumer_priority(&queue.name, queue.kind(), &options.arguments, rules)?;
        let (inbox, arrived) = handle.channel.open_inbox(Some(&queue), None)?;
        let subscription = MemorySubscription {
            handle: Arc::clone(handle),
            queue: Arc::clone(&queue.name),
            inbox,
            arrived,
        };
        let sink = InboxSink {
            channel: Arc::clone(&handle.channel),
            inbox,
            queue: Arc::clone(&queue.name),
        };
        let consumer = QueueConsumer {
            sink: Arc::new(sink),
            priority,
            credit: (options.prefetch > 0).then_some(options.prefetch.into()),
            manual,
            exclusive: options.exclusive,
        };
        let key = handle.then_dead_letter(|| queue.add_consumer(consumer, |_| ()))?;
        if let Err(error) = handle.channel.attach_consumer(inbox, key) {
            let fate = handle.then_dead_letter(|| queue.remove_consumer(key));
            handle.shared().remove_if_deleted(&queue, fate);
            return Err(error);
        }
        Ok(subscription)
    }

    fn to_replies(handle: &Arc<ChannelHandle>, manual: bool) -> Result<MemorySubscription> {
        if manual {
            return Err(errors::precondition("reply consumer cannot acknowledge"));
        }
        let (inbox, arrived) = handle.channel.open_inbox(None, None)?;
        let subscription = MemorySubscription {
            handle: Arc::clone(handle),
            queue: PSEUDO_QUEUE.into(),
            inbox,
            arrived,
        };
        handle.shared().replies.add(&handle.channel, inbox)?;
        Ok(subscription)
    }

    fn stop(&self) {
        let handle = &self.handle;
        if let Some((queue, key)) = handle.channel.end_subscription(
            self.inbox,
            &self.queue,
            "the program stopped the consumer",
        ) {
            let fate = handle.then_dead_letter(|| queue.remove_consumer(key));
            handle.shared().remove_if_deleted(&queue, fate);
        }
        if &*self.queue == PSEUDO_QUEUE
            && let Some(name) = handle.channel.reply_to()
        {
            handle.shared().replies.remove(&name);
            let _ = handle.channel.set_reply_to(None);
        }
    }
}

impl Subscription for MemorySubscription {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        match self.handle.begin_wait(Operation::Next, timeout) {
            Err(Error::Timeout { .. }) => Ok(None),
            left => self.handle.read(self.handle.channel.next(self.inbox, &self.arrived, left?)),
        }
    }

    fn arrived(&self) -> ArrivedDeliveries {
        self.handle.channel.arrived(self.inbox)
    }

    fn cancel(&self, _timeout: Duration) -> Result<()> {
        self.handle.channel.check()?;
        self.stop();
        Ok(())
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        self.stop();
        let unseen = self.handle.channel.remove_inbox(self.inbox);
        // One by one, as from a driver that receives them one by one: a queue with a length limit
        // then loses no message that a consumer can take.
        for unacked in unseen {
            self.handle.settle_all(vec![unacked], SettleAction::Requeue { failed: false });
        }
    }
}
