use std::sync::Weak;
use std::time::Duration;

use carrot_core::backend::{Content, Outcome, Publication, PublishTag, validate};
use carrot_core::{Error, Result};
use carrot_link::CallDeadline;

use crate::channel::channel_core::{ChannelCore, SessionState};
use crate::channel::routing::{RouteFailure, delayed};
use crate::connection::linked_channel::LinkedChannel;
use crate::connection::outgoing_frame::{OutgoingFrame, UnwrittenFrame};
use crate::content::{BrokerDelay, MessageTerms, check_content, to_message};
use crate::wire::ids::TransactionId;
use crate::wire::message::WireMessage;
use crate::wire::setup_commands::TransactionInfo;

/// The messages of one publication.
#[derive(Debug)]
pub(crate) struct NumberedMessages {
    pub(crate) messages: Vec<WireMessage>,
    transaction: Option<TransactionId>,
}

/// The frames of one publication.
pub(crate) struct OutgoingMessages {
    frames: Vec<(i32, OutgoingFrame)>,
    transaction: Option<TransactionId>,
}

/// The reply code of a message that reaches no queue.
const NO_ROUTE: u16 = 312;

impl ChannelCore {
    /// Sends a message to the queues that it reaches.
    pub(crate) fn publish(
        &self,
        publication: &Publication<'_>,
        max_body: u64,
        timeout: Duration,
    ) -> Result<PublishTag> {
        let content = &**publication.content;
        publication.validate()?;
        let delay = self.delay(publication)?;
        validate::body(&content.body, max_body)?;
        self.check()?;
        if let Err(refused) = check_content(content) {
            return self.publish_refused(&refused);
        }
        let deadline = CallDeadline::after(timeout);
        let routes = match self.routes(content, deadline) {
            Ok(routes) => routes,
            Err(RouteFailure::Call(error)) => return Err(error),
            Err(RouteFailure::Channel(error)) => return self.publish_refused(&error),
        };
        if routes.is_empty() {
            return self.answer_unrouted(publication.mandatory || delay.is_some());
        }
        let routes = match delay {
            Some(delay) => delayed(routes, delay),
            None => routes,
        };
        self.send(content, routes, deadline)
    }

    /// Returns the delay of a message.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the delay is too long, or the broker would ignore it.
    fn delay(&self, publication: &Publication<'_>) -> Result<Option<BrokerDelay>> {
        match publication.delay {
            Some(delay) if self.link.scheduler.is_present() => BrokerDelay::new(delay).map(Some),
            Some(delay) => Err(BrokerDelay::not_possible(delay)),
            None => Ok(None),
        }
    }

    fn send(
        &self,
        content: &Content,
        routes: Vec<MessageTerms>,
        deadline: CallDeadline,
    ) -> Result<PublishTag> {
        let messages = self.messages(content, routes, self.confirms)?;
        if !self.link.outgoing.wait_for_room_within(deadline.left()) {
            return Err(deadline.late("publish"));
        }
        let frames = self.frames(messages)?;
        let mut state = self.lock();
        state.check()?;
        let tag = self.next_tag(&mut state);
        let awaited = self.confirms.then(|| (self.linked(), tag));
        // The lock keeps the tags in the order of the messages. Adding does not wait.
        let unwritten = self.add_frames(frames, awaited)?;
        drop(state);
        unwritten.into_iter().for_each(UnwrittenFrame::write);
        Ok(PublishTag(tag))
    }

    /// Sends the frames of one publication: several in one transaction, whose end is answered.
    pub(crate) fn send_frames(
        &self,
        frames: OutgoingMessages,
        awaited: Option<(Weak<dyn LinkedChannel>, u64)>,
    ) -> Result<()> {
        self.add_frames(frames, awaited).map(drop)
    }

    /// Adds the frames of one publication to those that leave. Returns the frame that the caller
    /// may write.
    fn add_frames(
        &self,
        frames: OutgoingMessages,
        awaited: Option<(Weak<dyn LinkedChannel>, u64)>,
    ) -> Result<Option<UnwrittenFrame<'_>>> {
        let OutgoingMessages { frames, transaction } = frames;
        let Some(transaction) = transaction else {
            let mut frames = frames.into_iter();
            let last = frames.next_back();
            frames.try_for_each(|frame| self.link.send_message(frame, awaited.clone()))?;
            return last.map(|frame| self.link.add_message(frame, awaited)).transpose();
        };
        self.link.send(self.step(&transaction, TransactionInfo::BEGIN));
        frames.into_iter().try_for_each(|frame| self.link.send_message(frame, None))?;
        let commit = self.step(&transaction, TransactionInfo::COMMIT);
        self.link.send_answered(commit, awaited).map(|()| None)
    }

    /// Returns the messages of one publication, numbered. Those for several queues belong to one
    /// transaction: the broker may refuse a message for one queue of a destination, and keep the
    /// copies for the others.
    pub(crate) fn messages(
        &self,
        content: &Content,
        routes: Vec<MessageTerms>,
        needs_answer: bool,
    ) -> Result<NumberedMessages> {
        let is_for_several =
            routes.len() > 1 || routes.iter().any(|terms| terms.destination.is_composite());
        let transaction = is_for_several.then(|| self.link.next_transaction_id());
        let mut messages = Vec::with_capacity(routes.len());
        for terms in routes {
            let message = to_message(content, terms)?;
            messages.push(self.numbered(message, transaction.as_ref(), needs_answer));
        }
        Ok(NumberedMessages { messages, transaction })
    }

    /// Returns a message with its number. The end of a transaction is answered, and no message.
    pub(crate) fn numbered(
        &self,
        message: WireMessage,
        transaction: Option<&TransactionId>,
        needs_answer: bool,
    ) -> WireMessage {
        let id = self.link.next_message_id(self.session);
        WireMessage {
            producer: id.producer.clone(),
            id: Some(id),
            transaction: transaction.cloned(),
            needs_answer: needs_answer && transaction.is_none(),
            ..message
        }
    }

    /// # Errors
    /// - [`Error::Invalid`]: a frame is larger than the broker takes.
    pub(crate) fn frames(&self, messages: NumberedMessages) -> Result<OutgoingMessages> {
        let limit = self.link.traits.max_frame;
        let NumberedMessages { messages, transaction } = messages;
        let mut frames = Vec::with_capacity(messages.len());
        for message in messages {
            let frame = self.link.message_frame(message);
            let size = frame.1.octets().len() as u64;
            if size > limit {
                return Err(Error::Invalid {
                    field: "message".into(),
                    value: format!("{size} bytes with its properties"),
                    limit: format!("at most {limit} bytes, the maxFrameSize of the broker").into(),
                });
            }
            frames.push(frame);
        }
        Ok(OutgoingMessages { frames, transaction })
    }

    fn next_tag(&self, state: &mut SessionState) -> u64 {
        let tag = state.answers.next_tag();
        if self.confirms {
            state.answers.expect(tag);
        }
        tag
    }

    /// Answers a message for no queue.
    fn answer_unrouted(&self, is_mandatory: bool) -> Result<PublishTag> {
        let mut state = self.lock();
        state.check()?;
        let tag = self.next_tag(&mut state);
        if self.confirms {
            let outcome = match is_mandatory {
                true => Outcome::Returned { code: NO_ROUTE, text: "NO_ROUTE".into() },
                false => Outcome::Accepted,
            };
            state.answers.answer(tag, outcome);
        }
        Ok(PublishTag(tag))
    }

    /// Ends the channel, as a broker does over a message that it refuses. The confirm reports it.
    fn publish_refused(&self, error: &Error) -> Result<PublishTag> {
        let tag = {
            let mut state = self.lock();
            state.check()?;
            self.next_tag(&mut state)
        };
        self.fail(error);
        Ok(PublishTag(tag))
    }

    /// Waits for the answer to a publication.
    pub(crate) fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
        if !self.confirms {
            return Err(Error::invalid(
                "channel",
                "without confirms",
                "only a channel opened with confirms can be asked for them",
            ));
        }
        let deadline = CallDeadline::after(timeout);
        let answer = self.wait_for(deadline, |state| {
            if let Some(outcome) = state.answers.take(tag.0) {
                return Ok(Some(outcome));
            }
            state.check().map(|()| None)
        })?;
        answer.ok_or_else(|| deadline.late("confirm"))
    }
}
