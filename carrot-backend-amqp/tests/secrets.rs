//! Checks that no log line, error or debug output contains a password.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "support/forms.rs"]
mod forms;
mod support;

use std::sync::Mutex;
use std::time::Duration;

use carrot_backend_amqp::AmqpConnector;
use carrot_core::ConnectionOptions;
use carrot_core::backend::{ChannelOptions, Connector};
use support::fake::{Fake, Script};

const PASSWORD: &str = "hush/hush@100% \"gr\u{fc}n\"";

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
    for (script, opens) in [
        (Script::OpensChannels, true),
        (Script::HangsUp, true),
        (Script::Dismisses, true),
        (Script::Greets, false),
        (Script::Mute, false),
        (Script::SpeaksHttp, false),
    ] {
        let fake = Fake::start(script);
        let options = ConnectionOptions::new()
            .host("127.0.0.1")
            .port(fake.port())
            .credentials("scott", PASSWORD);
        let connector = AmqpConnector::new(&options).unwrap();
        let opened = connector.open(&ChannelOptions::publish(), Duration::from_millis(500));
        assert_eq!(opened.is_ok(), opens, "{script:?}");
        let mut lines = LINES.0.lock().unwrap();
        lines.push(format!("{options} {options:?} {connector:?} {opened:?} {opened:#?}"));
        drop(lines);
        if let Ok(channel) = opened {
            let called = channel
                .get(
                    "q",
                    carrot_core::backend::Acknowledgement::Manual,
                    std::time::Duration::from_secs(60),
                )
                .map(drop);
            LINES.0.lock().unwrap().push(format!("{channel:?} {called:?}"));
        }
    }
    let lines = LINES.0.lock().unwrap().clone();
    assert!(lines.iter().any(|line| line.contains("StartOk")), "the handshake is logged");
    for form in forms::forms(PASSWORD) {
        let shown: Vec<&String> = lines.iter().filter(|line| line.contains(&form)).collect();
        assert!(shown.is_empty(), "{form}: {shown:#?}");
    }
}
