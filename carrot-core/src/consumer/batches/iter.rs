use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::consumer::batches::batch::Batch;
use crate::consumer::batches::collect::collect;
use crate::consumer::batches::limits::BatchLimits;
use crate::consumer::run::{CachedSubscription, ConsumerRun};
use crate::consumer::shared::ConsumerShared;
use crate::deadline::FOREVER;
use crate::error::Result;

/// Iterates over the batches of a consumer. Created by
/// [`Consumer::batches`](crate::Consumer::batches).
///
/// `next` blocks until a batch is complete. The iterator ends when the consumer is stopped, when
/// its [`timeout`](Batches::timeout) passes without a message, or after an error. A stop completes
/// the batch that is being collected.
///
/// Dropping the iterator requeues the prefetched messages, without waiting for the broker. Batches
/// already returned can still be settled.
#[must_use = "an iterator does nothing until it is asked"]
pub struct Batches {
    run: ConsumerRun,
    cached: CachedSubscription,
    limits: BatchLimits,
    timeout: Option<Duration>,
    ended: bool,
}

impl Batches {
    pub(crate) fn start(shared: &Arc<ConsumerShared>, limits: BatchLimits) -> Result<Batches> {
        let run = ConsumerRun::start(shared, &limits.options(&shared.options, 1))?;
        let cached = CachedSubscription::default();
        Ok(Batches { run, cached, limits, timeout: None, ended: false })
    }

    /// Ends the iterator when no message arrives for this long. Zero only returns messages that
    /// have arrived already. The first message of a batch ends this wait.
    ///
    /// Defaults to waiting forever.
    pub fn timeout(mut self, timeout: Duration) -> Batches {
        self.timeout = Some(timeout);
        self
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        if self.ended {
            return None;
        }
        let timeout = self.timeout.unwrap_or(FOREVER).min(FOREVER);
        match collect(&self.run, &mut self.cached, self.limits, timeout) {
            Ok(messages) if messages.is_empty() => {
                self.ended = true;
                None
            }
            Ok(messages) => Some(Ok(Batch::new(messages))),
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

impl std::iter::FusedIterator for Batches {}

impl fmt::Debug for Batches {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Batches")
            .field("queue", &self.run.queue())
            .field("limits", &self.limits)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
