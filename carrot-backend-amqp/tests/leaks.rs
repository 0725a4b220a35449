//! Checks that failed and lost connections leak no thread and no file descriptor.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::time::Duration;

use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{ChannelOptions, Connector, ConsumeOptions, Declare};
use carrot_core::{ConnectionOptions, Error, Queue};
use support::fake::{Fake, Script};
use support::leaks::leaves_nothing;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn connections_that_come_to_nothing_leave_nothing() {
    connections_that_are_lost();
    attempts_to_connect();
}

fn lose(script: Script) {
    let fake = Fake::start(script);
    let options = ConnectionOptions::new()
        .host("127.0.0.1")
        .port(fake.port())
        .call_timeout(Duration::from_millis(50));
    let connector = AmqpConnector::new(&options).unwrap();
    let channel = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    let other = connector.open(&ChannelOptions::consume(), LONG).unwrap();
    assert!(channel.declare(Declare::Queue(&Queue::new("q")), LONG).is_err());
    let received = other
        .consume("q", &ConsumeOptions::default(), LONG)
        .and_then(|subscription| subscription.next(LONG));
    // A routing key that is not UTF-8 is read.
    let is_read = script == Script::Garbles;
    assert_eq!(received.is_err(), !is_read, "{received:?}");
}

fn connections_that_are_lost() {
    for (script, rounds) in [
        (Script::HangsUp, 100),
        (Script::Dismisses, 100),
        (Script::Garbles, 20),
        (Script::OpensChannels, 20),
    ] {
        leaves_nothing(rounds, || lose(script));
    }
}

fn attempts_to_connect() {
    leaves_nothing(20, || {
        let fake = Fake::start(Script::Greets);
        let connector =
            AmqpConnector::new(&ConnectionOptions::new().host("127.0.0.1").port(fake.port()))
                .unwrap();
        let error =
            connector.open(&ChannelOptions::publish(), Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    });
}
