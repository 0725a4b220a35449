//! Logins, permissions, TLS and messages of other clients on a real broker, at the addresses in
//! `CARROT_TEST_ACTIVEMQ_URL` and its relatives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::env;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, Content, Declare, Delete, DeleteIf,
    Outcome, Publication,
};
use carrot_core::{ConnectionOptions, Error, Pem, Properties, Queue, Result, TlsOptions};

const SOON: Duration = Duration::from_secs(20);

fn options(variable: &str) -> ConnectionOptions {
    let url = env::var(variable).unwrap_or_else(|_| panic!("{variable} names a broker"));
    url.parse().unwrap()
}

fn open(options: &ConnectionOptions) -> Result<Arc<dyn Backend>> {
    ActiveMqConnector::new(options)?.open(&ChannelOptions::publish(), SOON)
}

/// Sends a message to a new queue, and fetches it.
fn round_trip(channel: &dyn Backend, queue: &str, content: Content) -> Arc<Content> {
    channel.declare(Declare::Queue(&Queue::new(queue)), SOON).unwrap();
    let content = Arc::new(content);
    let tag = channel.publish(&Publication::new(&content), SOON).unwrap();
    assert_eq!(channel.confirm(tag, SOON).unwrap(), Outcome::Accepted);
    let delivery = channel.get(queue, Acknowledgement::Automatic, SOON).unwrap().unwrap();
    let deletion = Delete::Queue { name: queue, condition: DeleteIf::ALWAYS };
    channel.delete(deletion, SOON).unwrap();
    delivery.content
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn wrong_password_is_an_authentication_error() {
    let options = options("CARROT_TEST_ACTIVEMQ_URL").credentials("carrot", "verysecret");
    let error = open(&options).unwrap_err();
    let Error::Authentication { user, .. } = &error else { panic!("{error:?}") };
    assert_eq!(user, "carrot");
    assert!(!format!("{error:?} {error}").contains("verysecret"), "{error:?}");
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn messages_pass_through_tls() {
    let authority = Pem::file(env::var("CARROT_TEST_ACTIVEMQ_CA_FILE").unwrap());
    let options = options("CARROT_TEST_ACTIVEMQS_URL").tls(TlsOptions::new().authority(authority));
    let channel = open(&options).unwrap();
    let body = vec![7; 300_000];
    let content = Content::new("", "carrot.test.tls", body.clone());
    assert_eq!(round_trip(&*channel, "carrot.test.tls", content).body[..], body);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn port_with_tls_is_named_without_it() {
    let (_, port) = {
        let secured = options("CARROT_TEST_ACTIVEMQS_URL");
        let (name, port) = secured.addresses().next().unwrap();
        (name.to_string(), port)
    };
    let error = open(&options("CARROT_TEST_ACTIVEMQ_URL").port(port)).unwrap_err();
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn message_that_has_expired_is_gone() {
    let channel = open(&options("CARROT_TEST_ACTIVEMQ_URL")).unwrap();
    let queue = "carrot.test.expiry";
    channel.declare(Declare::Queue(&Queue::new(queue)), SOON).unwrap();
    let properties = Properties::new().with_expiration("1");
    let content = Arc::new(Content::new("", queue, "x").with_properties(properties));
    let tag = channel.publish(&Publication::new(&content), SOON).unwrap();
    channel.confirm(tag, SOON).unwrap();
    // The broker compares whole milliseconds, of the clock of this machine.
    let expired_at = SystemTime::now() + Duration::from_millis(2);
    while SystemTime::now() <= expired_at {
        thread::yield_now();
    }
    assert_eq!(channel.get(queue, Acknowledgement::Automatic, SOON).unwrap(), None);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn queue_that_the_user_may_not_use_is_refused() {
    let channel = open(&options("CARROT_TEST_ACTIVEMQ_LIMITED_URL")).unwrap();
    let refused = channel.declare(Declare::Queue(&Queue::new("carrot.test.other")), SOON);
    let error = refused.unwrap_err();
    assert!(matches!(error, Error::AccessRefused { .. }), "{error:?}");
    assert!(matches!(channel.check(), Err(Error::AccessRefused { .. })));
    let channel = open(&options("CARROT_TEST_ACTIVEMQ_LIMITED_URL")).unwrap();
    let content = Content::new("", "limited.carrot", "x");
    assert_eq!(round_trip(&*channel, "limited.carrot", content).body[..], *b"x");
}
