//! The numbers of messages that a publish has sent, and of the answers.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::exit::{CommandFailure, Result};
use crate::printing::{counted, print_json};

/// The numbers, which the thread that publishes increases.
#[derive(Debug, Default)]
pub(super) struct PublishCounts {
    pub(super) sent: AtomicU64,
    pub(super) confirmed: AtomicU64,
    pub(super) unroutable: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl PublishCounts {
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Returns how many messages no queue has taken.
    pub(super) fn failed(&self) -> u64 {
        self.unroutable.load(Ordering::Acquire) + self.refused.load(Ordering::Acquire)
    }

    /// Returns a number that each message and each answer increases.
    pub(super) fn progress(&self) -> u64 {
        self.sent() + self.failed() + self.confirmed.load(Ordering::Acquire)
    }

    /// Returns how many messages have no answer.
    pub(super) fn unanswered(&self) -> u64 {
        let answered = self.failed() + self.confirmed.load(Ordering::Acquire);
        self.sent().saturating_sub(answered)
    }

    /// Prints the numbers.
    ///
    /// # Errors
    /// Messages that no queue has taken.
    pub(super) fn report(&self, json: bool) -> Result<()> {
        // The answers first: each is of a message that was counted before.
        let answers = [&self.confirmed, &self.unroutable, &self.refused];
        let [confirmed, unroutable, refused] = answers.map(|count| count.load(Ordering::Acquire));
        let sent = self.sent();
        let unknown = sent.saturating_sub(confirmed + unroutable + refused);
        if json {
            let report = json!({
                "sent": sent, "confirmed": confirmed, "unroutable": unroutable,
                "refused": refused, "unknown": unknown,
            });
            print_json(&report)?;
        } else if sent != 1 || confirmed != 1 {
            note!(
                "carrot: {sent} sent: {confirmed} confirmed, {unroutable} unroutable, \
                 {refused} refused, {unknown} unknown"
            );
        }
        match unroutable + refused {
            0 => Ok(()),
            failed => {
                let failed = counted(failed, "message");
                Err(CommandFailure::not_all(format!("{failed} failed")))
            }
        }
    }
}
