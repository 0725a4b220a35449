//! Handles one message of a run, and settles it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::failure::{Breaker, Failure, FailureOutcome, FailurePolicy};
use crate::handler::Handled;
use crate::intake::Intake;
use crate::message::Disposition;
use crate::{Error, Message, Report, Settlement};

/// The longest time for which a worker keeps one message over several attempts, before it requeues the message. A broker closes a channel
/// that leaves a message unacknowledged for too long. One more pause can follow, so twice this is the most.
const LONGEST_HELD: Duration = Duration::from_secs(10 * 60);

/// How the messages of one run went so far.
#[derive(Debug)]
pub(crate) struct Tally {
    /// All but [`acknowledged`](Tally::acknowledged).
    report: Mutex<Report>,
    /// Counted without the lock, which all workers share.
    acknowledged: AtomicU64,
    first_failure: Mutex<Option<Arc<str>>>,
    breaker: Breaker,
}

impl Tally {
    pub(crate) fn new(policy: &FailurePolicy) -> Tally {
        let breaker = Breaker::new(policy.settings().pause_after, policy.clock().clone());
        Tally { report: Mutex::default(), acknowledged: AtomicU64::new(0), first_failure: Mutex::default(), breaker }
    }

    pub(crate) fn report(&self) -> Report {
        let mut report = *self.lock();
        report.acknowledged = self.acknowledged.load(Ordering::Acquire);
        report
    }

    pub(crate) fn first_failure(&self) -> Option<String> {
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).as_deref().map(str::to_string)
    }

    /// Blocks while the handler is given a pause, or until `given_up` holds.
    pub(crate) fn wait_for_breaker(&self, given_up: &dyn Fn() -> bool) {
        self.breaker.wait(given_up);
    }

    /// Called before the message is settled, because a test that sees it gone reads the report.
    fn note_failure(&self, failure: &Failure, queue: &str) {
        if failure.chosen {
            return;
        }
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| Arc::clone(&failure.reason));
        let mut report = self.lock();
        *if failure.undecodable { &mut report.undecodable } else { &mut report.failed } += 1;
        drop(report);
        // What is the message's own fault says nothing of what the handler depends on.
        if !failure.undecodable && !failure.permanent {
            self.breaker.note(true, queue);
        }
    }

    fn note_success(&self, queue: &str) {
        self.breaker.note(false, queue);
    }

    fn count(&self, field: impl FnOnce(&mut Report) -> &mut u64) {
        *field(&mut self.lock()) += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `handle` with the message, again after each pause that passes in the process, and settles the message. Calls `before_settling`
/// after each attempt.
pub(crate) fn process(
    mut message: Message,
    run: &Intake,
    tally: &Tally,
    handle: &mut dyn FnMut(&Message) -> Handled,
    before_settling: &mut dyn FnMut(),
) {
    let policy = run.policy();
    let stopped = || run.is_stopped();
    let mut held = Duration::ZERO;
    loop {
        let outcome = handle(&message);
        before_settling();
        let failure = match outcome {
            Handled::Settled(settlement) => {
                tally.note_success(message.queue());
                return settle(message, &settlement, tally);
            }
            Handled::Failed(failure) => failure,
        };
        tally.note_failure(&failure, message.queue());
        match policy.fail(message, &failure, Some(run.unhandled()), &stopped) {
            FailureOutcome::TryAgainHere(same, pause) => {
                message = same;
                match wait(pause, &message, run) {
                    Waited::Stopped => return run.take_back(message),
                    Waited::Lost => return tally.count(|report| &mut report.stale),
                    Waited::Whole => tally.count(|report| &mut report.retried),
                }
                held += pause;
                if held >= LONGEST_HELD {
                    policy.count(&message, message.attempt());
                    return give_back(message);
                }
                message.next_attempt();
            }
            FailureOutcome::PauseHere(message, pause) => {
                tally.count(|report| &mut report.paused);
                return match wait(pause, &message, run) {
                    Waited::Stopped => run.take_back(message),
                    Waited::Lost | Waited::Whole => give_back(message),
                };
            }
            outcome => return count_outcome(tally, &outcome),
        }
    }
}

/// How a pause in a worker ended.
enum Waited {
    Whole,
    /// The consumer was stopped.
    Stopped,
    /// The message is no longer this worker's, or the run has ended.
    Lost,
}

fn wait(pause: Duration, message: &Message, run: &Intake) -> Waited {
    let lost = || run.has_ended() || message.check().is_err();
    run.policy().pause(pause, &|| run.is_stopped() || lost());
    match () {
        () if run.is_stopped() => Waited::Stopped,
        () if lost() => Waited::Lost,
        () => Waited::Whole,
    }
}

fn count_outcome(tally: &Tally, outcome: &FailureOutcome) {
    tally.count(|report| match outcome {
        FailureOutcome::Retried => &mut report.retried,
        FailureOutcome::Parked => &mut report.parked,
        FailureOutcome::Discarded => &mut report.discarded,
        FailureOutcome::Requeued => &mut report.requeued,
        FailureOutcome::Lost => &mut report.lost,
        FailureOutcome::Stale => &mut report.stale,
        FailureOutcome::Paused | FailureOutcome::PauseHere(..) | FailureOutcome::TryAgainHere(..) => &mut report.paused,
    });
}

/// Counts the settlement first, because a test that sees the message gone reads the report.
fn settle(mut message: Message, settlement: &Settlement, tally: &Tally) {
    let (disposition, counter): (_, fn(&mut Report) -> &mut u64) = match settlement {
        Settlement::Reject => (Disposition::Reject, |report| &mut report.rejected),
        Settlement::Requeue => (Disposition::Return, |report| &mut report.requeued),
        _ => return acknowledge(message, tally),
    };
    tally.count(counter);
    if let Err(error) = message.settle(disposition) {
        let mut report = tally.lock();
        *counter(&mut report) -= 1;
        report.stale += 1;
        drop(report);
        log_stale(&message, &error);
    }
}

fn acknowledge(mut message: Message, tally: &Tally) {
    tally.acknowledged.fetch_add(1, Ordering::AcqRel);
    if let Err(error) = message.settle(Disposition::Ack) {
        tally.acknowledged.fetch_sub(1, Ordering::AcqRel);
        tally.count(|report| &mut report.stale);
        log_stale(&message, &error);
    }
}

fn log_stale(message: &Message, error: &Error) {
    log::debug!("message {} of queue {:?} could not be settled: {error}", message.delivery_tag(), message.queue());
}

fn give_back(mut message: Message) {
    if let Err(error) = message.settle(Disposition::Return) {
        log::debug!("a failed message of queue {:?} was not given back, the broker does it: {error}", message.queue());
    }
}
