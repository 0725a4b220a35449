//! Settings of a consumer for failed messages.

use std::fmt;
use std::sync::Arc;

use crate::backend::{Capabilities, ConsumeOptions, Declare};
use crate::consumer::failure::retry::Retry;
use crate::consumer::failure::retry_queues;
use crate::consumer::handler_error::HandlerError;
use crate::consumer::message::Message;
use crate::consumer::settlement::Settlement;
use crate::error::{Error, Result};
use crate::model::Queue;

/// The treatment of a message after its last attempt.
#[derive(Debug, Clone, Default)]
pub(crate) enum Afterwards {
    /// Parks in `<queue>.failed`.
    #[default]
    Park,
    /// Parks in the queue of this name, which is declared like that of `Park`.
    ParkIn(String),
    /// Parks in this queue.
    ParkWith(Box<Queue>),
    /// Rejects: dead-letters or drops.
    Discard,
}

type HandleUndecodable = dyn Fn(&Message, &Error) -> Result<Settlement, HandlerError> + Send + Sync;

/// A function of the program for messages whose body cannot be decoded.
#[derive(Clone)]
pub(crate) struct UndecodableHandler(pub(crate) Arc<HandleUndecodable>);

impl fmt::Debug for UndecodableHandler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UndecodableHandler(..)")
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FailureSettings {
    pub(crate) retry: Option<Retry>,
    pub(crate) afterwards: Option<Afterwards>,
    /// Whether failed messages are requeued at once, for the broker to count.
    pub(crate) requeues: bool,
    pub(crate) pause_after: Option<u32>,
    pub(crate) on_undecodable: Option<UndecodableHandler>,
}

impl FailureSettings {
    pub(crate) fn validate(&self, queue: &Queue, options: &ConsumeOptions) -> Result<()> {
        if options.acknowledgement == crate::backend::Acknowledgement::Automatic {
            let set = [
                ("retry", self.retry.is_some()),
                ("park or discard_failed", self.afterwards.is_some()),
                ("requeue_failed", self.requeues),
            ];
            if let Some((option, _)) = set.into_iter().find(|(_, is_set)| *is_set) {
                return Err(Error::config(
                    option,
                    "needs manual acknowledgement, because automatic acknowledgement deletes a \
                     message before its handler runs",
                ));
            }
        }
        if self.requeues && (self.retry.is_some() || self.afterwards.is_some()) {
            return Err(Error::config(
                "requeue_failed",
                "excludes retry, park and discard_failed, because the broker counts the attempts",
            ));
        }
        if self.pause_after == Some(0) {
            return Err(Error::invalid("pause_after_failures", "0", "at least 1"));
        }
        if let Some(retry) = &self.retry {
            retry.validate()?;
        }
        if queue.delays_failed() && !self.requeues {
            self.validate_delayed_retry(queue)?;
        }
        match &self.afterwards {
            Some(Afterwards::ParkIn(name)) => validate_parking(&Queue::new(name), &queue.name),
            Some(Afterwards::ParkWith(parking)) => validate_parking(parking, &queue.name),
            _ => Ok(()),
        }
    }

    /// Checks that the broker does not drop a message before the last attempt.
    fn validate_delayed_retry(&self, queue: &Queue) -> Result<()> {
        let Some(limit) = queue.delivery_limit_since_4_0() else { return Ok(()) };
        if queue.arguments.contains("x-dead-letter-exchange") {
            return Ok(());
        }
        let attempts = self.retry.clone().unwrap_or_default().number_of_attempts();
        if i64::from(attempts) > limit.saturating_add(1) {
            return Err(Error::Invalid {
                field: "retry attempts".into(),
                value: attempts.to_string(),
                limit: format!(
                    "at most {}, because the queue drops a message after {limit} failed \
                     redeliveries; set a higher delivery_limit or a dead_letter_exchange",
                    limit.saturating_add(1)
                )
                .into(),
            });
        }
        Ok(())
    }

    /// Returns the parking queue of a consumer of `queue`; `None` if failed messages are not
    /// parked.
    pub(super) fn parking(&self, queue: &str, capabilities: Capabilities) -> Option<Queue> {
        if self.requeues {
            return None;
        }
        match self.afterwards.as_ref().unwrap_or(&Afterwards::Park) {
            Afterwards::Park => {
                Some(retry_queues::parking(&retry_queues::parking_name(queue), capabilities))
            }
            Afterwards::ParkIn(name) => Some(retry_queues::parking(name, capabilities)),
            Afterwards::ParkWith(queue) => Some((**queue).clone()),
            Afterwards::Discard => None,
        }
    }
}

fn validate_parking(parking: &Queue, queue: &str) -> Result<()> {
    let name = &*parking.name;
    if name.is_empty() {
        return Err(Error::invalid("parking queue", "", "a name of 1 to 255 bytes"));
    }
    if name == queue || retry_queues::is_step_of(name, queue) {
        return Err(Error::invalid(
            "parking queue",
            name,
            "another queue than the one whose messages are parked, and than those in which they \
             wait",
        ));
    }
    parking.validate_delayed_length()?;
    Declare::Queue(parking).validate()
}
