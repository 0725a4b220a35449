use std::time::Duration;

use carrot_core::backend::{Content, Outcome, Publication, PublishTag, validate};
use carrot_core::{Error, Result};

use crate::channel::channel_core::{ChannelCore, SessionState};
use crate::channel::queues;
use crate::connection::deadline::CallDeadline;
use crate::content::{check_content, queue_name, to_message};
use crate::wire::ids::MessageId;
use crate::wire::message::WireMessage;

/// The reply code of a message that reaches no queue.
const NO_ROUTE: u16 = 312;

impl ChannelCore {
    /// Sends a message to the queue that its routing key names.
    pub(crate) fn publish(
        &self,
        publication: &Publication<'_>,
        max_body: u64,
        timeout: Duration,
    ) -> Result<PublishTag> {
        let content = &**publication.content;
        publication.validate()?;
        publication.refuse_delay()?;
        validate::body(&content.body, max_body)?;
        check_content(content)?;
        self.check()?;
        let deadline = CallDeadline::after(timeout);
        if !content.exchange.is_empty() {
            return self.publish_to_missing(content);
        }
        if !self.is_routable(content, deadline)? {
            return self.answer_unrouted(publication.mandatory);
        }
        self.send(content, deadline)
    }

    /// Returns whether the queue exists. One that is not known is asked for once.
    fn is_routable(&self, content: &Content, deadline: CallDeadline) -> Result<bool> {
        let name = queue_name::escape(content.routing_key.as_bytes());
        if name.is_empty() {
            return Ok(false);
        }
        if queues::is_known(&self.link, &name) {
            return Ok(true);
        }
        queues::exists(&self.link, "publish", &name, deadline)
    }

    fn send(&self, content: &Content, deadline: CallDeadline) -> Result<PublishTag> {
        let message = self.message(content)?;
        if !self.link.outgoing.wait_for_room_within(deadline.left()) {
            return Err(deadline.late("publish"));
        }
        let frame = self.link.message_frame(message);
        let size = frame.1.octets().len() as u64;
        let limit = self.link.traits.max_frame;
        if size > limit {
            return Err(Error::Invalid {
                field: "message".into(),
                value: format!("{size} bytes with its properties"),
                limit: format!("at most {limit} bytes, the maxFrameSize of the broker").into(),
            });
        }
        let mut state = self.lock();
        state.check()?;
        let tag = self.next_tag(&mut state);
        let awaited = self.confirms.then(|| (self.linked(), tag));
        // The lock keeps the tags in the order of the messages. Adding does not wait.
        self.link.send_message(frame, awaited)?;
        Ok(PublishTag(tag))
    }

    fn message(&self, content: &Content) -> Result<WireMessage> {
        let producer = self.link.producer_id(self.session);
        let id = MessageId {
            producer: Some(producer.clone()),
            producer_sequence: self.link.next_number(),
            ..MessageId::default()
        };
        let message = to_message(content, &content.routing_key)?;
        let needs_answer = self.confirms;
        Ok(WireMessage { producer: Some(producer), id: Some(id), needs_answer, ..message })
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

    /// Ends the channel, as a broker does over a message for an exchange that does not exist. The
    /// confirm reports it.
    fn publish_to_missing(&self, content: &Content) -> Result<PublishTag> {
        let tag = {
            let mut state = self.lock();
            state.check()?;
            self.next_tag(&mut state)
        };
        let reason = format!(
            "NOT_FOUND - no exchange '{}': this backend has the default exchange only",
            content.exchange.as_str()
        );
        self.fail(&Error::NotFound { reason });
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
