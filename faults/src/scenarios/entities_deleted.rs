use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use carrot::topology::DeleteIf;
use carrot::{Connection, Error, Exchange, Message, Publisher, Queue};

use super::Context;
use super::run::Run;
use crate::{Ledger, LoadOptions, Outcome, Result, eventually, unique};

const SOON: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(10);

/// Deletes queues and exchanges that are in use. Who uses them is told, by a typed error, or recovers; a load on other channels of the same
/// connection does not notice.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let times = context.pick(20, 3);
    context.with_node(|context, node| {
        let mut run = Run::new(context);
        let load = run.load(LoadOptions {
            rate: Some(250),
            ..LoadOptions::new(node.options(), &*run.queue)
        })?;
        let other = carrot::connect(node.options())?;
        // What the victims are told is counted apart: the load is to be told nothing.
        let victims = Ledger::new();
        for time in 1..=times {
            let queue = delete_queue(load.connection(), &other, &victims)?;
            run.outcome.expect(queue.is_ok(), || {
                format!("queue {time}: {}", queue.err().unwrap_or_default())
            });
            let exchange = delete_exchange(load.connection(), &other, &victims)?;
            run.outcome.expect(exchange.is_ok(), || {
                format!("exchange {time}: {}", exchange.err().unwrap_or_default())
            });
            run.expect_progress(&load, 20, SOON, &format!("after round {time}"));
        }
        other.close()?;
        let mut outcome = run.finish(load, &node.options())?;
        outcome.expect_all_confirmed();
        outcome.expect_no_duplicate();
        let noticed: Vec<String> = outcome.audit.errors.keys().cloned().collect();
        outcome.expect(noticed.is_empty(), || {
            format!("the load was told of errors: {}", noticed.join(", "))
        });
        let told = victims.audit();
        outcome.audit.overdue.extend(&told.overdue);
        outcome.expect_no_late_call();
        outcome.notes.extend(
            told.errors.iter().map(|(error, times)| format!("as wanted: {times} x {error}")),
        );
        Ok(outcome)
    })
}

/// Deletes a queue under its workers; they end with an error that says so, or go on with a new queue.
fn delete_queue(
    connection: &Connection,
    other: &Connection,
    ledger: &Ledger,
) -> Result<Result<(), String>> {
    let queue = unique("victim");
    let consumer = connection.consumer(&*queue).build()?;
    let publisher = connection.publisher().routing_key(&*queue).send_timeout(DEADLINE).build()?;
    let handled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&handled);
    let workers = consumer.workers(2).spawn(move |_: u64, _: &Message| {
        counter.fetch_add(1, Ordering::Relaxed);
    })?;
    let handled = || handled.load(Ordering::Relaxed);
    let reaction = while_sending(&publisher, ledger, || {
        if !eventually(SOON, || handled() > 20) {
            return Ok(Err("messages do not flow".to_string()));
        }
        other.delete_queue(&queue, DeleteIf::ALWAYS)?;
        let before = handled();
        // More than the workers may have held.
        let reacted = eventually(SOON, || workers.is_finished() || handled() > before + 100);
        Ok(if reacted { Ok(()) } else { Err("the workers neither ended nor went on".to_string()) })
    })?;
    let ended = workers.is_finished();
    let told = ledger.try_call("stop", DEADLINE * 2, || workers.stop(DEADLINE));
    consumer.close()?;
    other.delete_queue(&queue, DeleteIf::ALWAYS)?;
    Ok(reaction.and(match told {
        Err(Error::Cancelled { .. } | Error::NotFound { .. }) => Ok(()),
        Ok(_) if ended => Err("the workers ended, and say that all went well".into()),
        Ok(_) => Ok(()),
        Err(error) => {
            Err(format!("the workers end with an error that does not tell of the queue: {error}"))
        }
    }))
}

/// Deletes an exchange under its publisher, whose messages are mandatory; sends fail with an error that says so, and go on to do so: nobody
/// declares the exchange again without its bindings. Once an operator has done so, messages arrive.
fn delete_exchange(
    connection: &Connection,
    other: &Connection,
    ledger: &Ledger,
) -> Result<Result<(), String>> {
    let exchange = Exchange::direct(unique("victim"));
    let publisher = connection
        .publisher()
        .exchange(exchange.clone())
        .mandatory()
        .send_timeout(DEADLINE)
        .build()?;
    let queue = Queue::new(unique("victim")).auto_delete();
    let consumer = connection.consumer(queue.clone()).exchange(exchange.clone()).build()?;
    while_sending(&publisher, ledger, || {
        Ok(other.delete_exchange(&exchange.name, DeleteIf::ALWAYS)?)
    })?;
    let mut told = (0..3).map(|_| publisher.send(&0));
    let stays_gone = told.all(|sent| matches!(sent, Err(Error::NotFound { .. })));
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
        (false, _) => Err("the deleted exchange came back by itself".into()),
        (true, false) => Err(format!("the publisher did not recover: {last}")),
    })
}

/// Does something while a thread sends; every error of a send is counted, and has to tell of what is gone.
fn while_sending<T>(
    publisher: &Publisher,
    ledger: &Ledger,
    act: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut surprise = None;
            for number in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                match ledger.try_call("send", DEADLINE, || publisher.send(&number)) {
                    Ok(()) | Err(Error::NotFound { .. } | Error::Unroutable { .. }) => {}
                    Err(error) => surprise = Some(error),
                }
            }
            surprise
        });
        let result = act();
        stop.store(true, Ordering::Relaxed);
        match sending.join() {
            Ok(None) => result,
            Ok(Some(error)) => Err(format!("a send failed for another reason: {error}").into()),
            Err(_) => Err("the thread that sends panicked".into()),
        }
    })
}
