use std::sync::Arc;

use crate::error::{Error, Result};

/// How far [`Publisher::send_all_with`](crate::Publisher::send_all_with) has come.
///
/// The numbers never fall. The outcomes of published values are counted in the order of the values:
/// each counts once those of all earlier values are known. A value that cannot be published counts
/// as failed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SendProgress {
    /// The number of values that were sent, or could not be sent. Those that are neither confirmed
    /// nor returned nor failed are in flight.
    pub sent: usize,
    /// The number of values that the broker confirmed. All of them, in a publisher without
    /// confirms.
    pub confirmed: usize,
    /// The number of values that the broker returned, because they were mandatory and could not be
    /// routed.
    pub returned: usize,
    /// The number of values that failed in another way.
    pub failed: usize,
}

/// Collects the results of the messages of a batch.
#[derive(Default)]
pub(crate) struct BatchReport {
    pub(crate) confirmed: usize,
    returned: usize,
    failures: Vec<(usize, Error)>,
}

impl BatchReport {
    pub(crate) fn add(&mut self, index: usize, result: Result<()>) {
        match result {
            Ok(()) => self.confirmed += 1,
            Err(error) => self.failed(index, error),
        }
    }

    pub(crate) fn failed(&mut self, index: usize, error: Error) {
        self.returned += usize::from(matches!(error, Error::Unroutable { .. }));
        self.failures.push((index, error));
    }

    /// Returns the numbers of a batch of which `sent` messages were sent, or could not be sent.
    pub(crate) fn progress(&self, sent: usize) -> SendProgress {
        SendProgress {
            sent,
            confirmed: self.confirmed,
            returned: self.returned,
            failed: self.failures.len() - self.returned,
        }
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.failures.sort_by_key(|(index, _)| *index);
        let Some((_, first)) = self.failures.first() else { return Ok(()) };
        let source = Arc::new(first.clone());
        Err(Error::Batch { confirmed: self.confirmed, failures: self.failures, source })
    }
}
