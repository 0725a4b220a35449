//! What a run does after the broker cancelled its consumer.

use std::time::Instant;

use crate::consumer::run::{Attempts, ConsumerRun};
use crate::consumer::subscribed::RunSubscription;
use crate::error::{Error, Result};
use crate::recovery::effects::ends_connection;

impl ConsumerRun {
    /// After a cancel by the broker: finds out whether the queue is gone, or its node or leader is
    /// on its way.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is gone; the last failure if it cannot be found out in time.
    pub(super) fn ensure_queue(
        &self,
        error: &Error,
        lost: &RunSubscription,
        attempts: &Attempts<'_>,
    ) -> Result<()> {
        if !matches!(error, Error::Cancelled { .. }) || self.shared.redeclares {
            return Ok(());
        }
        let channel = &self.shared.channel;
        loop {
            match channel.look_for(&lost.queue, attempts.until, attempts.given_up) {
                // Without a permission to look for it, subscribing tells.
                Ok(()) | Err(Error::AccessRefused { .. }) => return Ok(()),
                // Its queue went with its connection, and comes back with the next.
                Err(Error::NotFound { .. }) if self.shared.is_exclusive && is_lost(lost) => {
                    return Ok(());
                }
                Err(error) => {
                    if !(attempts.retried)(&error)
                        || Instant::now() >= attempts.until
                        || (attempts.given_up)()
                    {
                        return Err(error);
                    }
                    channel.postpone(&error);
                }
            }
        }
    }

    /// Makes the next look for the queue wait, because the queue may be on its way out.
    pub(super) fn postpone(&self, error: &Error) {
        // Of the kind that may pass: it is what a look that finds no time gives.
        self.shared.channel.postpone(&Error::Unavailable { reason: error.to_string() });
    }
}

fn is_lost(subscribed: &RunSubscription) -> bool {
    subscribed.channel.check().is_err_and(|error| ends_connection(&error))
}
