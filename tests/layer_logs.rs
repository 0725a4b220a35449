//! Log lines of the layers that Carrot ships: one line each, with foreign text escaped and cut, and
//! without bodies and headers.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use carrot::consume::HandlerError;
use carrot::layers::{Claim, Deduplicate, IdStore, LogMessages, MemoryIds, SlowHandlers};
use carrot::{Error, Message, Settlement};

static LINES: Mutex<Vec<(log::Level, String)>> = Mutex::new(Vec::new());

struct Capture;

impl log::Log for Capture {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("carrot_core::layers") {
            LINES.lock().unwrap().push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// The lines since the last call. Times are left out.
#[track_caller]
fn take_lines(level: log::Level) -> Vec<String> {
    let lines = std::mem::take(&mut *LINES.lock().unwrap());
    assert!(lines.iter().all(|(of, _)| *of == level), "{lines:?}");
    let untimed = |line: &str| line.split(" time=").next().unwrap().to_string();
    lines.iter().map(|(_, line)| untimed(line)).collect()
}

/// A store that remembers nothing, and cannot release an id.
struct Forgetful;

impl IdStore for Forgetful {
    fn begin(&self, _: &str, _: &str) -> Result<Claim, HandlerError> {
        Ok(Claim::New)
    }

    fn finish(&self, _: &str, _: &str) -> Result<(), HandlerError> {
        Ok(())
    }

    fn release(&self, _: &str, _: &str) -> Result<(), HandlerError> {
        Err(HandlerError::new(format!("no\nline {}", "x".repeat(5000))))
    }
}

// One test, because there is one logger.
#[test]
fn layers_log_short_escaped_lines_without_bodies() {
    log::set_logger(&Capture).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let connection = carrot::connect("memory://").unwrap();

    // Sending.
    let publisher = connection
        .publisher()
        .queue("orders")
        .header("token", "a secret")
        .layer(LogMessages::new())
        .build()
        .unwrap();
    let message = || publisher.message().message_id("a\nb\u{202e}");
    message().send("body").unwrap();
    message().routing_key("no\u{1b}where").send("body").unwrap_err();
    message().routing_key("x".repeat(10_000)).send("body").unwrap_err();
    let lines = take_lines(log::Level::Debug);
    let names = r#"message_id="a\nb\u{202e}" bytes=6"#;
    assert_eq!(
        lines[0],
        format!(r#"message was confirmed exchange="" routing_key="orders" {names}"#)
    );
    assert!(lines[1].starts_with("sending a message failed: "), "{}", lines[1]);
    assert!(
        lines[1].ends_with(&format!(r#"exchange="" routing_key="no\u{{1b}}where" {names}"#)),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("sending a message failed: invalid routing key"), "{}", lines[2]);
    assert!(lines[2].contains("... (10000 bytes)") && lines[2].len() < 800, "{}", lines[2]);
    assert_eq!(lines.len(), 3);
    let unconfirmed = connection
        .publisher()
        .queue("orders")
        .without_confirms()
        .layer(LogMessages::new().level(log::Level::Info));
    unconfirmed.build().unwrap().message().message_id("1").send("reject").unwrap();
    assert_eq!(
        take_lines(log::Level::Info),
        [
            r#"message was sent without a confirm exchange="" routing_key="orders" message_id="1" bytes=8"#
        ]
    );

    // Handling.
    let layer = LogMessages::new().level(log::Level::Trace);
    let mut consumer = connection.consumer("orders").layer(layer).build().unwrap();
    consumer.register_callback(|body: String, _: &Message| match &*body {
        "reject" => Ok(Settlement::Reject),
        _ => Err(format!("no\nline {}", "x".repeat(5000))),
    });
    consumer.handle_next(2).unwrap();
    let lines = take_lines(log::Level::Trace);
    assert!(lines[0].starts_with(r"handling a message failed: no\nline xxx"), "{}", lines[0]);
    let end =
        format!(r#"... (cut) queue="orders" exchange="" routing_key="orders" {names} attempt=1"#);
    assert!(lines[0].ends_with(&end) && lines[0].len() < 600, "{}", lines[0]);
    assert_eq!(
        lines[1],
        r#"message was handled: Reject queue="orders" exchange="" routing_key="orders" message_id="1" bytes=8 attempt=1"#
    );
    assert_eq!(lines.len(), 2);

    // Slow handlers.
    let limit = Duration::from_millis(20);
    let layer = SlowHandlers::new(limit).unwrap();
    let mut consumer = connection.consumer("slow").layer(layer).build().unwrap();
    consumer.register_callback(move |is_slow: bool, _: &Message| {
        let start = Instant::now();
        while is_slow && start.elapsed() <= limit {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let publisher = connection.publisher().routing_key("slow").build().unwrap();
    publisher.message().message_id("a\nb").send(&true).unwrap();
    consumer.handle_next(1).unwrap();
    let lines = take_lines(log::Level::Warn);
    assert!(lines[0].starts_with("handling a message took "), "{}", lines[0]);
    let end = r#", longer than 20ms queue="slow" message_id="a\nb" attempt=1"#;
    assert!(lines[0].ends_with(end), "{}", lines[0]);
    let hour = SlowHandlers::new(Duration::from_secs(3600)).unwrap();
    let mut consumer = connection.consumer("slow").layer(hour).build().unwrap();
    consumer.register_callback(|_: bool, _: &Message| ());
    publisher.send(&false).unwrap();
    consumer.handle_next(1).unwrap();
    assert_eq!(take_lines(log::Level::Warn), [""; 0]);

    // Duplicates.
    let layer = Deduplicate::new(MemoryIds::new());
    let mut consumer = connection.consumer("twice").layer(layer).build().unwrap();
    consumer.register_callback(|_: u32, _: &Message| ());
    let publisher = connection.publisher().routing_key("twice").build().unwrap();
    for _ in 0..2 {
        publisher.message().message_id("a\nb").send(&1).unwrap();
    }
    consumer.handle_next(2).unwrap();
    assert_eq!(
        take_lines(log::Level::Debug),
        [r#"acknowledging a message that was handled before queue="twice" message_id="a\nb""#]
    );
    let mut consumer =
        connection.consumer("twice").layer(Deduplicate::new(Forgetful)).build().unwrap();
    consumer.register_callback(|_: u32, _: &Message| Settlement::Reject);
    publisher.message().message_id("id").send(&1).unwrap();
    consumer.handle_next(1).unwrap();
    let lines = take_lines(log::Level::Warn);
    assert!(lines[0].starts_with(r"releasing a message id failed: no\nline xxx"), "{}", lines[0]);
    assert!(lines[0].ends_with(r#" queue="twice" message_id="id""#), "{}", lines[0]);
    assert!(lines[0].len() < 1200, "{}", lines[0]);

    // A layer that refuses is named by its text.
    assert!(matches!(SlowHandlers::new(Duration::ZERO), Err(Error::Invalid { .. })));
}
