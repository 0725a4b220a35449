//! The confirms of a channel.

use std::collections::VecDeque;
use std::sync::Arc;

use carrot_core::backend::{Content, Outcome};

use crate::channel::output::{ChannelEvent, ChannelOutput};

/// The broker's answers to the publications of a channel, by tag.
#[derive(Debug, Default)]
pub(crate) struct ChannelConfirms {
    /// The number of publications.
    pub(crate) count: u64,
    answers: VecDeque<ConfirmAnswer>,
    /// The number of answers that were taken and are not kept any more.
    forgotten: u64,
    /// Where the answers go instead, on a channel of a session.
    peer: Option<PeerConfirms>,
}

/// The answers to the publications of a session's peer.
#[derive(Debug)]
pub(crate) struct PeerConfirms {
    output: Arc<dyn ChannelOutput>,
    /// The number of publications that were answered while the channel had confirms.
    answered: u64,
    has_lost: bool,
    /// Whether a publication was refused since the last
    /// [`take_refused`](ChannelConfirms::take_refused).
    has_refused: bool,
}

/// The broker's answer to one publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfirmAnswer {
    Accepted,
    Refused,
    Unroutable,
    /// Never arrives, as injected.
    Lost,
    /// Was taken.
    Taken,
}

impl ChannelConfirms {
    /// Creates the confirms of a channel of a session.
    pub(crate) fn for_peer(output: Arc<dyn ChannelOutput>) -> ChannelConfirms {
        let peer = PeerConfirms { output, answered: 0, has_lost: false, has_refused: false };
        ChannelConfirms { peer: Some(peer), ..ChannelConfirms::default() }
    }

    /// Adds the answer to a publication, or sends it to the session's peer.
    pub(crate) fn answer(
        &mut self,
        answer: ConfirmAnswer,
        content: &Arc<Content>,
        is_confirming: bool,
    ) {
        match &mut self.peer {
            Some(peer) => peer.answer(answer, content, is_confirming),
            None if is_confirming => self.answers.push_back(answer),
            None => {}
        }
    }

    /// Returns where the answers go, on a channel of a session.
    pub(crate) fn output(&self) -> Option<Arc<dyn ChannelOutput>> {
        self.peer.as_ref().map(|peer| Arc::clone(&peer.output))
    }

    /// Returns whether a publication of the session's peer was refused since the last call.
    pub(crate) fn take_refused(&mut self) -> bool {
        self.peer.as_mut().is_some_and(|peer| std::mem::take(&mut peer.has_refused))
    }

    /// Returns the number of answers that never arrive.
    pub(crate) fn lost(&self) -> usize {
        self.answers.iter().filter(|answer| **answer == ConfirmAnswer::Lost).count()
    }

    /// Takes the answer to one publication, if it has arrived.
    pub(crate) fn take(&mut self, tag: u64) -> Option<Outcome> {
        let index = usize::try_from(tag.checked_sub(self.forgotten + 1)?).ok()?;
        let answer = self.answers.get_mut(index)?;
        let outcome = match *answer {
            ConfirmAnswer::Lost | ConfirmAnswer::Taken => return None,
            ConfirmAnswer::Accepted => Outcome::Accepted,
            ConfirmAnswer::Refused => Outcome::Refused,
            ConfirmAnswer::Unroutable => Outcome::Returned { code: 312, text: "NO_ROUTE".into() },
        };
        *answer = ConfirmAnswer::Taken;
        while self.answers.front() == Some(&ConfirmAnswer::Taken) {
            self.answers.pop_front();
            self.forgotten += 1;
        }
        Some(outcome)
    }
}

/// Returns a message as its publisher gets it back: without the header `BCC`, as RabbitMQ does.
fn without_blind_copies(content: &Arc<Content>) -> Arc<Content> {
    const BLIND: &str = "BCC";
    if content.properties.header(BLIND).is_none() {
        return Arc::clone(content);
    }
    let mut returned = Content::clone(content);
    returned.properties = returned.properties.without_header(BLIND);
    Arc::new(returned)
}

impl PeerConfirms {
    fn answer(&mut self, answer: ConfirmAnswer, content: &Arc<Content>, is_confirming: bool) {
        if answer == ConfirmAnswer::Unroutable {
            self.output.send(ChannelEvent::Returned { content: without_blind_copies(content) });
        }
        self.has_refused |= answer == ConfirmAnswer::Refused;
        if !is_confirming {
            return;
        }
        self.answered += 1;
        if answer == ConfirmAnswer::Lost {
            self.has_lost = true;
            return;
        }
        self.output.send(ChannelEvent::Confirmed {
            publish_tag: self.answered,
            is_accepted: answer != ConfirmAnswer::Refused,
            is_after_lost: self.has_lost,
        });
    }
}
