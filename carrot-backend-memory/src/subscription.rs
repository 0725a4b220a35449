//! The deliveries of one consumer, as the contract wants them.

use std::sync::{Arc, Condvar};
use std::time::Duration;

use carrot_core::backend::{Delivery, Subscription};
use carrot_core::{Error, Result};

use crate::faults::Operation;
use crate::handle::Handle;
use crate::queue::Settlement;
use crate::reply_to;

/// The deliveries of one consumer of the memory broker.
#[derive(Debug)]
pub(crate) struct MemorySubscription {
    pub(crate) handle: Arc<Handle>,
    pub(crate) queue: Arc<str>,
    pub(crate) stream: u64,
    pub(crate) arrived: Arc<Condvar>,
}

impl MemorySubscription {
    fn stop(&self) {
        let handle = &self.handle;
        if let Some((queue, key)) =
            handle.channel.end_stream(self.stream, "it was told to stop", &self.queue)
        {
            let fate = handle.and_bury(|| queue.remove_consumer(handle.core(), key));
            handle.core().conclude(&queue, fate);
        }
        if &*self.queue == reply_to::PSEUDO_QUEUE
            && let Some(name) = handle.channel.reply_to()
        {
            handle.core().close_reply(&name);
            let _ = handle.channel.set_reply_to(None);
        }
    }
}

impl Subscription for MemorySubscription {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        match self.handle.begin_wait(Operation::Next, timeout) {
            Err(Error::Timeout { .. }) => Ok(None),
            left => self.handle.channel.next(self.stream, &self.arrived, left?),
        }
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
        let unseen = self.handle.channel.drop_stream(self.stream);
        // One by one, as a driver does that learns of them one by one: a queue with a limit then loses none that somebody can take.
        for unacked in unseen {
            self.handle.settle_all(vec![unacked], Settlement::Requeue);
        }
    }
}
