use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::Result;
use crate::publisher::in_flight::InFlight;
use crate::publisher::pipeline::PublishPipeline;

/// The promise of a confirm, given by [`Publisher::publish`](crate::Publisher::publish).
///
/// It resolves exactly once, at the latest when the message's send timeout passes. If it is dropped
/// before it was asked, a failure is logged at warn level and told by the next
/// [`Publisher::flush`](crate::Publisher::flush) or [`close`](crate::Publisher::close).
///
/// ```
/// # fn example(publisher: &carrot::Publisher) -> carrot::Result<()> {
/// let receipt = publisher.publish("a message")?;
/// // ... other work ...
/// receipt.wait()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "only its receipt tells whether the broker has the message"]
pub struct Confirmation {
    message: Arc<InFlight>,
    pipeline: Arc<PublishPipeline>,
}

impl Confirmation {
    pub(crate) fn new(message: Arc<InFlight>, pipeline: Arc<PublishPipeline>) -> Confirmation {
        Confirmation { message, pipeline }
    }

    /// Waits until the broker has taken responsibility for the message.
    ///
    /// Blocks until the message's send timeout, counted from when it was published.
    ///
    /// # Errors
    /// As [`Publisher::send`](crate::Publisher::send).
    pub fn wait(self) -> Result<()> {
        self.wait_until(self.message.deadline)
    }

    /// Waits like [`wait`](Confirmation::wait), but for at most `timeout`; the receipt can be asked
    /// again.
    ///
    /// # Errors
    /// As [`Publisher::send`](crate::Publisher::send); [`Error::Timeout`](crate::Error::Timeout) if
    /// there is no answer yet.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_until(deadline::after(timeout))
    }

    /// Whether the fate of the message is known already; does not ask the broker.
    pub fn is_resolved(&self) -> bool {
        self.message.is_resolved()
    }

    /// The message id that the message was sent with.
    pub fn message_id(&self) -> Option<&str> {
        self.message.content.properties.message_id()
    }

    fn wait_until(&self, until: Instant) -> Result<()> {
        if let Some(known) = self.message.report() {
            return known;
        }
        let fate = self.pipeline.wait(&self.message, until);
        self.message.report().unwrap_or(fate)
    }
}

impl Drop for Confirmation {
    fn drop(&mut self) {
        self.pipeline.abandon(&self.message);
    }
}
