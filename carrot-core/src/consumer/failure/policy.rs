//! Decides how a failed message is treated, and treats it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Acknowledgement, Capabilities, Clock, ConsumeOptions, Content, Delivery};
use crate::consumer::disposition::Disposition;
use crate::consumer::failure::broker_pause::BrokerPause;
use crate::consumer::failure::copy;
use crate::consumer::failure::copy_channel::{CopyChannel, Presence, Target};
use crate::consumer::failure::failed::Failure;
use crate::consumer::failure::failure_log::FailureLog;
use crate::consumer::failure::local_attempts::LocalAttempts;
use crate::consumer::failure::outcome::FailureOutcome;
use crate::consumer::failure::pause_place::{PausePlace, lasts};
use crate::consumer::failure::paused::{PausedMessage, PausedMessages};
use crate::consumer::failure::retry::Retry;
use crate::consumer::failure::retry_queues::RetryStep;
use crate::consumer::failure::settings::FailureSettings;
use crate::consumer::figures::ConsumerFigures;
use crate::consumer::message::{FailedMessages, Message};
use crate::consumer::subscribed::UnhandledCounts;
use crate::error::{Error, Result};
use crate::model::{Queue, Value};
use crate::panic_guard::describe;
use crate::recovery::handle::ConnectionHandle;
use crate::statistics::registry::Registered;

/// The longest pause of a message in the process. A broker closes a channel that keeps a message
/// unacknowledged for too long, 30 minutes by default.
const LONGEST_IN_PROCESS: Duration = Duration::from_secs(10 * 60);

/// The treatment of the failed messages of one consumer.
pub(crate) struct FailurePolicy {
    settings: FailureSettings,
    retry: Retry,
    place: PausePlace,
    /// Whether the definition makes the broker delay failed messages, if the broker can.
    delayed_retry: bool,
    /// Whether the queue outlives its connection and its consumers.
    lasts: bool,
    copies: CopyChannel,
    paused: Arc<PausedMessages>,
    most_paused: usize,
    log: FailureLog,
    counted: LocalAttempts,
    figures: Registered<ConsumerFigures>,
}

impl FailurePolicy {
    pub(crate) fn new(
        connection: &Arc<ConnectionHandle>,
        queue: &Queue,
        is_stream: bool,
        options: &ConsumeOptions,
        settings: &FailureSettings,
    ) -> FailurePolicy {
        let copies = CopyChannel::new(connection);
        let clock = copies.connection().connector.clock();
        let figures = Arc::<ConsumerFigures>::default();
        let retry = settings.retry.clone().unwrap_or_default();
        FailurePolicy {
            place: PausePlace::of(queue, is_stream, options),
            delayed_retry: queue.delays_failed()
                && options.acknowledgement == Acknowledgement::Manual,
            lasts: lasts(queue) && options.acknowledgement == Acknowledgement::Manual,
            copies,
            paused: Arc::new(PausedMessages::new(clock, Arc::clone(&figures.paused_messages))),
            most_paused: usize::from(options.prefetch / 2).max(1),
            log: FailureLog::new(retry.number_of_attempts()),
            retry,
            counted: LocalAttempts::default(),
            figures: connection.shared.figures.consuming.register(figures),
            settings: settings.clone(),
        }
    }

    pub(crate) fn settings(&self) -> &FailureSettings {
        &self.settings
    }

    /// Returns the figures of the consumer outside of its runs.
    pub(crate) fn figures(&self) -> &ConsumerFigures {
        &self.figures
    }

    pub(crate) fn connection(&self) -> &Arc<ConnectionHandle> {
        self.copies.handle()
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.paused.clock()
    }

    /// Ensures that the parking queue exists when a run with handlers starts. Logs a refusal,
    /// because messages are kept without a parking queue, too.
    ///
    /// A queue that is deleted with its connection or consumer gets a parking queue at its first
    /// failure only. Each would leave a parking queue behind otherwise.
    pub(crate) fn prepare(&self, queue: &str) {
        if self.delayed_retry && !self.capabilities().delayed_retry {
            log::warn!(
                "the broker does not delay retries, which needs RabbitMQ 4.3: failed messages wait \
                 in queues of their own queue={queue:?}"
            );
        }
        if self.place != PausePlace::Broker && !self.lasts {
            return;
        }
        let Some(parking) = self.settings.parking(queue, self.capabilities()) else { return };
        if let Ok(Presence::Refused(error)) | Err(error) =
            self.copies.ensure(Target::Parking(&parking))
        {
            log::warn!(
                "declaring parking queue {:?} failed, failed messages stay in their queue without \
                 it: {} queue={queue:?}",
                parking.name,
                describe(&error),
            );
        }
    }

    /// Treats a failed message by the consumer's settings. `unhandled` counts messages that are
    /// requeued early because the run ends. `given_up` ends the wait for a broker that is down.
    /// With `in_order`, the message does not leave the process before its last attempt.
    pub(crate) fn fail(
        &self,
        message: Message,
        failure: &Failure,
        in_order: bool,
        unhandled: Option<&Arc<UnhandledCounts>>,
        given_up: &dyn Fn() -> bool,
    ) -> FailureOutcome {
        let attempt = message.attempt();
        if self.place == PausePlace::Nowhere {
            self.log.failure(&message, failure, "lost: acknowledged automatically");
            return FailureOutcome::Lost;
        }
        if let Err(error) = message.check() {
            log::debug!(
                "channel of a failed message was lost, the broker redelivers it: {error} \
                 queue={:?}",
                message.queue()
            );
            self.count(&message, attempt);
            return FailureOutcome::Stale;
        }
        if self.settings.requeues {
            self.log.failure(&message, failure, "requeued for the broker to count");
            return settled(message, Disposition::Fail, FailureOutcome::Requeued);
        }
        if let Some(reason) = message.unreadable() {
            let parks = self.settings.parking(message.queue(), self.capabilities()).is_some();
            self.log.rejection(&message, failure, reason, parks);
            return settled(message, Disposition::Reject, FailureOutcome::Discarded);
        }
        if failure.permanent || !self.retry.allows_another(attempt) {
            return self.give_up(message, attempt, failure, in_order, unhandled, given_up);
        }
        if failure.pause.is_none() && !in_order && self.is_delayed_by_broker() {
            self.log.failure(&message, failure, "tried again by the broker, after its pause");
            if self.counted.get(message.id()).is_some() {
                self.count(&message, attempt);
            }
            return settled(message, Disposition::Fail, FailureOutcome::Retried);
        }
        let pause = failure.pause.unwrap_or_else(|| self.retry.pause(attempt));
        let step = RetryStep::at_least(pause);
        let waits_here = in_order || self.place != PausePlace::Broker;
        let at_broker = BrokerPause::of(pause, message.queue(), self.capabilities());
        let Some(at_broker) = at_broker.filter(|_| !waits_here) else {
            let pause = step.pause().min(LONGEST_IN_PROCESS);
            self.log.failure(
                &message,
                failure,
                format_args!("tried again in {pause:?}, in this process"),
            );
            return FailureOutcome::TryAgainHere(message, pause);
        };
        let treatment = format_args!("tried again in {:?}", at_broker.length());
        self.log.failure(&message, failure, treatment);
        let target = at_broker.target();
        let copy = copy::waiting(
            message.content(),
            message.queue(),
            &target.queue().name,
            attempt.saturating_add(1),
        );
        match self.send(&message, copy, target, given_up) {
            Ok(()) => settled(message, Disposition::Ack, FailureOutcome::Retried),
            Err(error) => self.keep(message, step, target.queue(), &error, in_order, unhandled),
        }
    }

    /// Treats a failed message that no worker waits with. A message of a stream is parked at once,
    /// because a stream delivers no message again.
    ///
    /// # Errors
    /// [`Error::Backend`]: the message of a stream could not be parked, and is skipped.
    pub(crate) fn fail_aside(
        &self,
        message: Message,
        failure: &Failure,
        unhandled: Option<&Arc<UnhandledCounts>>,
        given_up: &dyn Fn() -> bool,
    ) -> Result<FailureOutcome> {
        let attempt = message.attempt();
        let is_stream = self.place == PausePlace::Stream;
        let failure = Failure { permanent: failure.permanent || is_stream, ..failure.clone() };
        let (message, pause, outcome) = match self
            .fail(message, &failure, false, unhandled, given_up)
        {
            FailureOutcome::TryAgainHere(message, _) if is_stream => {
                let offset = message.stream_offset().unwrap_or_default();
                let reason = format!(
                    "parking the message at offset {offset} of stream {:?} failed",
                    message.queue()
                );
                return Err(Error::Backend { reason, source: None });
            }
            FailureOutcome::TryAgainHere(message, pause) => {
                self.count(&message, attempt);
                (message, pause, FailureOutcome::Retried)
            }
            FailureOutcome::PauseHere(message, pause) => (message, pause, FailureOutcome::Paused),
            outcome => return Ok(outcome),
        };
        self.paused.keep(PausedMessage { message, unhandled: unhandled.cloned() }, pause);
        Ok(outcome)
    }

    /// Treats a message after its last attempt.
    fn give_up(
        &self,
        message: Message,
        attempt: u32,
        failure: &Failure,
        in_order: bool,
        unhandled: Option<&Arc<UnhandledCounts>>,
        given_up: &dyn Fn() -> bool,
    ) -> FailureOutcome {
        let Some(parking) = self.settings.parking(message.queue(), self.capabilities()) else {
            self.log.failure(&message, failure, "rejected, as the consumer is configured");
            return settled(message, Disposition::Reject, FailureOutcome::Discarded);
        };
        self.log.failure(&message, failure, format_args!("parked in queue {:?}", parking.name));
        let parked = |brief| {
            copy::parked(
                message.content(),
                message.queue(),
                &parking.name,
                attempt,
                &failure.reason,
                brief,
            )
        };
        let target = Target::Parking(&parking);
        let sent = match self.send(&message, parked(false), target, given_up) {
            Err(Error::Invalid { .. }) => self.send(&message, parked(true), target, given_up),
            sent => sent,
        };
        match sent {
            Ok(()) => settled(message, Disposition::Ack, FailureOutcome::Parked),
            Err(error) => self.keep(
                message,
                RetryStep::at_least(self.retry.pause(attempt)),
                &parking,
                &error,
                in_order,
                unhandled,
            ),
        }
    }

    /// Sends a copy of a message.
    fn send(
        &self,
        message: &Message,
        copy: Content,
        target: Target<'_>,
        given_up: &dyn Fn() -> bool,
    ) -> Result<()> {
        // Once the original was requeued, a copy would only duplicate it.
        self.copies.send(&Arc::new(copy), target, &|| given_up() || message.check().is_err())
    }

    /// Keeps a message that could be neither copied nor parked. Counts its attempt here, so its
    /// pauses grow and its last attempt is reached.
    fn keep(
        &self,
        message: Message,
        step: RetryStep,
        target: &Queue,
        error: &Error,
        in_order: bool,
        unhandled: Option<&Arc<UnhandledCounts>>,
    ) -> FailureOutcome {
        if message.check().is_err() {
            self.count(&message, message.attempt());
            return FailureOutcome::Stale;
        }
        let pause = match error {
            // Each attempt to copy the message costs connections.
            Error::HardError { .. } => LONGEST_IN_PROCESS,
            _ => step.pause().min(LONGEST_IN_PROCESS),
        };
        self.log.copy_failure(&message, pause, target, error, self.paused.count());
        if in_order || self.place == PausePlace::Stream {
            return FailureOutcome::TryAgainHere(message, pause);
        }
        self.count(&message, message.attempt());
        if self.paused.count() >= self.most_paused {
            self.end_lost();
        }
        if self.paused.count() >= self.most_paused {
            return FailureOutcome::PauseHere(message, pause);
        }
        self.paused.keep(PausedMessage { message, unhandled: unhandled.cloned() }, pause);
        FailureOutcome::Paused
    }

    /// Records that attempt number `attempt` failed at a message that is requeued unchanged.
    pub(crate) fn count(&self, message: &Message, attempt: u32) {
        self.counted.set(message.id(), attempt.saturating_add(1));
    }

    /// Blocks a worker for a pause. Returns false if the run ended earlier.
    pub(crate) fn pause(&self, pause: Duration, given_up: &dyn Fn() -> bool) -> bool {
        self.clock().sleep_until(self.clock().now() + pause, given_up)
    }

    /// Ends the pauses of messages whose channel was lost. The broker redelivers them.
    pub(crate) fn end_lost(&self) {
        self.paused.end_if(|paused| paused.message.is_lost());
    }

    /// Requeues the messages that pause in the process, now and from now on.
    pub(crate) fn release(&self) {
        self.paused.release();
    }

    fn is_delayed_by_broker(&self) -> bool {
        self.delayed_retry && self.capabilities().delayed_retry
    }

    fn capabilities(&self) -> Capabilities {
        self.copies.connection().connector.capabilities()
    }
}

impl FailedMessages for FailurePolicy {
    fn fail(&self, message: Message, failure: &Failure) -> Result<()> {
        let outcome = self.fail_aside(message, failure, None, &|| self.paused.is_released());
        self.figures.count(|report| {
            report.failed += u64::from(!failure.chosen);
            if let Ok(outcome) = &outcome {
                *outcome.counter(report) += 1;
            }
        });
        if let FailureOutcome::Stale = outcome? {
            return Err(Error::Stale { source: None });
        }
        Ok(())
    }

    fn forward(&self, message: &Message) -> Result<()> {
        if let Some(reason) = message.unreadable() {
            let reason = format!("a copy would lose a part of the message: {reason}");
            return Err(Error::Backend { reason, source: None });
        }
        let copy = copy::forwarded(message.content(), message.queue())?;
        let queue = Queue::existing(&*copy.routing_key);
        self.send(message, copy, Target::Existing(&queue), &|| false)
    }

    fn counted(&self) -> &LocalAttempts {
        &self.counted
    }

    fn counted_by_broker(&self, delivery: &Delivery) -> u32 {
        // The first delivery has the header only if a producer has written it.
        if !delivery.redelivered || !self.is_delayed_by_broker() {
            return 0;
        }
        let count = delivery.content.properties.header("x-delivery-count").and_then(Value::as_i64);
        count.map_or(0, |count| u32::try_from(count.max(0)).unwrap_or(u32::MAX))
    }
}

impl fmt::Debug for FailurePolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FailurePolicy")
            .field("settings", &self.settings)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// Settles the original of a treated message.
fn settled(
    mut message: Message,
    disposition: Disposition,
    outcome: FailureOutcome,
) -> FailureOutcome {
    match message.settle(disposition) {
        Ok(()) => outcome,
        Err(error) => {
            log::debug!(
                "settling a failed message failed, the broker redelivers it: {error} queue={:?}",
                message.queue()
            );
            // A sent copy counts even if the original was not acknowledged. A requeue or reject
            // that failed had no effect.
            if disposition == Disposition::Ack { outcome } else { FailureOutcome::Stale }
        }
    }
}
