//! Calls to a host that does not answer.

use std::thread;
use std::time::{Duration, Instant};

use carrot::{Connection, ConnectionOptions, Consumer, Error, Message, Publisher};

use crate::process::SOON;

/// Long enough for calls that succeed on a busy machine.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The deadline of calls that fail.
const TIMEOUT: Duration = Duration::from_millis(300);

/// Runs four calls at once that fail at their deadlines, and returns their errors. The publisher
/// sends "x".
#[track_caller]
pub fn errors_of_calls(
    options: &ConnectionOptions,
    connection: &Connection,
    publisher: &Publisher,
    consumer: &Consumer,
) -> [Error; 4] {
    let quick = options.clone().connect_timeout(TIMEOUT);
    let started = Instant::now();
    let errors = thread::scope(|scope| {
        let calls = [
            scope.spawn(|| publisher.message().timeout(TIMEOUT).send("x").unwrap_err()),
            scope.spawn(|| consumer.fetch().unwrap_err()),
            scope.spawn(|| connection.declare_queue("other").unwrap_err()),
            scope.spawn(|| carrot::connect(&quick).unwrap_err()),
        ];
        calls.map(|call| call.join().unwrap())
    });
    assert!(started.elapsed() < CALL_TIMEOUT + SOON / 2, "{:?}", started.elapsed());
    errors
}

/// Returns the next message.
#[track_caller]
pub fn next(consumer: &Consumer) -> Message {
    consumer.messages().unwrap().timeout(SOON).next().expect("a message").unwrap()
}
