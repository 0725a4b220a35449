//! Handles one message of a run, and settles it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::backend::Content;
use crate::consumer::counters::RunCounters;
use crate::consumer::disposition::Disposition;
use crate::consumer::failure::{Failure, FailureOutcome};
use crate::consumer::handled::{Handled, HandledAs};
use crate::consumer::layer::Treatment;
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
    let observer = TreatmentObserver::new(run, &message);
    let mut held = Duration::ZERO;
    let treatment = loop {
        let order = if run.is_stream() { Order::Stream(held) } else { Order::None };
        match attempt(message, order, run, counters, handle, before_settling) {
            AttemptEnd::Treated(treatment) => break treatment,
            // Only in order.
            AttemptEnd::TryAgain(same) => message = same,
            AttemptEnd::TryAgainAfter(same, pause) => {
                message = same;
                // Counted before the pause: a loss ends the pause, and the broker redelivers the
                // message at once.
                run.policy().count(&message, message.attempt());
                match wait(pause, &message, run, counters) {
                    Waited::Stopped => {
                        run.take_back(message);
                        break Treatment::Returned;
                    }
                    Waited::Lost => {
                        counters.count(|report| &mut report.stale);
                        break Treatment::Stale;
                    }
                    Waited::Whole => counters.count(|report| &mut report.retried),
                }
                held += pause;
                if held >= LONGEST_HELD && !run.is_stream() {
                    requeue(message);
                    break Treatment::Retried;
                }
                message.next_attempt();
                observer.observe(Treatment::Retried);
            }
            AttemptEnd::RequeueAfter(message, pause) => {
                counters.count(|report| &mut report.paused);
                break match wait(pause, &message, run, counters) {
                    Waited::Stopped => {
                        run.take_back(message);
                        Treatment::Returned
                    }
                    Waited::Lost | Waited::Whole => {
                        requeue(message);
                        Treatment::Paused
                    }
                };
            }
        }
    };
    observer.observe(treatment);
}

/// The order in which the messages of a run are handled, and the time of all pauses of the message
/// so far.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// No message waits for another.
    None,
    /// A message cannot be requeued.
    Stream(Duration),
    /// Messages of one key wait for each other.
    Key(Duration),
}

impl Order {
    /// Returns whether the message was held for too long, and cannot be requeued.
    fn is_held_too_long(self) -> bool {
        match self {
            Order::None => false,
            Order::Stream(held) | Order::Key(held) => held >= LONGEST_HELD,
        }
    }
}

/// The result of one attempt at a message.
#[derive(Debug)]
pub(crate) enum AttemptEnd {
    /// The message was settled, or belongs to this run no more.
    Treated(Treatment),
    /// The caller has to try the message again at once, which counts as no attempt.
    TryAgain(Message),
    /// The caller has to try the message again after a pause.
    TryAgainAfter(Message, Duration),
    /// The caller has to requeue the message after a pause.
    RequeueAfter(Message, Duration),
}

/// Calls `handle` once, and settles the message unless another attempt follows here. Calls
/// `before_settling` in between.
pub(crate) fn attempt(
    message: Message,
    order: Order,
    run: &ConsumerRun,
    counters: &RunCounters,
    handle: &mut dyn FnMut(&Message) -> Handled,
    before_settling: &mut dyn FnMut(),
) -> AttemptEnd {
    let policy = run.policy();
    let in_order = matches!(order, Order::Key(_));
    let given_up = || run.is_stopped() || run.has_ended() || message.check().is_err();
    let outcome = run.layers().handle(&message, handle, policy.clock(), &given_up);
    before_settling();
    let failure = match outcome.0 {
        HandledAs::Settled(Settlement::Requeue) if run.is_stream() => {
            Failure::new("a stream takes no message back, so a requeue counts as a failure")
        }
        HandledAs::Settled(Settlement::Requeue)
            if in_order && message.is_unsettled() && message.check().is_ok() =>
        {
            counters.note_success(message.queue());
            counters.count(|report| &mut report.requeued);
            return AttemptEnd::TryAgain(message);
        }
        HandledAs::Settled(settlement) => {
            counters.note_success(message.queue());
            return AttemptEnd::Treated(settle(message, &settlement, counters));
        }
        // A message that cannot be requeued is parked when it has been held for too long.
        HandledAs::Failed(failure) if order.is_held_too_long() => {
            Failure { permanent: true, ..failure }
        }
        HandledAs::Failed(failure) => failure,
    };
    counters.note_failure(&failure, message.queue());
    let stopped = || run.is_stopped();
    match policy.fail(message, &failure, in_order, Some(run.unhandled()), &stopped) {
        FailureOutcome::TryAgainHere(message, pause) => AttemptEnd::TryAgainAfter(message, pause),
        FailureOutcome::PauseHere(message, pause) => AttemptEnd::RequeueAfter(message, pause),
        outcome => AttemptEnd::Treated(count_outcome(counters, &outcome)),
    }
}

/// Shows the treatment of a message to the layers, once it is settled.
pub(crate) struct TreatmentObserver<'a> {
    run: &'a ConsumerRun,
    message: Option<(Arc<Content>, Arc<str>)>,
}

impl<'a> TreatmentObserver<'a> {
    pub(crate) fn new(run: &'a ConsumerRun, message: &Message) -> TreatmentObserver<'a> {
        let has_layers = !run.layers().is_empty();
        let message = has_layers.then(|| (Arc::clone(message.content()), message.queue_handle()));
        TreatmentObserver { run, message }
    }

    pub(crate) fn observe(&self, treatment: Treatment) {
        if let Some((content, queue)) = &self.message {
            self.run.layers().after_settle(content, queue, treatment);
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

fn wait(pause: Duration, message: &Message, run: &ConsumerRun, counters: &RunCounters) -> Waited {
    let lost = || run.has_ended() || message.check().is_err();
    counters.while_pausing(|| {
        run.policy().pause(pause, &|| run.is_stopped() || lost());
    });
    match () {
        () if run.is_stopped() => Waited::Stopped,
        () if lost() => Waited::Lost,
        () => Waited::Whole,
    }
}

pub(crate) fn count_outcome(counters: &RunCounters, outcome: &FailureOutcome) -> Treatment {
    counters.count(|report| outcome.counter(report));
    match outcome {
        FailureOutcome::Retried => Treatment::Retried,
        FailureOutcome::Parked => Treatment::Parked,
        FailureOutcome::Discarded => Treatment::Discarded,
        FailureOutcome::Requeued => Treatment::Requeued,
        FailureOutcome::Lost => Treatment::Lost,
        FailureOutcome::Stale => Treatment::Stale,
        FailureOutcome::Paused
        | FailureOutcome::PauseHere(..)
        | FailureOutcome::TryAgainHere(..) => Treatment::Paused,
    }
}

/// Counts before settling, because a program that sees the message deleted may read the report.
pub(crate) fn settle(
    mut message: Message,
    settlement: &Settlement,
    counters: &RunCounters,
) -> Treatment {
    let (disposition, treatment, counter): (_, _, fn(&mut Report) -> &mut u64) = match settlement {
        Settlement::Reject => {
            (Disposition::Reject, Treatment::Rejected, |report| &mut report.rejected)
        }
        Settlement::Requeue => {
            (Disposition::Return, Treatment::Requeued, |report| &mut report.requeued)
        }
        _ => return acknowledge(message, counters),
    };
    counters.count(counter);
    if let Err(error) = message.settle(disposition) {
        let mut report = counters.lock();
        *counter(&mut report) -= 1;
        report.stale += 1;
        drop(report);
        log_stale(&message, &error);
        return Treatment::Stale;
    }
    treatment
}

fn acknowledge(mut message: Message, counters: &RunCounters) -> Treatment {
    counters.acknowledged.fetch_add(1, Ordering::AcqRel);
    if let Err(error) = message.settle(Disposition::Ack) {
        counters.acknowledged.fetch_sub(1, Ordering::AcqRel);
        counters.count(|report| &mut report.stale);
        log_stale(&message, &error);
        return Treatment::Stale;
    }
    Treatment::Acknowledged
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
