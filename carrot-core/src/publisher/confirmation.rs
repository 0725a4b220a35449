use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::Result;
use crate::publisher::in_flight::InFlight;
use crate::publisher::pipeline::PublishPipeline;

/// The pending confirm of a message, returned by [`Publisher::publish`](crate::Publisher::publish).
///
/// A confirmation resolves exactly once, at the latest when the message's send timeout passes.
/// Dropping the confirmation does not cancel the message. A failure is then logged at warn level,
/// and returned by the next [`Publisher::flush`](crate::Publisher::flush) or
/// [`close`](crate::Publisher::close).
///
/// ```
/// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
/// let confirmation = publisher.publish("a message")?;
/// // ... other work ...
/// confirmation.wait()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "only the confirmation reports whether the broker has the message"]
pub struct Confirmation {
    message: Arc<InFlight>,
    pipeline: Arc<PublishPipeline>,
}

impl Confirmation {
    pub(crate) fn new(message: Arc<InFlight>, pipeline: Arc<PublishPipeline>) -> Confirmation {
        Confirmation { message, pipeline }
    }

    /// Waits for the broker's confirm.
    ///
    /// Blocks at most for the message's send timeout, counted from the call of `publish`.
    ///
    /// # Errors
    /// As [`Publisher::send`](crate::Publisher::send).
    pub fn wait(self) -> Result<()> {
        self.wait_until(self.message.deadline)
    }

    /// Waits like [`wait`](Confirmation::wait). The confirmation can be asked again.
    ///
    /// Blocks at most for `timeout`.
    ///
    /// # Errors
    /// - As [`Publisher::send`](crate::Publisher::send).
    /// - [`Error::Timeout`](crate::Error::Timeout): no answer arrived within `timeout`.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_until(deadline::after(timeout))
    }

    /// Returns whether the result is known: the broker's answer has arrived, or the time of the
    /// message is over. Takes the answer if it is here, and does not block. A program that asks
    /// again and again learns the result without waiting.
    pub fn is_resolved(&self) -> bool {
        self.is_known() || {
            self.pipeline.take_answer(&self.message);
            self.is_known()
        }
    }

    /// Returns whether an answer was taken.
    pub(crate) fn is_known(&self) -> bool {
        self.message.is_resolved()
    }

    /// Returns the id that the message was sent with. `None` after
    /// [`MessageBuilder::without_message_id`](crate::MessageBuilder::without_message_id).
    pub fn message_id(&self) -> Option<&str> {
        self.message.content.properties.message_id()
    }

    fn wait_until(&self, until: Instant) -> Result<()> {
        if let Some(known) = self.message.report() {
            return known;
        }
        let outcome = self.pipeline.wait(&self.message, until);
        self.message.report().unwrap_or(outcome)
    }
}

impl Drop for Confirmation {
    fn drop(&mut self) {
        self.pipeline.abandon(&self.message);
    }
}
