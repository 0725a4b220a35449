//! One consumer.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amiquip::ConsumerMessage;
use carrot_core::backend::{Acknowledgement, Delivery, Subscription};
use carrot_core::{Error, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::channel::Channel;

/// How long the thread that took the last message may take to tell the others.
const MOMENT: Duration = Duration::from_secs(1);

const BY_PROGRAM: &str = "this program cancelled it";
const BY_BROKER: &str = "the broker cancelled it, because the queue was deleted or is moving";

/// A consumer's deliveries. The threads that wait read amiquip's own channel, with nothing in between.
pub(crate) struct AmqpSubscription {
    channel: Arc<Channel>,
    id: u64,
    queue: String,
    acknowledgement: Acknowledgement,
    deliveries: Receiver<ConsumerMessage>,
    /// Who cancelled it, once all that had arrived before was taken.
    ended: Mutex<Option<&'static str>>,
    changed: Condvar,
}

impl AmqpSubscription {
    pub(crate) fn new(
        channel: Arc<Channel>,
        id: u64,
        queue: &str,
        acknowledgement: Acknowledgement,
        deliveries: Receiver<ConsumerMessage>,
    ) -> AmqpSubscription {
        let ended = Mutex::new(None);
        AmqpSubscription {
            channel,
            id,
            queue: queue.to_string(),
            acknowledgement,
            deliveries,
            ended,
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<&'static str>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cancelled(&self, reason: &'static str) -> Error {
        Error::Cancelled { queue: self.queue.clone(), reason: reason.into() }
    }

    fn end(&self, reason: &'static str) -> Error {
        let reason = *self.lock().get_or_insert(reason);
        self.changed.notify_all();
        self.channel.core().failure().unwrap_or_else(|| self.cancelled(reason))
    }

    /// Why there is nothing more to take: another thread took the message that says so, or the channel ended.
    fn why_ended(&self) -> Error {
        let deadline = Instant::now() + MOMENT;
        let mut ended = self.lock();
        loop {
            if let Some(failure) = self.channel.core().failure() {
                return failure;
            }
            if let Some(reason) = *ended {
                return self.cancelled(reason);
            }
            let now = Instant::now();
            if now >= deadline || self.channel.core().has_failed() {
                drop(ended);
                return self.channel.first_error();
            }
            ended = self
                .changed
                .wait_timeout(ended, deadline - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Subscription for AmqpSubscription {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        self.channel.core().check()?;
        match self.deliveries.recv_timeout(timeout) {
            Ok(ConsumerMessage::Delivery(delivery)) => {
                Ok(Some(self.channel.hand_out(delivery, self.acknowledgement)))
            }
            Ok(ConsumerMessage::ClientCancelled) => Err(self.end(BY_PROGRAM)),
            Ok(ConsumerMessage::ServerCancelled) => Err(self.end(BY_BROKER)),
            Ok(
                ConsumerMessage::ServerClosedChannel(error)
                | ConsumerMessage::ServerClosedConnection(error),
            ) => {
                let error = self.channel.core().judge(error);
                self.changed.notify_all();
                Err(error)
            }
            Ok(ConsumerMessage::ClientClosedChannel | ConsumerMessage::ClientClosedConnection) => {
                Err(self.channel.core().gone())
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.why_ended()),
        }
    }

    fn cancel(&self, timeout: Duration) -> Result<()> {
        self.channel.cancel(self.id, timeout)
    }
}

impl Drop for AmqpSubscription {
    fn drop(&mut self) {
        self.channel.release(self.id, self.acknowledgement == Acknowledgement::Automatic);
    }
}

impl fmt::Debug for AmqpSubscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AmqpSubscription")
            .field("queue", &self.queue)
            .field("arrived", &self.deliveries.len())
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
