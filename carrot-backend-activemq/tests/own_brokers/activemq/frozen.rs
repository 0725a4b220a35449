//! Brokers that are frozen: their sockets stay open, and nothing answers.

use std::thread;
use std::time::{Duration, Instant};

use carrot::{Connection, ConnectionOptions, Consumer, Error, Publisher};

use crate::process::{OwnBroker, SOON};
use crate::traffic::{Order, Traffic};

/// Long enough for calls that succeed on a busy machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// The deadline of calls that fail.
const TIMEOUT: Duration = Duration::from_millis(300);

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn keep_alives_find_a_frozen_broker() {
    let broker = OwnBroker::start(&[]);
    let traffic = Traffic::start(&broker.options().heartbeat(Duration::from_secs(1)), 500);
    traffic.wait_for(1, 3);
    broker.freeze();
    traffic.note_fault();
    traffic.wait_for_connection(false);
    broker.thaw();
    traffic.wait_for_connection(true);
    // What the lost connection still holds at the broker arrives after later messages.
    let outcome = traffic.finish(Order::Any);
    println!("frozen: {outcome:?}");
}

fn errors_of_calls(
    options: &ConnectionOptions,
    connection: &Connection,
    publisher: &Publisher,
    consumer: &Consumer,
) -> [Error; 4] {
    let quick = options.clone().connect_timeout(TIMEOUT);
    thread::scope(|scope| {
        let calls = [
            scope.spawn(|| publisher.message().timeout(TIMEOUT).send("x").unwrap_err()),
            scope.spawn(|| consumer.fetch().unwrap_err()),
            scope.spawn(|| connection.declare_queue("other").unwrap_err()),
            scope.spawn(|| carrot::connect(&quick).unwrap_err()),
        ];
        calls.map(|call| call.join().unwrap())
    })
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn calls_to_a_frozen_broker_end_by_their_deadlines() {
    let broker = OwnBroker::start(&[]);
    // No keep-alive finds the broker in the time of this test.
    let options = broker.options().call_timeout(CALL_TIMEOUT).heartbeat(SOON * 10);
    let connection = carrot::connect(&options).unwrap();
    let publisher = connection.publisher().queue("calls").build().unwrap();
    let consumer = connection.consumer("calls").build().unwrap();
    broker.freeze();
    let started = Instant::now();
    let errors = errors_of_calls(&options, &connection, &publisher, &consumer);
    assert!(started.elapsed() < CALL_TIMEOUT + SOON / 4, "{:?}", started.elapsed());
    broker.thaw();
    for error in errors {
        assert!(matches!(error, Error::Connect { .. } | Error::Timeout { .. }), "{error:?}");
    }
    publisher.message().timeout(SOON).send("last").unwrap();
    let connecting = connection.statistics().connecting;
    assert_eq!((connecting.publish.losses, connecting.consume.losses), (0, 0));
}
