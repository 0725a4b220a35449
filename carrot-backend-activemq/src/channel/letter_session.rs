//! The session that sends dead letters, on a connection of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use carrot_core::backend::Printable;
use carrot_core::{Error, Result};
use carrot_link::{CallDeadline, RoleLink};
use carrot_listener::lock;

use crate::channel::channel_guard::ChannelGuard;
use crate::channel::dead_letter::{DiscardedMessage, WaitingLetter};
use crate::channel::letter_ports::LetterAnswers;
use crate::channel::publishing::OutgoingMessages;
use crate::connection::link_handle::LinkHandle;
use crate::connection::link_reader::refusal;
use crate::connection::linked_channel::{Arrival, BrokerAnswer, LinkedChannel};
use crate::exchanges::death_record::LetterRecord;
use crate::wire::destination::WireDestination;

/// The time after which the thread that waits for room looks whether the connection is open.
const ROOM_CHECK: Duration = Duration::from_secs(1);
/// The longest reason in the log, in bytes.
const SHOWN: usize = 255;

/// A session with the dead letters that the broker has not answered.
#[derive(Debug)]
pub(crate) struct LetterSession {
    channel: ChannelGuard,
    this: Weak<LetterSession>,
    sender: Weak<dyn LetterAnswers>,
    unanswered: Mutex<HashMap<u64, DiscardedMessage>>,
}

/// A dead letter that cannot be sent.
#[derive(Debug)]
pub(crate) struct UnsendableLetter {
    pub(crate) original: DiscardedMessage,
    pub(crate) reason: Error,
}

impl LetterSession {
    /// Opens a session. `sender` learns of the answers.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer.
    /// - The error of the connection.
    pub(crate) fn open(
        link: Arc<LinkHandle>,
        sender: Weak<dyn LetterAnswers>,
        deadline: CallDeadline,
    ) -> Result<Arc<LetterSession>> {
        let channel = ChannelGuard::open(link, Arc::default(), true, None, deadline)?;
        let session = Arc::new_cyclic(|this| LetterSession {
            channel,
            this: Weak::clone(this),
            sender,
            unanswered: Mutex::default(),
        });
        let link = &session.channel.link;
        link.add_channel(link.next_number(), session.linked())?;
        Ok(session)
    }

    fn linked(&self) -> Weak<dyn LinkedChannel> {
        Weak::clone(&self.this) as Weak<dyn LinkedChannel>
    }

    pub(crate) fn is_open(&self) -> bool {
        self.channel.link.is_open() && self.channel.check().is_ok()
    }

    /// Ends the connection at once.
    pub(crate) fn fail(&self, error: &Error) {
        RoleLink::fail(&*self.channel.link, error);
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker has not answered in time.
    pub(crate) fn close(&self, timeout: Duration) -> Result<()> {
        self.channel.link.close(timeout)
    }

    /// Sends a letter. Waits while the connection has no room. A letter that is too large with the
    /// records of all deaths has shorter records, or none. Returns a letter that is too large, or
    /// that the connection has lost.
    pub(crate) fn send(&self, number: u64, letter: WaitingLetter) -> Option<UnsendableLetter> {
        let link = &self.channel.link;
        while link.is_open() && !link.outgoing.wait_for_room_within(ROOM_CHECK) {}
        let frames = match self.frames(&letter) {
            Ok(frames) => frames,
            Err(reason) => return Some(UnsendableLetter { original: letter.original, reason }),
        };
        lock(&self.unanswered).insert(number, letter.original);
        let Err(reason) = self.channel.send_frames(frames, Some((self.linked(), number))) else {
            return None;
        };
        // The end of the connection may have taken the letter.
        let taken = lock(&self.unanswered).remove(&number);
        taken.map(|original| UnsendableLetter { original, reason })
    }

    fn frames(&self, letter: &WaitingLetter) -> Result<OutgoingMessages> {
        let frames = |record| {
            let content = letter.letter.at(letter.seconds, record).content;
            let messages = self.channel.messages(&content, letter.routes.clone(), true)?;
            self.channel.frames(messages)
        };
        let whole = frames(LetterRecord::Whole);
        let shorter = whole.or_else(|_| frames(LetterRecord::Latest));
        shorter.or_else(|_| frames(LetterRecord::None))
    }
}

impl LinkedChannel for LetterSession {
    fn confirmed(&self, tag: u64, answer: BrokerAnswer) {
        let letter = lock(&self.unanswered).remove(&tag);
        let (Some(letter), Some(sender)) = (letter, self.sender.upgrade()) else { return };
        match answer {
            Ok(()) => sender.sent(&letter),
            Err(exception) => sender.refuse(letter, &refusal(&exception)),
        }
    }

    fn arrived(&self, _: i64, _: Option<Arrival>) {}

    fn consumer_removed(&self, _: i64) {}

    fn queue_deleted(&self, _: &WireDestination) {}

    fn lost(&self, error: &Error) {
        let letters = std::mem::take(&mut *lock(&self.unanswered));
        let Some(sender) = self.sender.upgrade() else { return };
        for letter in letters.into_values() {
            sender.refuse(letter, error);
        }
    }
}

/// Returns the reason of an error for the log.
pub(crate) fn shown(error: &Error) -> String {
    Printable::new(SHOWN, error).to_string()
}
