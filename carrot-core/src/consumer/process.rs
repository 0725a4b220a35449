//! Handles one message of a run, and settles it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::consumer::counters::RunCounters;
use crate::consumer::dispatch::Handled;
use crate::consumer::failure::{Failure, FailureOutcome};
use crate::consumer::message::Disposition;
use crate::consumer::message::Message;
use crate::consumer::report::Report;
use crate::consumer::run::ConsumerRun;
use crate::consumer::settlement::Settlement;
use crate::error::Error;

/// The longest time that a worker keeps one message over several attempts. A broker closes a
/// channel that keeps a message unacknowledged for too long. Another pause can follow, so a message
/// is kept for at most twice this time.
const LONGEST_HELD: Duration = Duration::from_secs(10 * 60);

/// Calls `handle` with the message, again after each pause in the process, and settles the message.
/// Calls `before_settling` after each attempt.
pub(crate) fn process(
    mut message: Message,
    run: &ConsumerRun,
    counters: &RunCounters,
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
            Handled::Settled(Settlement::Requeue) if run.is_stream() => {
                Failure::new("a stream takes no message back, so a requeue counts as a failure")
            }
            Handled::Settled(settlement) => {
                counters.note_success(message.queue());
                return settle(message, &settlement, counters);
            }
            // A message that cannot be requeued is parked when it has been held for too long.
            Handled::Failed(failure) if run.is_stream() && held >= LONGEST_HELD => {
                Failure { permanent: true, ..failure }
            }
            Handled::Failed(failure) => failure,
        };
        counters.note_failure(&failure, message.queue());
        match policy.fail(message, &failure, Some(run.unhandled()), &stopped) {
            FailureOutcome::TryAgainHere(same, pause) => {
                message = same;
                match wait(pause, &message, run) {
                    Waited::Stopped => return run.take_back(message),
                    Waited::Lost => return counters.count(|report| &mut report.stale),
                    Waited::Whole => counters.count(|report| &mut report.retried),
                }
                held += pause;
                if held >= LONGEST_HELD && !run.is_stream() {
                    policy.count(&message, message.attempt());
                    return requeue(message);
                }
                message.next_attempt();
            }
            FailureOutcome::PauseHere(message, pause) => {
                counters.count(|report| &mut report.paused);
                return match wait(pause, &message, run) {
                    Waited::Stopped => run.take_back(message),
                    Waited::Lost | Waited::Whole => requeue(message),
                };
            }
            outcome => return count_outcome(counters, &outcome),
        }
    }
}

/// The end of a pause in a worker.
enum Waited {
    Whole,
    /// The consumer was stopped.
    Stopped,
    /// The message no longer belongs to this worker, or the run has ended.
    Lost,
}

fn wait(pause: Duration, message: &Message, run: &ConsumerRun) -> Waited {
    let lost = || run.has_ended() || message.check().is_err();
    run.policy().pause(pause, &|| run.is_stopped() || lost());
    match () {
        () if run.is_stopped() => Waited::Stopped,
        () if lost() => Waited::Lost,
        () => Waited::Whole,
    }
}

fn count_outcome(counters: &RunCounters, outcome: &FailureOutcome) {
    counters.count(|report| match outcome {
        FailureOutcome::Retried => &mut report.retried,
        FailureOutcome::Parked => &mut report.parked,
        FailureOutcome::Discarded => &mut report.discarded,
        FailureOutcome::Requeued => &mut report.requeued,
        FailureOutcome::Lost => &mut report.lost,
        FailureOutcome::Stale => &mut report.stale,
        FailureOutcome::Paused
        | FailureOutcome::PauseHere(..)
        | FailureOutcome::TryAgainHere(..) => &mut report.paused,
    });
}

/// Counts before settling, because a program that sees the message deleted may read the report.
fn settle(mut message: Message, settlement: &Settlement, counters: &RunCounters) {
    let (disposition, counter): (_, fn(&mut Report) -> &mut u64) = match settlement {
        Settlement::Reject => (Disposition::Reject, |report| &mut report.rejected),
        Settlement::Requeue => (Disposition::Return, |report| &mut report.requeued),
        _ => return acknowledge(message, counters),
    };
    counters.count(counter);
    if let Err(error) = message.settle(disposition) {
        let mut report = counters.lock();
        *counter(&mut report) -= 1;
        report.stale += 1;
        drop(report);
        log_stale(&message, &error);
    }
}

fn acknowledge(mut message: Message, counters: &RunCounters) {
    counters.acknowledged.fetch_add(1, Ordering::AcqRel);
    if let Err(error) = message.settle(Disposition::Ack) {
        counters.acknowledged.fetch_sub(1, Ordering::AcqRel);
        counters.count(|report| &mut report.stale);
        log_stale(&message, &error);
    }
}

fn log_stale(message: &Message, error: &Error) {
    log::debug!(
        "settling a message failed: {error} tag={} queue={:?}",
        message.delivery_tag(),
        message.queue()
    );
}

fn requeue(mut message: Message) {
    if let Err(error) = message.settle(Disposition::Return) {
        log::debug!(
            "requeueing a failed message failed, the broker requeues it: {error} queue={:?}",
            message.queue()
        );
    }
}
