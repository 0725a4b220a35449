use std::time::Duration;

use crate::backend::ConsumeOptions;
use crate::deadline::FOREVER;
use crate::error::{Error, Result};

/// The limits of the batches of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    /// The maximum number of messages.
    pub(super) messages: u16,
    /// The time in which a batch is collected.
    pub(super) wait: Duration,
}

impl BatchLimits {
    /// # Errors
    /// [`Error::Invalid`]: a batch could hold no message.
    pub(crate) fn new(messages: u16, wait: Duration) -> Result<BatchLimits> {
        if messages == 0 {
            return Err(Error::invalid("batch size", "0", "1 to 65535 messages"));
        }
        Ok(BatchLimits { messages, wait: wait.min(FOREVER) })
    }

    /// Returns `options` with a prefetch that allows full batches to this number of threads.
    pub(super) fn options(&self, options: &ConsumeOptions, threads: usize) -> ConsumeOptions {
        let threads = u16::try_from(threads).unwrap_or(u16::MAX);
        let prefetch = options.prefetch.max(self.messages.saturating_mul(threads));
        ConsumeOptions { prefetch, ..options.clone() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn prefetch_is_raised_to_a_full_batch_of_each_thread_and_never_lowered() {
        let limits = |messages| BatchLimits::new(messages, Duration::ZERO).unwrap();
        let options = ConsumeOptions { prefetch: 50, ..ConsumeOptions::default() };
        let prefetch = |messages, threads| limits(messages).options(&options, threads).prefetch;
        assert_eq!(
            [(10, 1), (20, 2), (20, 3), (30_000, 3)]
                .map(|(messages, threads)| { prefetch(messages, threads) }),
            [50, 50, 60, u16::MAX]
        );
        assert!(BatchLimits::new(0, Duration::ZERO).is_err());
    }
}
