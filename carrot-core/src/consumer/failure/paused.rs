//! Failed messages that pause in the process, unacknowledged, and are then requeued.

use std::sync::Arc;

use crate::consumer::disposition::Disposition;
use crate::consumer::failure::pause_queue::{PauseQueue, Pausing};
use crate::consumer::message::Message;
use crate::consumer::subscribed::UnhandledCounts;

/// The pausing messages of one consumer.
pub(super) type PausedMessages = PauseQueue<PausedMessage>;

/// A message that is requeued after its pause.
#[derive(Debug)]
pub(super) struct PausedMessage {
    pub(super) message: Message,
    /// Counts the message if it is requeued before its time.
    pub(super) unhandled: Option<Arc<UnhandledCounts>>,
}

impl Pausing for PausedMessage {
    fn end(self) {
        requeue(self.message);
    }

    fn release(self) {
        if let Some(unhandled) = self.unhandled {
            unhandled.count_requeued_unhandled();
        }
        requeue(self.message);
    }
}

/// Requeues with nack, which counts as no failed delivery.
fn requeue(mut message: Message) {
    if let Err(error) = message.settle(Disposition::Return) {
        log::debug!(
            "requeueing a message after its pause failed, the broker requeues it: {error} \
             queue={:?}",
            message.queue()
        );
    }
}
