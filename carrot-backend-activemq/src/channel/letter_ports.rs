//! The two directions between channels and the sender of their dead letters.

use std::fmt::Debug;

use carrot_core::{Error, Result};
use carrot_link::CallDeadline;

use crate::channel::dead_letter::{DiscardedMessage, WaitingLetter};

/// Takes the dead letters of channels.
pub(crate) trait LetterOutlet: Debug + Send + Sync {
    /// Adds a letter without waiting. Returns `false` if no letters are sent any more.
    fn send(&self, letter: WaitingLetter) -> bool;

    /// Waits until all letters are answered, and closes their connection. No letter can be sent any
    /// more.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker has not answered until the deadline.
    fn close(&self, deadline: CallDeadline) -> Result<()>;
}

/// Receives the answers to dead letters.
pub(crate) trait LetterAnswers: Debug + Send + Sync {
    /// Consumes a message whose letter the broker has.
    fn sent(&self, original: &DiscardedMessage);

    /// Returns a message whose letter the broker does not have to its queue, after a pause.
    fn refuse(&self, original: DiscardedMessage, reason: &Error);
}
