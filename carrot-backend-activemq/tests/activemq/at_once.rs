//! Clients that declare the same queue at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::env;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, Content, Declare, Delete, DeleteIf,
    Publication,
};
use carrot_core::{Binding, Error, Exchange, Queue, Result};

const SOON: Duration = Duration::from_secs(60);
const ROUNDS: usize = 10;

/// Opens a channel on a connection of its own.
fn open() -> Arc<dyn Backend> {
    let url = env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap();
    let connector = ActiveMqConnector::new(&url.parse().unwrap()).unwrap();
    connector.open(&ChannelOptions::publish(), SOON).unwrap()
}

fn name(test: &str, round: usize) -> String {
    format!("carrot.test.{test}.{}.{round}", std::process::id())
}

/// Calls `act` with each number at the same time.
fn at_once<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(count);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (act, barrier) = (&act, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    act(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn declare(channel: &dyn Backend, queue: &Queue) -> Result<()> {
    channel.declare(Declare::Queue(queue), SOON).map(drop)
}

fn delete(channel: &dyn Backend, name: &str) {
    channel.delete(Delete::Queue { name, condition: DeleteIf::ALWAYS }, SOON).unwrap();
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn equal_declarations_of_one_queue_succeed_and_lose_no_binding() {
    const CLIENTS: usize = 6;
    let channels: Vec<_> = (0..CLIENTS).map(|_| open()).collect();
    let exchange = name("same", ROUNDS);
    channels[0].declare(Declare::Exchange(&Exchange::fanout(&exchange)), SOON).unwrap();
    for round in 0..ROUNDS {
        let name = name("same", round);
        let queue = match round % 2 {
            0 => Queue::new(&name),
            _ => Queue::new(&name).dead_letter_exchange("dead"),
        };
        let binding = Binding::queue(&exchange, &name, "");
        for declared in at_once(CLIENTS, |number| {
            declare(&*channels[number], &queue)?;
            channels[number].declare(Declare::Binding(&binding), SOON).map(drop)
        }) {
            declared.unwrap();
        }
        let content = Arc::new(Content::new(&*exchange, "", "x"));
        let tag = channels[0].publish(&Publication::new(&content), SOON).unwrap();
        channels[0].confirm(tag, SOON).unwrap();
        let fetched = channels[0].get(&name, Acknowledgement::Automatic, SOON).unwrap();
        assert!(fetched.is_some(), "the binding of {name} is gone");
        delete(&*channels[0], &name);
    }
    let deletion = Delete::Exchange { name: &exchange, condition: DeleteIf::ALWAYS };
    channels[0].delete(deletion, SOON).unwrap();
}

/// Declares a queue in two ways at once. Exactly one of them succeeds.
fn check_other(test: &str, queue: impl Fn(&str, usize) -> Queue + Sync) {
    let keeper = open();
    for round in 0..ROUNDS {
        let name = name(test, round);
        let results = at_once(2, |number| declare(&*open(), &queue(&name, number)));
        let refused: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert_eq!(refused.len(), 1, "round {round}: {results:?}");
        assert!(matches!(refused[0], Error::PreconditionFailed { .. }), "{refused:?}");
        // The arguments are those of the client that has succeeded.
        let winner = results.iter().position(Result::is_ok).unwrap();
        declare(&*open(), &queue(&name, winner)).unwrap();
        delete(&*keeper, &name);
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn other_arguments_at_once_are_refused_to_all_but_one() {
    check_other("other", |name, number| {
        Queue::new(name).argument("x-message-ttl", 100_000 + number as i64)
    });
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn arguments_and_none_at_once_are_refused_to_one() {
    check_other("none", |name, number| match number {
        0 => Queue::new(name),
        _ => Queue::new(name).argument("x-message-ttl", 100_000),
    });
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn declared_queues_are_known_to_other_clients() {
    let (one, other) = (open(), open());
    for round in 0..100 {
        let name = name("told", round);
        declare(&*one, &Queue::new(&name)).unwrap();
        declare(&*other, &Queue::existing(&name)).unwrap();
        delete(&*one, &name);
        let gone = declare(&*open(), &Queue::existing(&name));
        assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    }
}
