//! Passes the messages of a run to callbacks, on the calling thread.

use std::sync::Arc;

use crate::backend::ConsumeOptions;
use crate::consumer::counters::RunCounters;
use crate::consumer::failure::FailurePolicy;
use crate::consumer::handled::Handled;
use crate::consumer::message::Message;
use crate::consumer::process::process;
use crate::consumer::report::Report;
use crate::consumer::run::{CachedSubscription, ConsumerRun};
use crate::consumer::settlement::Settlement;
use crate::consumer::shared::ConsumerShared;
use crate::deadline::FOREVER;
use crate::error::{Error, Result};

/// A callback of the program: decodes and handles one message.
pub(super) type Callback = Box<dyn FnMut(&Message, &FailurePolicy) -> Handled + Send>;

/// Passes up to `limit` messages to the callbacks.
pub(super) fn run(
    shared: &Arc<ConsumerShared>,
    callbacks: &mut [Callback],
    limit: u64,
    options: &ConsumeOptions,
) -> Result<Report> {
    if callbacks.is_empty() {
        return Err(Error::invalid(
            "callbacks",
            "none",
            "at least one has to be registered before waiting",
        ));
    }
    if limit == 0 {
        return Ok(Report::default());
    }
    let run = ConsumerRun::start(shared, options)?;
    let (policy, stopped) = (run.policy(), || run.is_stopped());
    policy.prepare(&run.queue());
    let counters = Arc::new(RunCounters::new(policy, 1));
    run.unhandled().figures().count_results(Arc::clone(&counters) as _);
    let mut cached = CachedSubscription::default();
    for number in 1..=limit {
        counters.wait_for_breaker(&stopped);
        let Some(message) = next(&run, &mut cached)? else { break };
        let mut cancelled = Ok(());
        let mut cancel_last = || {
            if number == limit {
                cancelled = run.cancel();
            }
        };
        counters.while_busy(0, || {
            process(
                message,
                &run,
                &counters,
                &mut |message| handle_all(callbacks, message, policy),
                &mut cancel_last,
            );
        });
        cancelled?;
    }
    run.cancel()?;
    Ok(run.report(&counters))
}

/// Returns the next message; `None` once the consumer is stopped.
fn next(run: &ConsumerRun, cached: &mut CachedSubscription) -> Result<Option<Message>> {
    loop {
        match run.next(cached, FOREVER)? {
            None if !run.is_stopped() => {}
            message => return Ok(message),
        }
    }
}

fn handle_all(callbacks: &mut [Callback], message: &Message, policy: &FailurePolicy) -> Handled {
    let mut outcome = Handled::settled(Settlement::Ack);
    for callback in callbacks {
        outcome = callback(message, policy);
        if !outcome.is_ack() {
            break;
        }
    }
    outcome
}
