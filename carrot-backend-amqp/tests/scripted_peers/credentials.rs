//! Credentials that change.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{Arguments, ConnectionBlocked, ConnectionClose, Method};
use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{Connector, Role};
use carrot_core::{Error, Headers, Result};

use crate::LONG;
use crate::client::wait_for_loss;
use crate::form::Form;
use crate::peer::{Peer, Scripted, tune};

const SHORT: Duration = Duration::from_millis(100);
const TOKEN: &str = "eyJhbGciOi.hunter2";

/// Accepts a connection as RabbitMQ of this version.
fn accept_rabbitmq(scripted: &Scripted, version: &str) -> Peer {
    let mut properties = Headers::new();
    properties.insert("product", "RabbitMQ");
    properties.insert("version", version);
    scripted.accept_as(Arguments::from(&properties), tune(0, 0))
}

fn connect(connector: &AmqpConnector, scripted: &Scripted, role: Role) -> Peer {
    thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(role, LONG).unwrap());
        let peer = accept_rabbitmq(scripted, "3.10.8");
        connecting.join().unwrap();
        peer
    })
}

/// Receives connection.update-secret with the token.
fn receive_update(peer: &mut Peer) {
    let (channel, ()) = peer.receive("connection.update-secret", |method| match method {
        Method::ConnectionUpdateSecret(update) => {
            assert_eq!(update.new_secret.as_bytes(), TOKEN.as_bytes());
            assert_eq!(update.reason.to_string(), "expires");
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(channel, 0);
}

fn update(connector: &AmqpConnector, timeout: Duration) -> Result<()> {
    connector.update_secret(TOKEN, "expires", timeout)
}

#[test]
fn secret_is_updated_on_the_connections_of_both_roles_at_once() {
    let scripted = Scripted::start(Form::Plain);
    let connector = scripted.connector();
    let mut publishing = connect(&connector, &scripted, Role::Publish);
    let mut consuming = connect(&connector, &scripted, Role::Consume);
    thread::scope(|scope| {
        let updating = scope.spawn(|| update(&connector, LONG));
        // Neither waits for the answer to the other.
        receive_update(&mut consuming);
        receive_update(&mut publishing);
        consuming.send(0, &Method::ConnectionUpdateSecretOk);
        publishing.send(0, &Method::ConnectionUpdateSecretOk);
        updating.join().unwrap().unwrap();
    });
    assert!(connector.status(Role::Publish).connected && connector.status(Role::Consume).connected);
}

#[test]
fn refused_secret_returns_the_words_of_the_broker_and_closes_one_connection() {
    let scripted = Scripted::start(Form::Plain);
    let connector = scripted.connector();
    let mut publishing = connect(&connector, &scripted, Role::Publish);
    let mut consuming = connect(&connector, &scripted, Role::Consume);
    let error = thread::scope(|scope| {
        let updating = scope.spawn(|| update(&connector, LONG));
        receive_update(&mut publishing);
        receive_update(&mut consuming);
        let close = ConnectionClose {
            reply_code: 530,
            reply_text: "NOT_ALLOWED - New secret was refused".into(),
            class_id: 10,
            method_id: 70,
        };
        publishing.send(0, &close.into());
        publishing.receive("connection.close-ok", |_| ());
        consuming.send(0, &Method::ConnectionUpdateSecretOk);
        updating.join().unwrap().unwrap_err()
    });
    assert!(
        matches!(&error, Error::HardError { code: 530, reason } if reason.contains("was refused")),
        "{error:?}"
    );
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert!(!connector.status(Role::Publish).connected);
    assert!(connector.status(Role::Consume).connected);
}

#[test]
fn late_answer_is_not_taken_for_the_next_one_and_keeps_the_connection() {
    let scripted = Scripted::start(Form::Plain);
    let connector = scripted.connector();
    let mut peer = connect(&connector, &scripted, Role::Consume);
    let error = update(&connector, SHORT).unwrap_err();
    assert!(
        matches!(&error, Error::Timeout { operation, .. } if operation.contains("secret")),
        "{error:?}"
    );
    receive_update(&mut peer);
    thread::scope(|scope| {
        let updating = scope.spawn(|| update(&connector, LONG));
        receive_update(&mut peer);
        peer.send(0, &Method::ConnectionUpdateSecretOk);
        thread::sleep(SHORT);
        assert!(!updating.is_finished());
        peer.send(0, &Method::ConnectionUpdateSecretOk);
        updating.join().unwrap().unwrap();
    });
    assert!(connector.status(Role::Consume).connected);
    // Nothing waits for a third answer.
    peer.send(0, &Method::ConnectionUpdateSecretOk);
    let (_, code) = peer.receive("connection.close", |method| match method {
        Method::ConnectionClose(close) => close.reply_code,
        other => panic!("{other:?}"),
    });
    assert_eq!(code, 503);
}

#[test]
fn update_during_an_alarm_returns_blocked() {
    let scripted = Scripted::start(Form::Plain);
    let connector = scripted.connector();
    let mut peer = connect(&connector, &scripted, Role::Publish);
    peer.send(0, &ConnectionBlocked { reason: "low on memory".into() }.into());
    let error = update(&connector, SHORT * 3).unwrap_err();
    assert!(matches!(&error, Error::Blocked { reason } if reason == "low on memory"), "{error:?}");
}

#[test]
fn lost_connection_ends_an_update() {
    let scripted = Scripted::start(Form::Plain);
    let connector = scripted.connector();
    let mut peer = connect(&connector, &scripted, Role::Consume);
    let error = thread::scope(|scope| {
        let updating = scope.spawn(|| update(&connector, LONG));
        receive_update(&mut peer);
        drop(peer);
        updating.join().unwrap().unwrap_err()
    });
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
}

#[test]
fn broker_without_the_method_and_a_secret_beyond_the_frame_are_refused_unsent() {
    let scripted = Scripted::start(Form::Plain);
    let connector = scripted.connector();
    let mut peer = connect(&connector, &scripted, Role::Consume);
    let long = connector.update_secret(&"hunter2".repeat(20_000), "", LONG).unwrap_err();
    assert!(matches!(&long, Error::Invalid { field, .. } if field == "secret"), "{long:?}");
    assert!(!format!("{long} {long:?}").contains("hunter2"));
    drop(connector);
    peer.receive("connection.close", |_| ());

    let scripted = Scripted::start(Form::Plain);
    let connector = scripted.connector();
    let mut peer = thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG).unwrap());
        let peer = accept_rabbitmq(&scripted, "3.7.28");
        connecting.join().unwrap();
        peer
    });
    let refused = update(&connector, LONG).unwrap_err();
    assert!(matches!(&refused, Error::Invalid { field, .. } if field == "secret"), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    drop(connector);
    peer.receive("connection.close", |_| ());
}

/// Plays a broker that knows one password. Returns the response that it saw.
fn answer_password(peer: &mut Peer, right: &str) {
    peer.greet();
    let (_, response) = peer.receive("connection.start-ok", |method| match method {
        Method::ConnectionStartOk(start_ok) => start_ok.response.as_bytes().to_vec(),
        other => panic!("{other:?}"),
    });
    if response == format!("\0shop\0{right}").into_bytes() {
        return;
    }
    let close = ConnectionClose {
        reply_code: 403,
        reply_text: "ACCESS_REFUSED".into(),
        ..ConnectionClose::default()
    };
    peer.send(0, &close.into());
    peer.receive("connection.close-ok", |_| ());
}

#[test]
fn provider_is_asked_at_each_dial_and_a_wrong_password_costs_one_round_trip() {
    let scripted = Scripted::start(Form::Plain);
    let calls = Arc::new(AtomicU32::new(0));
    let password = Arc::new(Mutex::new("first"));
    let options = scripted.options().credentials_provider({
        let (calls, password) = (Arc::clone(&calls), Arc::clone(&password));
        move || {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(("shop", *password.lock().unwrap()))
        }
    });
    let connector = AmqpConnector::new(&options).unwrap();
    let dial = |right: &str, is_right: bool| {
        thread::scope(|scope| {
            let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
            let mut peer = scripted.accept();
            let started = Instant::now();
            answer_password(&mut peer, right);
            if is_right {
                peer.tune(tune(0, 0));
            }
            let result = connecting.join().unwrap();
            assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
            (result, peer)
        })
    };
    let (result, peer) = dial("first", true);
    result.unwrap();
    drop(peer);
    wait_for_loss(&connector);
    // The password was changed, and the provider returns the old one.
    let (result, _) = dial("second", false);
    assert!(
        matches!(&result, Err(Error::Authentication { user, .. }) if user == "shop"),
        "{result:?}"
    );
    *password.lock().unwrap() = "second";
    let (result, _peer) = dial("second", true);
    result.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[test]
fn failing_provider_is_a_failure_to_connect_without_a_dial() {
    let scripted = Scripted::start(Form::Plain);
    let options = scripted
        .options()
        .credentials_provider(|| -> Result<(&str, &str), _> { Err("the vault is sealed".into()) });
    let connector = AmqpConnector::new(&options).unwrap();
    let error = connector.connect(Role::Publish, LONG).unwrap_err();
    assert!(
        matches!(&error, Error::Connect { reason, .. } if reason.contains("the vault is sealed")),
        "{error:?}"
    );
    let options = scripted.options().credentials_provider(|| -> Result<(&str, &str), _> {
        thread::sleep(SHORT * 5);
        Ok(("", ""))
    });
    let connector = AmqpConnector::new(&options).unwrap();
    let started = Instant::now();
    let error = connector.connect(Role::Publish, SHORT).unwrap_err();
    assert!(
        matches!(&error, Error::Timeout { operation, .. } if operation.contains("provider")),
        "{error:?}"
    );
    assert!(started.elapsed() < SHORT * 4, "{:?}", started.elapsed());
}

#[test]
fn credentials_beyond_the_first_frame_of_the_broker_are_named() {
    let scripted = Scripted::start(Form::Plain);
    let options = scripted.options().credentials("", "x".repeat(8_000));
    let connector = AmqpConnector::new(&options).unwrap();
    let error = thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
        let mut peer = scripted.accept();
        peer.greet();
        peer.receive("connection.start-ok", |_| ());
        drop(peer);
        connecting.join().unwrap().unwrap_err()
    });
    assert!(
        matches!(&error, Error::Authentication { reason, .. } if reason.contains("4096 bytes")),
        "{error:?}"
    );
}
