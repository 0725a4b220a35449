//! The reaction of a run to a cancel by the broker.

use std::sync::Arc;
use std::time::Instant;

use crate::backend::Backend;
use crate::consumer::run::ConsumerRun;
use crate::consumer::subscribe::Attempts;
use crate::consumer::subscribed::RunSubscription;
use crate::deadline;
use crate::error::{Error, Result};
use crate::recovery::effects::ends_connection;

impl ConsumerRun {
    /// Closes the channel of a consumer that was cancelled, and whose queue exists. The broker has
    /// requeued the unacknowledged messages of the consumer. On the open channel, the broker would
    /// ignore a late acknowledgement without an error. Blocks at most until `until`, and for the
    /// call timeout.
    pub(super) fn lose_deliveries(&self, channel: &Arc<dyn Backend>, until: Instant) {
        let timeout = deadline::left(until).min(self.shared.channel.connection().call_timeout);
        if let Err(error) = self.shared.channel.discard(channel, timeout) {
            log::debug!("closing the channel of a cancelled consumer failed: {error}");
        }
    }

    /// Checks, after a cancel by the broker, whether the queue was deleted, or is unavailable while
    /// its node or leader changes.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: the queue was deleted.
    /// - The last failure, if the check does not succeed in time.
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
                // Without the permission to check, the subscription finds out.
                Ok(()) | Err(Error::AccessRefused { .. }) => return Ok(()),
                // The queue was deleted with its connection, and is declared again with the next.
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

    /// Delays the next check of the queue, because the queue may be in deletion.
    pub(super) fn postpone(&self, error: &Error) {
        // An error that may pass, as that of a check that runs out of time.
        self.shared.channel.postpone(&Error::Unavailable { reason: error.to_string() });
    }
}

fn is_lost(subscribed: &RunSubscription) -> bool {
    subscribed.channel.check().is_err_and(|error| ends_connection(&error))
}
