//! Checks the events and the status that a connector reports about its connections.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{
    Backend, ChannelOptions, Connector, Content, Declare, Event, Publication, Role, Status,
};
use carrot_core::{ConnectionOptions, Error, Queue};
use crossbeam_channel::{Receiver, unbounded};
use support::fake::{Fake, Script};

const LONG: Duration = Duration::from_secs(20);

fn connector(fake: &Fake) -> Arc<AmqpConnector> {
    let options = ConnectionOptions::new()
        .host("127.0.0.1")
        .port(fake.port())
        .call_timeout(LONG)
        .heartbeat(Duration::from_secs(1));
    Arc::new(AmqpConnector::new(&options).unwrap())
}

fn observe(connector: &AmqpConnector) -> Receiver<Event> {
    let (heard, events) = unbounded();
    connector.observe(Arc::new(move |event: &Event| heard.send(event.clone()).unwrap()));
    events
}

fn open(connector: &AmqpConnector) -> Arc<dyn Backend> {
    connector.open(&ChannelOptions::publish(), LONG).unwrap()
}

/// Publishes a message, which triggers the script of the peer. Ignores a failure, because the peer
/// may act before the whole message was sent.
fn publish(channel: &dyn Backend) {
    let content = Arc::new(Content::new("", "q", "x"));
    let _ = channel.publish(&Publication::new(&content), LONG);
}

fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(LONG).unwrap()
}

/// Drops `connector`, and checks that the event channel closes without a further event.
fn assert_no_more(events: &Receiver<Event>, connector: Arc<AmqpConnector>) {
    drop(connector);
    assert!(matches!(
        events.recv_deadline(Instant::now() + LONG),
        Err(crossbeam_channel::RecvTimeoutError::Disconnected)
    ));
}

fn connected() -> Status {
    Status::new(true, None)
}

#[test]
fn a_loss_is_told_with_its_cause_and_so_is_the_next_connection() {
    let fake = Fake::start(Script::HangsUp);
    let connector = connector(&fake);
    let events = observe(&connector);
    assert_eq!(connector.status(Role::Publish), Status::default());
    for _ in 0..2 {
        let channel = open(&connector);
        assert!(matches!(next(&events), Event::Connected { .. }));
        assert_eq!(connector.status(Role::Publish), connected());
        let error = channel.declare(Declare::Queue(&Queue::new("q")), LONG).unwrap_err();
        let Event::Disconnected { role: Role::Publish, error: told } = next(&events) else {
            panic!()
        };
        assert_eq!(told.to_string(), error.to_string());
        assert_eq!(connector.status(Role::Publish), Status::default());
    }
    assert_no_more(&events, connector);
}

#[test]
fn a_connection_that_is_lost_beside_a_living_one_shows() {
    let fake = Fake::start(Script::HangsUp);
    let connector = connector(&fake);
    let events = observe(&connector);
    let publishing = open(&connector);
    let consuming = connector.open(&ChannelOptions::consume(), LONG).unwrap();
    assert_eq!(connector.status(Role::Publish), connected());
    publish(&*consuming);
    assert!(matches!(
        (next(&events), next(&events)),
        (Event::Connected { .. }, Event::Connected { .. })
    ));
    assert!(matches!(next(&events), Event::Disconnected { role: Role::Consume, .. }));
    assert!(!connector.status(Role::Consume).connected);
    assert_eq!(connector.status(Role::Publish), connected());
    drop(consuming);
    let _consuming = connector.open(&ChannelOptions::consume(), LONG).unwrap();
    assert_eq!(connector.status(Role::Consume), connected());
    drop(publishing);
}

#[test]
fn what_this_program_closes_is_not_told() {
    let fake = Fake::start(Script::OpensChannels);
    let connector = connector(&fake);
    let events = observe(&connector);
    let channel = open(&connector);
    assert!(matches!(next(&events), Event::Connected { .. }));
    // `close` cuts the connection at the deadline, because the peer does not reply.
    assert!(matches!(connector.close(Duration::from_millis(200)), Err(Error::Timeout { .. })));
    assert_eq!(connector.status(Role::Publish), Status::default());
    drop(channel);
    assert_no_more(&events, connector);
}

#[test]
fn an_alarm_and_its_end_are_told() {
    let fake = Fake::start(Script::BlocksAndUnblocks);
    let connector = connector(&fake);
    let events = observe(&connector);
    let channel = open(&connector);
    assert!(matches!(next(&events), Event::Connected { .. }));
    publish(&*channel);
    assert!(
        matches!(next(&events), Event::Blocked { role: Role::Publish, reason } if reason == "low memory")
    );
    assert_eq!(connector.status(Role::Publish), Status::new(true, Some("low memory".into())));
    publish(&*channel);
    assert!(matches!(next(&events), Event::Unblocked { role: Role::Publish }));
    assert_eq!(connector.status(Role::Publish), connected());
}

#[test]
fn an_observer_may_panic_and_may_call_the_connector() {
    let fake = Fake::start(Script::HangsUp);
    let connector = connector(&fake);
    let (heard, events) = unbounded();
    connector.observe(Arc::new(|_: &Event| panic!("an observer panics; this is part of the test")));
    let again = Arc::downgrade(&connector);
    connector.observe(Arc::new(move |event: &Event| {
        let Some(connector) = again.upgrade() else { return };
        let status = connector.status(Role::Publish);
        let opened = connector.open(&ChannelOptions::publish(), LONG);
        connector.observe(Arc::new(|_: &Event| {}));
        heard.send((event.clone(), status, opened)).unwrap();
    }));
    let channel = open(&connector);
    let (event, status, opened) = events.recv_timeout(LONG).unwrap();
    assert!(matches!(event, Event::Connected { .. }) && opened.is_ok());
    assert_eq!(status, connected());
    publish(&*channel);
    let (event, status, opened) = events.recv_timeout(LONG).unwrap();
    assert!(matches!(event, Event::Disconnected { .. }) && opened.is_ok(), "{opened:?}");
    assert_eq!(status, Status::default());
    let (event, ..) = events.recv_timeout(LONG).unwrap();
    assert!(matches!(event, Event::Connected { .. }));
    connector.close(Duration::from_millis(200)).unwrap_or_default();
}

#[test]
fn an_observer_that_waits_holds_no_deadline_up() {
    let fake = Fake::start(Script::OpensChannels);
    let options = ConnectionOptions::new()
        .host("127.0.0.1")
        .port(fake.port())
        .call_timeout(Duration::from_millis(200));
    let connector = AmqpConnector::new(&options).unwrap();
    let (release, held) = unbounded::<()>();
    connector.observe(Arc::new(move |_: &Event| held.recv().unwrap_or_default()));
    let error = open(&connector).declare(Declare::Queue(&Queue::new("q")), LONG).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    drop(release);
}
