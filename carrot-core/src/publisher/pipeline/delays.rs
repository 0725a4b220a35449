//! The delays of a publisher's messages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Content, validate};
use crate::deadline;
use crate::error::Result;
use crate::publisher::delayed::{Delayed, SendTerms};
use crate::publisher::in_flight::InFlight;
use crate::publisher::pipeline::PublishPipeline;

impl PublishPipeline {
    /// Declares the waiting queues for messages of the publisher's exchange and routing key.
    pub(crate) fn declare_delays(&self, longest: Duration) -> Result<()> {
        if longest.is_zero() {
            return Ok(());
        }
        let terms = SendTerms {
            mandatory: self.definition.is_mandatory(),
            timeout: self.definition.send_timeout,
            delay: longest,
        };
        // A part that was declared before may have been deleted.
        self.chains.forget_all();
        let content = Content::new(self.exchange.clone(), self.routing_key.clone(), Vec::new());
        self.delay(&content, terms, Some(deadline::after(terms.timeout))).map(drop)
    }

    /// Prepares the delay of a message, if it has one. `until` is `None` if the caller must not
    /// wait.
    pub(super) fn delay(
        &self,
        content: &Content,
        terms: SendTerms,
        until: Option<Instant>,
    ) -> Result<Option<Delayed>> {
        if terms.delay.is_zero() {
            return Ok(None);
        }
        Delayed::new(&self.chains, content, terms, until).map(Some)
    }

    /// Sends a delayed message in a publisher without confirms.
    pub(super) fn delay_unconfirmed(&self, content: &Arc<Content>, terms: SendTerms) -> Result<()> {
        let deadline = deadline::after(terms.timeout);
        validate::body(&content.body, self.max_message_size)?;
        let delayed = self.delay(content, terms, Some(deadline))?;
        let SendTerms { mandatory, timeout, .. } = terms;
        let message = InFlight::new(Arc::clone(content), mandatory, timeout, deadline, 0, None);
        self.publish_until_sent(&message.with_delay(delayed.as_ref()))
    }
}
