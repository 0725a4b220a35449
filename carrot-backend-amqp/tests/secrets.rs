//! No log line, error or debug output holds a password.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::sync::Mutex;
use std::time::Duration;

use carrot_backend_amqp::AmqpConnector;
use carrot_core::ConnectionOptions;
use carrot_core::backend::{ChannelOptions, Connector};
use support::fake::{Fake, Script};

struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

static LINES: Lines = Lines(Mutex::new(Vec::new()));

#[test]
fn the_password_is_shown_nowhere() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    for script in [Script::OpensChannels, Script::Greets] {
        let fake = Fake::start(script);
        let options = ConnectionOptions::new().host("127.0.0.1").port(fake.port()).credentials("scott", "hush-hush");
        let connector = AmqpConnector::new(&options).unwrap();
        let opened = connector.open(&ChannelOptions::publish(), Duration::from_millis(500));
        assert_eq!(opened.is_ok(), script == Script::OpensChannels);
        assert!(!format!("{connector:?} {opened:?}").contains("hush-hush"));
    }
    let lines = LINES.0.lock().unwrap().clone();
    assert!(lines.iter().any(|line| line.contains("StartOk")), "the handshake is logged");
    assert!(!lines.iter().any(|line| line.contains("hush-hush")));
}
