//! Finds the message that made the broker close a channel or the whole connection. Suspects are the
//! messages that were in flight. Each is sent again alone, and the one that causes the failure
//! again fails alone.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::publisher::in_flight::{Attempt, BrokerAnswer, InFlight};
use crate::publisher::unconfirmed::{Loss, UnconfirmedMessages};
use crate::recovery::effects::has_a_cause;
use crate::recovery::hard_closes::{cause_removed, hard_error, is_the_cause};
use crate::recovery::isolation::{SuspectSends, TakeAnswers};

/// The time limit for the answers that arrived before the channel was lost.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

impl TakeAnswers for UnconfirmedMessages {
    /// Leaves nacks to the thread that owns the message, which knows whether they are final.
    fn take_answers(&self, until: Instant) {
        for message in self.window.messages().iter().filter(|message| message.tag().is_some()) {
            if let BrokerAnswer::Final(_, outcome) = message.ask(until, || true) {
                self.resolve(message, outcome);
            }
        }
    }
}

impl UnconfirmedMessages {
    /// Records which messages may have caused the loss of `channel`. A message that certainly did
    /// fails with `error`. Must be called before another channel is opened. Returns whether the
    /// cause was found.
    pub(crate) fn note_loss(
        &self,
        channel: &Arc<dyn Backend>,
        error: &Error,
        in_grace: &dyn Fn() -> bool,
    ) -> bool {
        if !has_a_cause(error) {
            return false;
        }
        let is_new = self.begin_loss(channel, error);
        let found = is_new && self.fail_the_cause(channel, error, in_grace);
        if is_new {
            self.finish_loss(channel);
        } else {
            self.wait_for_cause(channel);
        }
        let in_flight = self.window.messages();
        let on_channel = in_flight.iter().filter(|message| message.is_on(channel));
        on_channel.for_each(|message| message.suspect(channel, error));
        found
    }

    /// Records the loss of `channel`. Returns whether no other thread has recorded that loss.
    fn begin_loss(&self, channel: &Arc<dyn Backend>, error: &Error) -> bool {
        let mut last = self.last_loss();
        let is_new = !last.as_ref().is_some_and(|loss| loss.is_of(channel));
        if is_new {
            *last = Some(Loss::new(channel, error));
        }
        is_new
    }

    /// Fails the message that certainly caused the loss of `channel`. Returns whether there is one.
    fn fail_the_cause(
        &self,
        channel: &Arc<dyn Backend>,
        error: &Error,
        in_grace: &dyn Fn() -> bool,
    ) -> bool {
        let mut in_flight = self.window.messages();
        in_flight.retain(|message| message.is_on(channel));
        self.take_last_answers(&in_flight, in_grace);
        in_flight.retain(|message| message.is_on(channel));
        let cause = match error {
            Error::HardError { .. } => in_flight.iter().min_by_key(|message| message.tag()),
            Error::PreconditionFailed { .. } if in_flight.len() == 1 => in_flight.first(),
            _ => None,
        };
        if let Some(cause) = cause {
            self.resolve(cause, Err(error.clone()));
        }
        cause.is_some()
    }

    /// Wakes the threads that wait for the end of [`fail_the_cause`](Self::fail_the_cause).
    fn finish_loss(&self, channel: &Arc<dyn Backend>) {
        if let Some(loss) = self.last_loss().as_mut().filter(|loss| loss.is_of(channel)) {
            loss.is_examined = true;
        }
        self.loss_examined.notify_all();
    }

    /// Waits until another thread has failed the cause of the loss of `channel`. Blocks for twice
    /// the time of the last answers at most. No lock is held meanwhile.
    fn wait_for_cause(&self, channel: &Arc<dyn Backend>) {
        let last = self.last_loss();
        let is_open = |last: &mut Option<Loss>| {
            last.as_ref().is_some_and(|loss| loss.is_of(channel) && !loss.is_examined)
        };
        let waited = self.loss_examined.wait_timeout_while(last, LAST_ANSWERS * 2, is_open);
        drop(waited);
    }

    /// Records the loss of `channel` for a message that was published while the channel was lost.
    pub(crate) fn note_loss_for(&self, message: &InFlight, channel: &Arc<dyn Backend>) {
        if let Some(loss) = self.last_loss().as_ref().filter(|loss| loss.is_of(channel)) {
            message.suspect(channel, &loss.error);
        }
    }

    /// Records the answers that arrived before the channel was lost.
    fn take_last_answers(&self, in_flight: &[Arc<InFlight>], in_grace: &dyn Fn() -> bool) {
        let until = Instant::now() + LAST_ANSWERS;
        for message in in_flight {
            if let BrokerAnswer::Final(_, outcome) = message.ask(until, in_grace) {
                self.resolve(message, outcome);
            }
        }
    }

    /// Publishes a suspect again while no other suspect of the connection is in flight, and waits
    /// for its answer.
    ///
    /// # Errors
    /// The channel is unusable.
    pub(crate) fn send_alone(
        &self,
        sends: &SuspectSends<'_>,
        message: &InFlight,
        channel: &Arc<dyn Backend>,
        until: Instant,
    ) -> Result<()> {
        const OPERATION: &str = "sending a message again while no other is in flight";
        let started = Instant::now();
        let deadline = until.min(message.deadline);
        let late = || Error::timeout(OPERATION, started.elapsed());
        let Some(_turn) = sends.turn(deadline) else { return Err(late()) };
        match channel
            .publish(&message.publication(), deadline.saturating_duration_since(Instant::now()))
        {
            Ok(tag) => self.sent_again(message, Attempt { channel: Arc::clone(channel), tag }),
            Err(error @ Error::Invalid { .. }) => {
                self.resolve(message, Err(error));
                return Ok(());
            }
            // The channel was lost before, over something else.
            Err(error) if has_a_cause(&error) => {
                return Err(Error::disconnected(error.to_string()));
            }
            Err(error) => return Err(error),
        }
        match message.ask(deadline, || true) {
            BrokerAnswer::Known(_) => Ok(()),
            BrokerAnswer::Final(_, outcome) => {
                self.resolve(message, outcome);
                Ok(())
            }
            // The broker has read the message, so it is not the cause. Its owner sends it again.
            BrokerAnswer::Refused(_) => {
                message.clear_suspicion();
                Ok(())
            }
            BrokerAnswer::None if Instant::now() < until => Ok(()),
            BrokerAnswer::None => Err(late()),
            BrokerAnswer::Blocked(error) => Err(error),
            BrokerAnswer::Lost(_, error) => self.fail_if_cause(message, channel, error),
        }
    }

    /// Decides whether a message that was sent alone is the cause of the loss of its channel.
    fn fail_if_cause(
        &self,
        message: &InFlight,
        channel: &Arc<dyn Backend>,
        error: Error,
    ) -> Result<()> {
        self.note_loss(channel, &error, &|| true);
        if let Some(close) = error
            .hard_close()
            .filter(|close| is_the_cause(message.hard_closes(), close.messages <= 1))
        {
            self.resolve(message, Err(hard_error(close)));
        }
        if message.is_decided() {
            log::warn!("message was not published, because the broker refuses it: {error}");
            return cause_removed();
        }
        if error.is_channel_error() && !has_a_cause(&error) {
            // The failure concerns all messages to the exchange.
            return Err(error);
        }
        Err(Error::disconnected(error.to_string()))
    }

    fn last_loss(&self) -> MutexGuard<'_, Option<Loss>> {
        self.last_loss.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
