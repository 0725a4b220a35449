//! Log lines of failed messages: one line each, with foreign text escaped.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use carrot::memory::{Broker, Operation};
use carrot::{Connection, Error, Message, consume::Retry};

static LINES: Mutex<Vec<(log::Level, String)>> = Mutex::new(Vec::new());

struct Capture;

impl log::Log for Capture {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push((record.level(), record.args().to_string()));
    }

    fn flush(&self) {}
}

const SOON: Duration = Duration::from_secs(10);

#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen in {SOON:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn lines(level: log::Level) -> Vec<String> {
    LINES
        .lock()
        .unwrap()
        .iter()
        .filter(|(of, _)| *of == level)
        .map(|(_, line)| line.clone())
        .collect()
}

// One test, because there is one logger.
#[test]
fn failures_are_logged_in_short_escaped_lines() {
    log::set_logger(&Capture).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    let consumer = connection
        .consumer("orders")
        .retry(Retry::fixed(Duration::from_secs(600)).attempts(2))
        .build()
        .unwrap();
    let workers = consumer.workers(1).spawn(|number: u32, _message: &Message| match number {
        0 => Err::<(), _>(format!("line one\nERROR forged \u{1b}[31m{}", "x".repeat(1_000_000))),
        _ => panic!("\u{202e}reversed\r"),
    });
    let workers = workers.unwrap();
    let publisher = connection.publisher().routing_key("orders").build().unwrap();
    for _ in 0..3 {
        // A decoder quotes unexpected text.
        publisher
            .send(&format!("\u{1b}]0;title\u{7}\nWARN forged {}", "y".repeat(10_000_000)))
            .unwrap();
    }
    publisher.message().message_id("id\n\u{1b}[2J").send(&0).unwrap();
    publisher.send(&1).unwrap();
    eventually("all have failed", || {
        let report = workers.report();
        (report.failed, report.undecodable, report.retried) == (2, 3, 5)
    });
    let warned = lines(log::Level::Warn);
    assert_eq!(warned.len(), 5, "{warned:#?}");
    for line in &warned {
        assert!(
            line.len() < 2000
                && !line.chars().any(|letter| letter.is_control() || letter == '\u{202e}'),
            "{} bytes: {line:.300}",
            line.len()
        );
        assert!(
            line.contains("queue=\"orders\"")
                && line.contains("attempt=1 of=2")
                && line.contains("then=\"tried again in 1024s\""),
            "{line:.3000}"
        );
    }
    assert_eq!(
        warned
            .iter()
            .filter(|line| line.starts_with("decoding a message failed: could not decode"))
            .count(),
        3
    );
    assert_eq!(
        warned.iter().filter(|line| line.starts_with("handling a message failed: ")).count(),
        2
    );

    // A message that cannot be copied is logged at error level, but not each one.
    workers.stop(SOON).unwrap();
    let (sender, handled) = mpsc::channel();
    let consumer = connection.consumer("invoices").prefetch(32).build().unwrap();
    let workers = consumer.workers(1).spawn(move |_: u32, _message: &Message| {
        sender.send(()).unwrap();
        Err::<(), _>("no")
    });
    let workers = workers.unwrap();
    for _ in 0..10 {
        broker.faults().fail_next(
            Operation::Declare,
            Error::AccessRefused { reason: "no\npermission".into() },
        );
    }
    connection.publisher().routing_key("invoices").build().unwrap().send_all(0..10_u32).unwrap();
    for _ in 0..10 {
        handled.recv_timeout(SOON).unwrap();
    }
    eventually("all are kept", || workers.report().paused == 10);
    let errors = lines(log::Level::Error);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(
        errors[0].contains("queue=\"invoices\"") && errors[0].contains("no\\npermission"),
        "{}",
        errors[0]
    );
    workers.stop(SOON).unwrap();

    // A message that could not be read is rejected, and each rejection is logged.
    let reason = format!("too deep\nERROR forged {}", "z".repeat(1_000_000));
    broker.faults().make_unreadable(&reason, |content| content.body == b"bad");
    for (queue, discards) in [("kept", false), ("discarded", true)] {
        let consumer = connection.consumer(queue);
        let consumer = if discards { consumer.discard_failed() } else { consumer };
        let consumer = consumer.build().unwrap();
        let workers = consumer.workers(1).spawn(|_: u32, _message: &Message| ()).unwrap();
        let publisher = connection.publisher().routing_key(queue).build().unwrap();
        publisher.message().send_bytes("bad").unwrap();
        publisher.message().send_bytes("bad").unwrap();
        eventually("both are rejected", || workers.report().discarded == 2);
        workers.stop(SOON).unwrap();
        let level = if discards { log::Level::Warn } else { log::Level::Error };
        let logged: Vec<String> = lines(level)
            .into_iter()
            .filter(|line| line.starts_with("reading a message failed, it is rejected"))
            .collect();
        assert_eq!(logged.len(), 2, "{logged:#?}");
        for line in &logged {
            assert!(
                line.len() < 3000
                    && !line.contains('\n')
                    && line.contains("no copy can be sent: too deep\\nERROR forged zzz")
                    && line.contains(&format!("queue=\"{queue}\""))
                    && line.contains("body_bytes=3"),
                "{line:.3000}"
            );
        }
    }
}
