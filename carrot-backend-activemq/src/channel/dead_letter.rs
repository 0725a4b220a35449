use std::fmt::Debug;
use std::sync::{Arc, Weak};

use carrot_core::backend::Content;

use crate::content::MessageTerms;
use crate::exchanges::death_mark::DeathMark;
use crate::exchanges::death_record::{LetterRecord, SentLetter, dead_letter};
use crate::exchanges::queue_rules::DeadLetterRoute;

/// A delivery of a queue with a dead-letter exchange.
#[derive(Debug, Clone)]
pub(crate) struct UnsentLetter {
    pub(crate) content: Arc<Content>,
    pub(crate) mark: DeathMark,
    pub(crate) queue: String,
    pub(crate) route: Arc<DeadLetterRoute>,
}

impl UnsentLetter {
    /// Returns the letter of a message that is discarded now. `seconds` is the time since the Unix
    /// epoch.
    pub(crate) fn at(&self, seconds: u64, record: LetterRecord) -> SentLetter {
        let UnsentLetter { content, mark, queue, route } = self;
        dead_letter(content, *mark, queue, route, seconds).with_record(record)
    }
}

/// A dead letter that waits to be sent.
#[derive(Debug)]
pub(crate) struct WaitingLetter {
    pub(crate) original: DiscardedMessage,
    pub(crate) letter: UnsentLetter,
    /// The time of the death, in seconds since the Unix epoch.
    pub(crate) seconds: u64,
    pub(crate) routes: Vec<MessageTerms>,
}

/// A channel with messages whose dead letters are not answered.
pub(crate) trait LetterHolder: Debug + Send + Sync {
    /// Returns whether the channel holds the message of a letter.
    fn holds_original(&self, number: u64) -> bool;

    /// Consumes the message of a letter that was sent, and returns that of another to its queue.
    fn letter_answered(&self, number: u64, was_sent: bool);
}

/// A discarded message that its channel holds until the broker has the dead letter.
#[derive(Debug)]
pub(crate) struct DiscardedMessage {
    pub(crate) channel: Weak<dyn LetterHolder>,
    /// The number of the letter in its channel.
    pub(crate) number: u64,
    pub(crate) queue: String,
}

impl DiscardedMessage {
    /// Returns whether the channel still holds the message.
    pub(crate) fn is_held(&self) -> bool {
        let channel = self.channel.upgrade();
        channel.is_some_and(|channel| channel.holds_original(self.number))
    }

    /// Consumes the message.
    pub(crate) fn consume(&self) {
        if let Some(channel) = self.channel.upgrade() {
            channel.letter_answered(self.number, true);
        }
    }

    /// Returns the message to its queue.
    pub(crate) fn give_back(&self) {
        if let Some(channel) = self.channel.upgrade() {
            channel.letter_answered(self.number, false);
        }
    }
}
