//! The confirming half of a publisher: waits for the outcome of messages, and recovers them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::publisher::batch::BatchReport;
use crate::publisher::in_flight::{Attempt, BrokerAnswer, InFlight};
use crate::publisher::pipeline::{PublishPipeline, is_of_the_channel};
use crate::publisher::window::WindowFull;
use crate::recovery::effects::{has_a_cause, may_pass};

/// The interval at which a thread that waits for room stops asking for one message and checks the
/// window.
const WINDOW_CHECK_INTERVAL: Duration = Duration::from_millis(50);

impl PublishPipeline {
    /// Waits for the outcome of the oldest message, or until there may be room without it.
    pub(super) fn make_room(
        &self,
        full: &WindowFull,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<()> {
        let oldest = &full.oldest;
        let look_again = Instant::now() + WINDOW_CHECK_INTERVAL;
        if oldest.is_attended() {
            self.unconfirmed.window.wait_for_departure(full, deadline.min(look_again));
        } else {
            // The outcome is recorded for other threads. Here only the room matters.
            let _ = self.wait_until(oldest, deadline.min(oldest.deadline), look_again);
        }
        if Instant::now() >= deadline { Err(self.no_room(timeout)) } else { Ok(()) }
    }

    /// Waits until `until` for the outcome of a message, and records it. Sends the message again if
    /// its channel is lost. At the message's own deadline, its outcome is unknown.
    pub(crate) fn wait(&self, message: &InFlight, until: Instant) -> Result<()> {
        self.wait_until(message, until, until)
    }

    /// Waits as [`wait`](PublishPipeline::wait) does, but only until `look_again` for the broker's
    /// answer.
    fn wait_until(&self, message: &InFlight, until: Instant, look_again: Instant) -> Result<()> {
        let until = until.min(message.deadline);
        let unknown = loop {
            match message.ask(until.min(look_again), || self.channel.is_in_nack_grace()) {
                BrokerAnswer::Known(outcome) => return outcome,
                BrokerAnswer::Final(channel, outcome) => {
                    return self.resolve_answered(message, &channel, outcome);
                }
                BrokerAnswer::Refused(channel) => {
                    if let Some(channel) = channel {
                        self.channel.replace_channel(
                            &channel,
                            "the broker refuses all messages on it after a loss",
                        );
                    }
                    match self.send_again(message, || message.is_refused(), until) {
                        Err(error) if !may_pass(&error) => {
                            return self.resolve(message, Err(error));
                        }
                        Err(_) if Instant::now() >= message.deadline => break Error::Refused,
                        Err(error) => break error,
                        Ok(()) => {}
                    }
                }
                BrokerAnswer::Lost(lost, error) => {
                    self.lost(&lost.channel, &error);
                    if message.is_decided() {
                        continue;
                    }
                    if Instant::now() >= message.deadline {
                        break error;
                    }
                    if !error.is_disconnected() && !has_a_cause(&error) && !self.was_retired(&error)
                    {
                        return self.resolve(message, Err(error));
                    }
                    match self.send_again(message, || message.is_on(&lost.channel), until) {
                        Err(error) if !may_pass(&error) => {
                            return self.resolve(message, Err(error));
                        }
                        Err(error) => break error,
                        Ok(()) => {}
                    }
                }
                BrokerAnswer::Blocked(error) => break error,
                BrokerAnswer::None => {
                    break Error::timeout("the broker's confirm of a message", message.timeout);
                }
            }
        };
        if Instant::now() >= message.deadline {
            self.unconfirmed.resolve(message, Err(unknown.clone()));
        }
        message.known().unwrap_or(Err(unknown))
    }

    /// Records the outcome of a message if the broker's answer is here, or if the message's
    /// deadline has passed. Does not block, and sends no message again.
    pub(crate) fn take_answer(&self, message: &InFlight) {
        let now = Instant::now();
        let unknown = match message.ask(now, || self.channel.is_in_nack_grace()) {
            BrokerAnswer::Final(channel, outcome) => {
                // The owner of the confirmation receives the outcome.
                let _ = self.resolve_answered(message, &channel, outcome);
                return;
            }
            BrokerAnswer::Known(_) => return,
            BrokerAnswer::Refused(_) => Error::Refused,
            BrokerAnswer::Lost(_, error) | BrokerAnswer::Blocked(error) => error,
            BrokerAnswer::None => {
                Error::timeout("the broker's confirm of a message", message.timeout)
            }
        };
        if now >= message.deadline {
            let _ = self.resolve(message, Err(unknown));
        }
    }

    /// Takes the answers of the oldest messages, up to the first that has none, or whose outcome is
    /// being shown to the layers. Does not block.
    pub(super) fn take_answers_of_oldest(&self) {
        let mut last = None;
        while let Some(oldest) = self.unconfirmed.window.oldest() {
            if last == Some(oldest.sequence) {
                return;
            }
            last = Some(oldest.sequence);
            self.take_answer(&oldest);
        }
    }

    fn resolve_answered(
        &self,
        message: &InFlight,
        channel: &Arc<dyn Backend>,
        outcome: Result<()>,
    ) -> Result<()> {
        if !matches!(outcome, Err(Error::Refused)) {
            self.channel.mark_working(channel);
        }
        self.resolve(message, outcome)
    }

    fn resolve(&self, message: &InFlight, outcome: Result<()>) -> Result<()> {
        self.unconfirmed.resolve(message, outcome.clone());
        outcome
    }

    /// Ensures that a message is sent on another channel. Opening a channel has sent it, unless the
    /// channel was open before, as `is_left` returns. Does nothing once the outcome is decided.
    fn send_again(
        &self,
        message: &InFlight,
        is_left: impl Fn() -> bool,
        until: Instant,
    ) -> Result<()> {
        let channel = match self.recover_for(message, until) {
            Err(_) if message.is_decided() => return Ok(()),
            recovered => recovered?.channel,
        };
        if is_left() {
            message.declare_again(until)?;
            match channel
                .publish(&message.publication(), until.saturating_duration_since(Instant::now()))
            {
                Ok(tag) => self.unconfirmed.sent_again(message, Attempt { channel, tag }),
                Err(error) if is_of_the_channel(&error) => self.lost(&channel, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn flush(&self) -> Result<()> {
        let mut batch = BatchReport::default();
        for message in self.unconfirmed.window.messages() {
            let outcome = self.wait(&message, message.deadline);
            batch.confirmed += usize::from(outcome.is_ok());
        }
        self.unconfirmed
            .take_unclaimed()
            .into_iter()
            .enumerate()
            .for_each(|(index, error)| batch.failed(index, error));
        batch.finish()
    }
}
