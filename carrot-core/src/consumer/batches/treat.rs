use std::sync::atomic::Ordering;

use serde::de::DeserializeOwned;

use crate::consumer::batches::acknowledge::acknowledge_all;
use crate::consumer::batches::settlement::{BatchSettlement, IntoBatchSettlement};
use crate::consumer::dispatch;
use crate::consumer::failure::Failure;
use crate::consumer::handled::{Handled, HandledAs};
use crate::consumer::handler_error::HandlerError;
use crate::consumer::layer::Treatment;
use crate::consumer::message::Message;
use crate::consumer::process::{TreatmentObserver, count_outcome, settle};
use crate::consumer::settlement::Settlement;
use crate::consumer::worker_pool::WorkerPool;
use crate::panic_guard::{describe, guard};

/// Calls `handler` with the messages that can be decoded, and settles all messages.
pub(super) fn treat<T: DeserializeOwned, R: IntoBatchSettlement>(
    messages: Vec<Message>,
    pool: &WorkerPool,
    handler: &(impl Fn(Vec<T>, &[Message]) -> R + ?Sized),
) {
    let (mut values, mut decoded, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for message in messages {
        match dispatch::decode(&message, pool.run.policy()) {
            Ok(value) => {
                values.push(value);
                decoded.push(message);
            }
            Err(handled) => results.push((message, handled)),
        }
    }
    let mut whole = None;
    if !decoded.is_empty() {
        let result = guard(|| handler(values, &decoded).into_batch_settlement());
        let mut settlement = match checked(result, decoded.len()) {
            Ok(settlement) => settlement,
            Err(failure) => {
                whole = Some(failure);
                BatchSettlement::new()
            }
        };
        let handled = |position: usize| match &whole {
            Some(failure) => Handled::failed_with(failure.clone()),
            None => settlement.take(position),
        };
        let positions = 0..decoded.len();
        results.extend(decoded.into_iter().zip(positions.map(handled)));
    }
    note_result(&results, pool);
    let (acknowledged, others): (Vec<_>, Vec<_>) =
        results.into_iter().partition(|(_, handled)| handled.is_ack());
    acknowledge(acknowledged.into_iter().map(|(message, _)| message).collect(), pool);
    others.into_iter().for_each(|(message, handled)| finish(message, handled, pool));
}

/// Notes the result of one call of the handler for the pause of the consumer. The number of its
/// messages does not matter. The call succeeded if a message was settled.
fn note_result(results: &[(Message, Handled)], pool: &WorkerPool) {
    let Some((first, _)) = results.first() else { return };
    let failures = results.iter().map(|(_, handled)| handled.as_failure());
    if failures.clone().any(|failure| failure.is_none()) {
        pool.counters.note_success(first.queue());
    } else if let Some(failure) = failures.flatten().find(|failure| failure.may_pause_consumer()) {
        pool.counters.pause_after(failure, first.queue());
    }
}

/// Returns the settlement, or the failure of every message.
fn checked(
    result: Result<Result<BatchSettlement, HandlerError>, String>,
    messages: usize,
) -> Result<BatchSettlement, Failure> {
    let settlement = result.map_err(Failure::new)?.map_err(HandlerError::into_failure)?;
    match settlement.last() {
        Some(position) if position >= messages => Err(Failure::new(format!(
            "the handler settled position {position} of a batch of {messages} messages"
        ))),
        _ => Ok(settlement),
    }
}

/// Counts before acknowledging, because a program that sees the messages deleted may read the
/// report.
fn acknowledge(messages: Vec<Message>, pool: &WorkerPool) {
    if messages.is_empty() {
        return;
    }
    let counters = &pool.counters;
    let observers: Vec<_> =
        messages.iter().map(|message| TreatmentObserver::new(&pool.run, message)).collect();
    let count = messages.len() as u64;
    counters.acknowledged.fetch_add(count, Ordering::AcqRel);
    let (lost, result) = acknowledge_all(messages);
    if let Err(error) = result {
        log::debug!("acknowledging a batch failed: {error} queue={:?}", pool.run.queue());
        counters.acknowledged.fetch_sub(lost, Ordering::AcqRel);
        counters.lock().stale += lost;
    }
    // Messages of one batch are almost always of one channel.
    let treatment = if lost > 0 { Treatment::Stale } else { Treatment::Acknowledged };
    observers.iter().for_each(|observer| observer.observe(treatment));
}

/// Settles a message that is not acknowledged.
fn finish(message: Message, handled: Handled, pool: &WorkerPool) {
    let (run, counters) = (&pool.run, &pool.counters);
    let observer = TreatmentObserver::new(run, &message);
    let failure = match handled.0 {
        HandledAs::Settled(Settlement::Requeue) if run.is_stream() => {
            Failure::new("a stream takes no message back, so a requeue counts as a failure")
        }
        HandledAs::Settled(settlement) => {
            return observer.observe(settle(message, &settlement, counters));
        }
        HandledAs::Failed(failure) => failure,
    };
    counters.count_failure(&failure);
    let queue = message.queue_handle();
    let stopped = || run.is_stopped();
    match run.policy().fail_aside(message, &failure, Some(run.unhandled()), &stopped) {
        Ok(outcome) => observer.observe(count_outcome(counters, &outcome)),
        Err(error) => {
            log::error!("{}, the message is skipped queue={queue:?}", describe(&error));
            counters.count(|report| &mut report.lost);
            observer.observe(Treatment::Lost);
        }
    }
}
