//! Ctrl-C while the broker neither reads nor answers.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::{LONG, Ran, TestBroker, finish, interrupt, next_line, start};

/// The longest time from the signal to the end. The limit of an answer is an hour.
const SOON: Duration = Duration::from_secs(10);
const TIMEOUT: [&str; 2] = ["--timeout", "3600"];

/// Stops the broker, ends the command, and lets the broker continue.
fn end_on_silent_broker(broker: &TestBroker, child: Child) -> Ran {
    broker.signal("-STOP");
    // Long enough for the command to wait for the broker.
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    interrupt(&child);
    let ran = finish(child);
    let took = started.elapsed();
    broker.signal("-CONT");
    assert_eq!(ran.code, 130, "{ran:?}");
    assert!(took < SOON, "{took:?}: {ran:?}");
    ran
}

/// Waits until a command has taken messages of a queue that had this number.
fn wait_for_work(broker: &TestBroker, queue: &str, ready: u64) {
    let deadline = Instant::now() + LONG;
    while broker.ready(queue) == ready {
        assert!(Instant::now() < deadline, "nothing is taken");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for_sum(broker: &TestBroker, queues: [&str; 2], least: u64) -> u64 {
    let deadline = Instant::now() + LONG;
    loop {
        let sum = queues.iter().map(|queue| broker.ready(queue)).sum();
        if sum >= least {
            return sum;
        }
        assert!(Instant::now() < deadline, "{sum} of {least} messages are left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A body that the buffers of a socket cannot hold makes the write wait, a small one the answer.
#[test]
fn move_on_a_silent_broker_ends_soon_and_loses_nothing() {
    for (bytes, messages) in [(8 << 20, 12), (10, 20_000)] {
        let broker = TestBroker::hosted("amqp");
        let (from, to) = (broker.queue(&[]), broker.queue(&[]));
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        let path = file.path().to_str().unwrap();
        let count = messages.to_string();
        let publish = ["publish", "-q", &from, "--file", path, "--count", &count];
        broker.ok(&[&publish[..], &["--timeout", "60"]].concat());
        let arguments = ["move", &from, "--to", &to, "--json"];
        let (child, _output) = start(broker.command(&[&arguments[..], &TIMEOUT].concat()));
        wait_for_work(&broker, &from, messages);
        let ran = end_on_silent_broker(&broker, child);
        assert!(ran.errors.contains("the broker does not answer"), "{ran:?}");
        wait_for_sum(&broker, [&from, &to], messages);
    }
}

#[test]
fn move_that_is_only_shown_ends_soon_on_a_silent_broker() {
    let broker = TestBroker::hosted("amqp");
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    broker.ok(&["publish", "-q", &from, "x", "--count", "20000"]);
    let arguments = ["move", &from, "--to", &to, "--dry-run", "--json"];
    let (child, mut output) = start(broker.command(&[&arguments[..], &TIMEOUT].concat()));
    wait_for_work(&broker, &from, 20_000);
    let ran = end_on_silent_broker(&broker, child);
    assert!(next_line(&mut output).contains("\"looked_at\":"), "{ran:?}");
    broker.wait_for_ready(&from, 20_000);
}

#[test]
fn peek_on_a_silent_broker_ends_soon() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    broker.ok(&["publish", "-q", &queue, "x", "--count", "20000"]);
    let arguments = ["peek", &queue, "-n", "20000"];
    let (child, _output) = start(broker.command(&[&arguments[..], &TIMEOUT].concat()));
    wait_for_work(&broker, &queue, 20_000);
    end_on_silent_broker(&broker, child);
    broker.wait_for_ready(&queue, 20_000);
}

#[test]
fn consume_that_waits_on_a_silent_broker_ends_soon() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    for more in [&[][..], &["--on-failure", "requeue", "--", "false"]] {
        broker.ok(&["publish", "-q", &queue, "x"]);
        let arguments = ["consume", &queue, "--follow"];
        let (child, _output) = start(broker.command(&[&arguments[..], &TIMEOUT, more].concat()));
        wait_for_work(&broker, &queue, 1);
        let ran = end_on_silent_broker(&broker, child);
        assert!(ran.errors.contains("the broker does not answer"), "{ran:?}");
    }
    broker.wait_for_ready(&queue, 1);
}

/// A program that runs needs no broker.
#[test]
fn consume_waits_for_its_program_after_ctrl_c() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    broker.ok(&["publish", "-q", &queue, "x"]);
    let arguments = ["consume", &queue, "--follow", "--"];
    let script = ["sh", "-c", "echo started; exec sleep 2"];
    let (child, mut output) = start(broker.command(&[&arguments[..], &script].concat()));
    assert_eq!(next_line(&mut output), "started");
    interrupt(&child);
    let ran = finish(child);
    assert_eq!(ran.code, 130, "{ran:?}");
    assert_eq!(ran.errors, "carrot: interrupted after 1 message\n");
    assert_eq!(broker.ready(&queue), 0);
}
