//! The delay of one message: by the broker itself, or by a chain of waiting queues.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Content, Publication};
use crate::error::{Error, Result, Returned};
use crate::waiting_queues::declared_chains::DeclaredChains;
use crate::waiting_queues::delay_chain::DelayChain;
use crate::waiting_queues::delay_levels::{DelayLevels, Unrouted};
use crate::waiting_queues::known_parts::DeclaredChain;

/// How one message is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendTerms {
    pub(crate) mandatory: bool,
    pub(crate) timeout: Duration,
    /// Zero for a message that is not delayed.
    pub(crate) delay: Duration,
}

/// The delay of a message in flight.
#[derive(Debug, Clone)]
pub(crate) enum Delayed {
    ByBroker(Duration),
    InQueues(QueuedDelay),
}

/// The delay of a message in flight by waiting queues.
#[derive(Debug, Clone)]
pub(crate) struct QueuedDelay {
    /// The message as published to the waiting queues.
    content: Arc<Content>,
    chain: DelayChain,
    levels: DelayLevels,
    unrouted: Unrouted,
    chains: Arc<DeclaredChains>,
    declared: Arc<DeclaredChain>,
}

impl Delayed {
    /// Prepares the delay of a message. `until` is `None` if the caller must not wait.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the message cannot be delayed, the delay is too long, or the broker
    ///   delays no messages.
    /// - [`Error::Unroutable`]: the message is mandatory, and its queue does not exist.
    /// - The errors of declaring the waiting queues.
    pub(crate) fn new(
        chains: &Arc<DeclaredChains>,
        content: &Content,
        terms: SendTerms,
        until: Option<Instant>,
    ) -> Result<Delayed> {
        let capabilities = chains.capabilities(until)?;
        if capabilities.delayed_publish {
            return Ok(Delayed::ByBroker(terms.delay));
        }
        if !capabilities.waiting_queues {
            return Err(Error::Invalid {
                field: "delay".into(),
                value: format!("{:?}", terms.delay),
                limit: "no delay, because this broker has no waiting queues and no scheduler \
                        (ActiveMQ needs schedulerSupport=\"true\")"
                    .into(),
            });
        }
        let unrouted = if terms.mandatory { Unrouted::Kept } else { Unrouted::Dropped };
        let levels = DelayLevels::of(terms.delay)?;
        let chain = DelayChain::of(&content.exchange, &content.routing_key)?;
        let delayed = Arc::new(chain.delayed(content, levels, unrouted)?);
        Publication::new(&delayed).validate()?;
        let chains = Arc::clone(chains);
        let declared =
            chains.ensure(&chain, levels, unrouted, until).map_err(|error| match error {
                Error::NotFound { reason } if terms.mandatory => unroutable(content, reason),
                error => error,
            })?;
        let content = delayed;
        Ok(Delayed::InQueues(QueuedDelay { content, chain, levels, unrouted, chains, declared }))
    }

    /// Returns the publication of a delayed message.
    pub(crate) fn publication<'a>(&'a self, content: &'a Arc<Content>) -> Publication<'a> {
        match self {
            Delayed::ByBroker(delay) => Publication::new(content).with_delay(*delay),
            // Finds out whether the waiting queues exist.
            Delayed::InQueues(delay) => Publication::new(&delay.content).with_mandatory(true),
        }
    }

    /// Returns whether the broker may return a message that is not mandatory, which it would drop
    /// without a delay.
    pub(crate) fn may_return(&self) -> bool {
        matches!(self, Delayed::ByBroker(_))
    }

    /// Forgets waiting queues that do not exist, as an outcome shows. The next message declares
    /// them.
    pub(crate) fn note(&self, outcome: &Result<()>) {
        if let Delayed::InQueues(delay) = self
            && matches!(outcome, Err(Error::Unroutable { .. } | Error::NotFound { .. }))
        {
            delay.declared.forget();
        }
    }

    /// Looks for the waiting queues after a loss of the channel, and declares them if they do not
    /// exist. Does nothing if there was no loss.
    pub(crate) fn declare_again(&self, until: Instant) -> Result<()> {
        let Delayed::InQueues(delay) = self else { return Ok(()) };
        delay.chains.ensure(&delay.chain, delay.levels, delay.unrouted, Some(until)).map(drop)
    }
}

/// Returns the error of a message whose queue does not exist.
fn unroutable(content: &Content, reason: String) -> Error {
    const NO_ROUTE: u16 = 312;
    let Content { exchange, routing_key, properties, body } = content;
    let returned =
        Returned::new(NO_ROUTE, reason, exchange, routing_key, properties.message_id(), body);
    Error::Unroutable { returned: Box::new(returned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_that_delays_receives_the_exact_delay_and_no_mandatory_message() {
        let content = Arc::new(Content::new("", "orders", "x"));
        let delay = Duration::from_millis(1500);
        let delayed = Delayed::ByBroker(delay);
        let publication = delayed.publication(&content);
        assert_eq!((publication.delay, publication.mandatory), (Some(delay), false));
    }
}
