//! Checks that every call returns by its deadline when the peer misbehaves.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete,
    DeleteIf, DeliveryTag, Extent, Publication, PublishTag,
};
use carrot_core::{ConnectionOptions, Error, Queue, Result};
use support::fake::{Fake, Script};

/// Deadline of the calls under test.
const DEADLINE: Duration = Duration::from_secs(1);
/// Time that a slow machine may add to [`DEADLINE`].
const SLACK: Duration = Duration::from_millis(1500);
/// Deadline that no call should reach.
const LONG: Duration = Duration::from_secs(60);

fn options(port: u16) -> ConnectionOptions {
    ConnectionOptions::new()
        .host("127.0.0.1")
        .port(port)
        .call_timeout(DEADLINE)
        .heartbeat(Duration::from_secs(1))
}

fn connector(port: u16) -> AmqpConnector {
    AmqpConnector::new(&options(port)).unwrap()
}

/// Runs `call`, and checks that `call` returns within [`DEADLINE`] plus [`SLACK`].
fn in_time<T>(call: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = call();
    let took = started.elapsed();
    assert!(took < DEADLINE + SLACK, "took {took:?}");
    result
}

fn at_once<T>(call: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = call();
    let took = started.elapsed();
    assert!(took < DEADLINE / 2, "took {took:?}");
    result
}

fn open(connector: &AmqpConnector) -> Result<Arc<dyn Backend>> {
    connector.open(&ChannelOptions::publish(), DEADLINE)
}

fn opened(script: Script) -> (Fake, AmqpConnector, Arc<dyn Backend>) {
    let fake = Fake::start(script);
    let connector = connector(fake.port());
    let channel = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    (fake, connector, channel)
}

fn declare(channel: &dyn Backend) -> Result<()> {
    channel.declare(Declare::Queue(&Queue::new("q")), LONG).map(drop)
}

fn publish(channel: &dyn Backend, size: usize) -> Result<PublishTag> {
    let content = Arc::new(Content::new("", "q", vec![0; size]));
    channel.publish(&Publication::new(&content), DEADLINE)
}

fn assert_timeout(error: &Error) {
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
}

#[test]
fn a_call_that_times_out_costs_its_channel_only() {
    let (_fake, connector, channel) = opened(Script::OpensChannels);
    let neighbour = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    assert_timeout(&in_time(|| declare(&*channel)).unwrap_err());
    assert_timeout(&channel.check().unwrap_err());
    neighbour.check().unwrap();
    publish(&*neighbour, 10).unwrap();
    connector.open(&ChannelOptions::publish(), LONG).unwrap();
}

#[test]
fn a_routing_key_that_is_not_utf8_is_delivered() {
    let (fake, connector, channel) = opened(Script::Garbles);
    let neighbour = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    let subscription = channel.consume("q", &ConsumeOptions::default(), LONG).unwrap();
    let delivery = in_time(|| subscription.next(LONG)).unwrap().unwrap();
    assert_eq!(delivery.content.routing_key.as_bytes(), b"\xff\xfe");
    assert_eq!(delivery.unreadable, None);
    let got = in_time(|| neighbour.get("q", Acknowledgement::Manual, LONG)).unwrap().unwrap();
    assert_eq!(got.content.routing_key.as_bytes(), b"\xff\xfe");
    assert_eq!(fake.ended(), 0);
}

#[test]
fn an_unreadable_header_costs_its_message_only() {
    let (fake, _connector, channel) = opened(Script::Nests);
    let subscription = channel.consume("q", &ConsumeOptions::default(), LONG).unwrap();
    let delivery = in_time(|| subscription.next(LONG)).unwrap().unwrap();
    let reason = delivery.unreadable.unwrap();
    assert!(reason.contains("more than 128 levels"), "{reason}");
    assert!(delivery.content.properties.headers().is_none());
    assert_eq!(delivery.content.body, b"x");
    assert_eq!(fake.ended(), 0);
}

#[test]
fn an_announced_body_of_64_tib_ends_the_connection() {
    let (_fake, _connector, channel) = opened(Script::Exaggerates);
    let subscription = channel.consume("q", &ConsumeOptions::default(), LONG).unwrap();
    let error = in_time(|| subscription.next(LONG)).unwrap_err();
    assert_disconnected(&error);
    assert!(error.to_string().contains("a body of 70368744177664 bytes"), "{error}");
}

fn assert_disconnected(error: &Error) {
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
}

#[test]
fn a_peer_that_never_finishes_the_handshake_is_a_timeout() {
    for script in [Script::Mute, Script::Greets, Script::Trickles] {
        let fake = Fake::start(script);
        let connector = connector(fake.port());
        let error = in_time(|| open(&connector)).unwrap_err();
        assert!(
            matches!(&error, Error::Timeout { after, .. } if *after <= DEADLINE),
            "{script:?}: {error:?}"
        );
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        at_once(|| drop(connector));
    }
}

#[test]
fn the_connect_timeout_holds_within_a_longer_one() {
    let fake = Fake::start(Script::Mute);
    let connector = AmqpConnector::new(&options(fake.port()).connect_timeout(DEADLINE)).unwrap();
    assert_timeout(&in_time(|| connector.open(&ChannelOptions::consume(), LONG)).unwrap_err());
}

#[test]
#[cfg(feature = "tls")]
fn a_peer_that_never_finishes_the_tls_handshake_is_a_timeout() {
    let fake = Fake::start(Script::Mute);
    let options = options(fake.port()).tls(carrot_core::TlsOptions::new());
    let connector = AmqpConnector::new(&options).unwrap();
    assert_timeout(&in_time(|| open(&connector)).unwrap_err());
}

/// Reading the roots of the platform may take longer than [`DEADLINE`].
#[test]
#[cfg(feature = "tls")]
fn a_peer_without_tls_is_told_apart() {
    let fake = Fake::start(Script::SpeaksHttp);
    let options = options(fake.port()).tls(carrot_core::TlsOptions::new());
    let connector = AmqpConnector::new(&options).unwrap();
    let error = connector.open(&ChannelOptions::publish(), LONG).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
}

#[test]
fn a_peer_that_is_no_broker_is_told_apart() {
    let fake = Fake::start(Script::SpeaksHttp);
    let error = in_time(|| open(&connector(fake.port()))).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
}

#[test]
fn a_refused_port_is_told_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = at_once(|| open(&connector(port))).unwrap_err();
    assert!(
        matches!(&error, Error::Connect { endpoint, .. } if endpoint.ends_with(&port.to_string())),
        "{error:?}"
    );
    assert!(error.is_retryable());
}

#[test]
fn a_name_that_does_not_exist_is_told() {
    let options = ConnectionOptions::new().host("no-such-host.invalid");
    let error =
        AmqpConnector::new(&options).unwrap().open(&ChannelOptions::publish(), LONG).unwrap_err();
    assert!(
        matches!(&error, Error::Connect { endpoint, .. } if endpoint == "no-such-host.invalid:5672"),
        "{error:?}"
    );
}

/// Returns a listener whose backlog is full. The listener drops every further connection request,
/// like an unreachable address.
fn black_hole() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut filling = Vec::new();
    while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        filling.push(socket);
        assert!(filling.len() < 64, "the backlog has no end");
    }
    (listener, filling, address)
}

#[test]
fn an_address_that_does_not_answer_is_a_timeout() {
    let (_listener, _filling, address) = black_hole();
    assert_timeout(&in_time(|| open(&connector(address.port()))).unwrap_err());
}

#[test]
fn a_dead_address_leaves_time_for_the_next() {
    let (_listener, _filling, dead) = black_hole();
    let mute = Fake::start(Script::Mute);
    let fake = Fake::start(Script::OpensChannels);
    let options = options(dead.port())
        .add_host(("127.0.0.1", mute.port()))
        .add_host(("127.0.0.1", fake.port()));
    let connector = AmqpConnector::new(&options).unwrap();
    connector.open(&ChannelOptions::publish(), Duration::from_secs(3)).unwrap();
}

#[test]
fn a_silent_broker_ends_every_call_at_its_deadline() {
    type Call = fn(&dyn Backend) -> Result<()>;
    let calls: [Call; 5] = [
        declare,
        |channel| {
            channel.delete(Delete::Queue { name: "q", condition: DeleteIf::ALWAYS }, LONG).map(drop)
        },
        |channel| channel.get("q", Acknowledgement::Manual, LONG).map(drop),
        |channel| channel.consume("q", &ConsumeOptions::default(), LONG).map(drop),
        |channel| {
            // The channel behaves the same on a separate thread.
            assert_timeout(&channel.consume("q", &ConsumeOptions::default(), LONG).unwrap_err());
            declare(channel)
        },
    ];
    for call in calls {
        let (_fake, connector, channel) = opened(Script::OpensChannels);
        assert_timeout(&in_time(|| call(&*channel)).unwrap_err());
        assert_timeout(&at_once(|| declare(&*channel)).unwrap_err());
        assert_timeout(&at_once(|| channel.confirm(PublishTag(1), LONG)).unwrap_err());
        assert!(matches!(
            at_once(|| channel.ack(DeliveryTag(1), Extent::One)).unwrap_err(),
            Error::Stale { source: Some(_) }
        ));
        at_once(|| channel.close(LONG)).unwrap();
        at_once(|| drop(channel));
        at_once(|| drop(connector));
    }
}

#[test]
fn a_confirm_that_does_not_come_is_a_timeout_and_can_be_asked_for_again() {
    let (_fake, _connector, channel) = opened(Script::OpensChannels);
    let tag = publish(&*channel, 10).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope
                .spawn(|| assert_timeout(&in_time(|| channel.confirm(tag, DEADLINE)).unwrap_err()));
        }
    });
    assert_eq!(publish(&*channel, 10).unwrap(), PublishTag(2));
}

#[test]
fn closing_and_dropping_do_not_wait_for_a_silent_broker() {
    let fake = Fake::start(Script::OpensChannels);
    // With a call timeout equal to the deadline, the watchdog would race the deadline to cut the
    // connection.
    let connector =
        AmqpConnector::new(&options(fake.port()).call_timeout(LONG).heartbeat(LONG)).unwrap();
    let channel = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    let other = connector.open(&ChannelOptions::consume(), LONG).unwrap();
    assert_timeout(&in_time(|| channel.close(DEADLINE)).unwrap_err());
    assert!(matches!(declare(&*channel).unwrap_err(), Error::Closed { .. }));
    at_once(|| channel.close(LONG)).unwrap();
    at_once(|| drop(channel));
    assert_timeout(&in_time(|| connector.close(DEADLINE)).unwrap_err());
    assert!(matches!(at_once(|| declare(&*other)).unwrap_err(), Error::Closed { .. }));
    at_once(|| connector.close(LONG)).unwrap();
}

#[test]
fn dropping_everything_at_once_does_not_wait() {
    let (_fake, connector, channel) = opened(Script::OpensChannels);
    let tag = publish(&*channel, 10).unwrap();
    assert_timeout(&channel.confirm(tag, Duration::ZERO).unwrap_err());
    at_once(|| drop((connector, channel)));
}

#[test]
fn closing_interrupts_an_open_under_way() {
    let fake = Fake::start(Script::Mute);
    let connector = connector(fake.port());
    thread::scope(|scope| {
        let opening = scope.spawn(|| connector.open(&ChannelOptions::publish(), LONG));
        let deadline = Instant::now() + Duration::from_secs(5);
        while !opening.is_finished() {
            // `close` ends the attempt to connect, whether called before or during the attempt.
            connector.close(LONG).unwrap();
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
        assert!(matches!(opening.join().unwrap().unwrap_err(), Error::Closed { .. }));
    });
}

#[test]
fn a_broker_that_stops_reading_stops_publishers_within_bounds() {
    const SIZE: usize = 100_000;
    let fake = Fake::start(Script::StopsReading);
    // The deadline of a publish does not depend on the call timeout or the heartbeat.
    let connector =
        AmqpConnector::new(&options(fake.port()).call_timeout(LONG).heartbeat(LONG)).unwrap();
    let channel = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    let mut handed_over = 0;
    // The buffer of a socket may still grow after the first failure.
    for _ in 0..2 {
        let error = loop {
            match in_time(|| publish(&*channel, SIZE)) {
                Ok(_) => handed_over += SIZE,
                Err(error) => break error,
            }
            assert!(handed_over < 64 << 20, "memory has no bound");
        };
        assert_timeout(&error);
    }
    at_once(|| drop((channel, connector)));
}

#[test]
fn a_hang_up_is_told_to_every_call_with_its_cause() {
    let (_fake, connector, channel) = opened(Script::HangsUp);
    let neighbour = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| neighbour.confirm(PublishTag(1), LONG));
        assert_disconnected(&in_time(|| declare(&*channel)).unwrap_err());
        assert_disconnected(&in_time(|| waiting.join().unwrap()).unwrap_err());
    });
    assert_disconnected(&at_once(|| declare(&*channel)).unwrap_err());
    assert_disconnected(&at_once(|| publish(&*channel, 1)).unwrap_err());
}

#[test]
fn the_words_of_a_broker_that_closes_are_kept() {
    let (_fake, connector, channel) = opened(Script::Dismisses);
    let neighbour = connector.open(&ChannelOptions::publish(), LONG).unwrap();
    for channel in [&channel, &neighbour] {
        let error = in_time(|| declare(&**channel)).unwrap_err();
        assert!(
            matches!(&error, Error::Disconnected { reason, .. } if reason.contains("320 CONNECTION_FORCED - go away")),
            "{error:?}"
        );
    }
}

#[test]
fn an_alarm_is_told_instead_of_a_timeout() {
    let (_fake, _connector, channel) = opened(Script::Blocks);
    let tag = publish(&*channel, 10).unwrap();
    let error = in_time(|| channel.confirm(tag, DEADLINE)).unwrap_err();
    assert!(matches!(&error, Error::Blocked { reason } if reason == "low memory"), "{error:?}");
    let error = in_time(|| declare(&*channel)).unwrap_err();
    assert!(matches!(&error, Error::Blocked { .. }), "{error:?}");
    // The channel stays unusable, even if the alarm ends.
    assert_timeout(&at_once(|| declare(&*channel)).unwrap_err());
}
