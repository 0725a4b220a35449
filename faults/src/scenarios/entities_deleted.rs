use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use carrot::topology::DeleteIf;
use carrot::{Connection, Error, Exchange, Message, Publisher, Queue};

use super::context::Context;
use super::run::ScenarioRun;
use crate::accounting::Accounting;
use crate::error::Result;
use crate::load::LoadOptions;
use crate::outcome::ScenarioOutcome;
use crate::wait::{eventually, unique};

const SOON: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(10);

/// Deletes queues and exchanges that are in use.
///
/// Their publishers and workers fail with a typed error or recover. A load on other channels of the
/// same connection is not affected.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let times = context.pick(20, 3);
    context.with_node(|context, node| {
        let mut run = ScenarioRun::new(context);
        let load = run.load(LoadOptions {
            rate: Some(250),
            ..LoadOptions::new(node.options(), &*run.queue)
        })?;
        let other = carrot::connect(node.options())?;
        // The errors of the deleted entities are counted apart, because the load must have no
        // errors.
        let deleted = Accounting::new();
        for time in 1..=times {
            let queue = delete_queue(load.connection(), &other, &deleted)?;
            run.outcome.expect(queue.is_ok(), || {
                format!("queue {time}: {}", queue.err().unwrap_or_default())
            });
            let exchange = delete_exchange(load.connection(), &other, &deleted)?;
            run.outcome.expect(exchange.is_ok(), || {
                format!("exchange {time}: {}", exchange.err().unwrap_or_default())
            });
            run.expect_progress(&load, 20, SOON, &format!("after round {time}"));
        }
        other.close()?;
        let mut outcome = run.finish(load, &node.options())?;
        outcome.expect_all_confirmed();
        outcome.expect_no_duplicate();
        let errors: Vec<String> = outcome.audit.errors.keys().cloned().collect();
        outcome.expect(errors.is_empty(), || format!("the load had errors: {}", errors.join(", ")));
        let expected = deleted.audit();
        outcome.audit.overdue.extend(&expected.overdue);
        outcome.expect_no_overdue_call();
        outcome.notes.extend(
            expected.errors.iter().map(|(error, times)| format!("expected: {times} x {error}")),
        );
        Ok(outcome)
    })
}

/// Deletes a queue while its workers run. The workers end with an error that names the cause, or
/// continue with a new queue.
fn delete_queue(
    connection: &Connection,
    other: &Connection,
    accounting: &Accounting,
) -> Result<Result<(), String>> {
    let queue = unique("deleted");
    let consumer = connection.consumer(&*queue).build()?;
    let publisher = connection.publisher().routing_key(&*queue).send_timeout(DEADLINE).build()?;
    let handled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&handled);
    let workers = consumer.workers(2).spawn(move |_: u64, _: &Message| {
        counter.fetch_add(1, Ordering::Relaxed);
    })?;
    let handled = || handled.load(Ordering::Relaxed);
    let reaction = while_sending(&publisher, accounting, || {
        if !eventually(SOON, || handled() > 20) {
            return Ok(Err("messages are not handled".to_string()));
        }
        other.delete_queue(&queue, DeleteIf::ALWAYS)?;
        let before = handled();
        // More messages than the workers can have prefetched.
        let reacted = eventually(SOON, || workers.is_finished() || handled() > before + 100);
        Ok(if reacted {
            Ok(())
        } else {
            Err("the workers neither ended nor continued".to_string())
        })
    })?;
    let ended = workers.is_finished();
    let stopped = accounting.try_call("stop", DEADLINE * 2, || workers.stop(DEADLINE));
    consumer.close()?;
    other.delete_queue(&queue, DeleteIf::ALWAYS)?;
    Ok(reaction.and(match stopped {
        Err(Error::Cancelled { .. } | Error::NotFound { .. }) => Ok(()),
        Ok(_) if ended => Err("the workers ended without an error".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the workers ended with an error about another cause: {error}")),
    }))
}

/// Deletes an exchange while its publisher sends mandatory messages.
///
/// Sends fail with `NotFound` until an operator declares the exchange with its bindings. The
/// publisher does not declare the exchange, because the bindings would be missing. Then sends
/// succeed.
fn delete_exchange(
    connection: &Connection,
    other: &Connection,
    accounting: &Accounting,
) -> Result<Result<(), String>> {
    let exchange = Exchange::direct(unique("deleted"));
    let publisher = connection
        .publisher()
        .exchange(exchange.clone())
        .mandatory()
        .send_timeout(DEADLINE)
        .build()?;
    let queue = Queue::new(unique("deleted")).auto_delete();
    let consumer = connection.consumer(queue.clone()).exchange(exchange.clone()).build()?;
    while_sending(&publisher, accounting, || {
        Ok(other.delete_exchange(&exchange.name, DeleteIf::ALWAYS)?)
    })?;
    let mut sends = (0..3).map(|_| publisher.send(&0));
    let stays_gone = sends.all(|sent| matches!(sent, Err(Error::NotFound { .. })));
    let again = connection.consumer(queue.clone()).exchange(exchange.clone()).build()?;
    let mut last = String::new();
    let recovered = eventually(SOON, || match publisher.send(&0) {
        Ok(()) => true,
        Err(error) => {
            last = error.to_string();
            false
        }
    });
    again.close()?;
    consumer.close()?;
    other.delete_queue(&queue.name, DeleteIf::ALWAYS)?;
    other.delete_exchange(&exchange.name, DeleteIf::ALWAYS)?;
    Ok(match (stays_gone, recovered) {
        (true, true) => Ok(()),
        (false, _) => Err("the deleted exchange was declared again by the publisher".into()),
        (true, false) => Err(format!("the publisher did not recover: {last}")),
    })
}

/// Runs `act` while a thread sends. Records every error of a send.
///
/// # Errors
/// If a send fails for another reason than the deleted entity.
fn while_sending<T>(
    publisher: &Publisher,
    accounting: &Accounting,
    act: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut unexpected = None;
            for number in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                match accounting.try_call("send", DEADLINE, || publisher.send(&number)) {
                    Ok(()) | Err(Error::NotFound { .. } | Error::Unroutable { .. }) => {}
                    Err(error) => unexpected = Some(error),
                }
            }
            unexpected
        });
        let result = act();
        stop.store(true, Ordering::Relaxed);
        match sending.join() {
            Ok(None) => result,
            Ok(Some(error)) => Err(format!("a send failed for another reason: {error}").into()),
            Err(_) => Err("the sending thread panicked".into()),
        }
    })
}
