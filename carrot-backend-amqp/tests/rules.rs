//! Checks the rules of the driver against a broker that each test plays frame by frame.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "support/scripted.rs"]
mod scripted;

use std::io::Write;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    Arguments, BasicAck, BasicCancel, BasicConsumeOk, BasicDeliver, ChannelFlow, ConnectionBlocked,
    ConnectionClose, FrameWriter, Method, PropertiesRef, QueueDeclareOk, ShortStr,
};
use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{
    Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Outcome, Publication,
    Role, Subscription,
};
use carrot_core::{Error, Headers, Queue, Value};
use scripted::{Peer, Scripted, start, tune};

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

/// Opens a channel, and returns it with the side of the broker.
fn opened(
    scripted: &Scripted,
    options: &ChannelOptions,
) -> (AmqpConnector, Arc<dyn Backend>, Peer) {
    let connector = scripted.connector();
    let (channel, peer) = thread::scope(|scope| {
        let opening = scope.spawn(|| connector.open(options, LONG).unwrap());
        let mut peer = scripted.accept_open();
        peer.open_channel(options.confirms);
        (opening.join().unwrap(), peer)
    });
    (connector, channel, peer)
}

fn publish(channel: &dyn Backend) -> carrot_core::Result<carrot_core::backend::PublishTag> {
    let content = Arc::new(Content::new("", "q", "x"));
    channel.publish(&Publication::new(&content), SHORT)
}

/// Starts a consumer, and returns its tag.
fn consume(channel: &dyn Backend, peer: &mut Peer) -> (Box<dyn Subscription>, String) {
    thread::scope(|scope| {
        let consuming =
            scope.spawn(|| channel.consume("q", &ConsumeOptions::default(), LONG).unwrap());
        peer.receive("basic.qos", |_| ());
        peer.send(1, &Method::BasicQosOk);
        let (_, tag) = peer.receive("basic.consume", |method| match method {
            Method::BasicConsume(consume) => consume.consumer_tag.to_string(),
            _ => String::new(),
        });
        peer.send(1, &BasicConsumeOk { consumer_tag: (&tag).into() }.into());
        (consuming.join().unwrap(), tag)
    })
}

fn deliver(tag: &str, number: u64) -> Method<'_> {
    let delivery = BasicDeliver {
        consumer_tag: tag.into(),
        delivery_tag: number,
        routing_key: "q".into(),
        ..BasicDeliver::default()
    };
    delivery.into()
}

fn message(tag: &str, number: u64, body: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut writer = FrameWriter::new(&mut octets, 1, 131_072);
    writer.content(&deliver(tag, number), &PropertiesRef::default(), body).unwrap();
    octets
}

#[test]
fn flow_and_cancel_of_the_broker_are_answered() {
    let scripted = Scripted::start();
    let (_connector, channel, mut peer) = opened(&scripted, &ChannelOptions::consume());
    let (subscription, tag) = consume(&*channel, &mut peer);
    for active in [false, true] {
        peer.send(1, &ChannelFlow { active }.into());
        let (_, answered) = peer.receive("channel.flow-ok", |method| match method {
            Method::ChannelFlowOk(flow_ok) => flow_ok.active,
            _ => !active,
        });
        assert_eq!(answered, active);
    }
    peer.send_octets(&message(&tag, 1, b"last"));
    peer.send(1, &BasicCancel { consumer_tag: (&tag).into(), no_wait: false }.into());
    peer.receive("basic.cancel-ok", |_| ());
    assert_eq!(subscription.next(LONG).unwrap().unwrap().content.body, b"last");
    assert!(matches!(subscription.next(LONG).unwrap_err(), Error::Cancelled { .. }));
    channel.check().unwrap();
}

#[test]
fn a_multiple_confirm_of_tag_zero_means_all() {
    let scripted = Scripted::start();
    let (_connector, channel, mut peer) = opened(&scripted, &ChannelOptions::publish());
    let tags = [(); 3].map(|()| publish(&*channel).unwrap());
    for _ in 0..3 {
        peer.receive("basic.publish", |_| ());
    }
    peer.send(1, &BasicAck { delivery_tag: 0, multiple: true }.into());
    for tag in tags {
        assert_eq!(channel.confirm(tag, LONG).unwrap(), Outcome::Accepted);
    }
}

#[test]
fn nothing_but_close_ok_follows_a_close_whose_text_is_not_utf8() {
    let scripted = Scripted::start();
    let (_connector, channel, mut peer) = opened(&scripted, &ChannelOptions::publish());
    let close = ConnectionClose {
        reply_code: 320,
        reply_text: ShortStr::new(b"caf\xe9 closed"),
        ..ConnectionClose::default()
    };
    peer.send(0, &close.into());
    let error = channel.confirm(carrot_core::backend::PublishTag(1), LONG).unwrap_err();
    assert!(error.to_string().contains("320 caf\u{fffd} closed"), "{error}");
    assert!(publish(&*channel).is_err());
    let first = peer.next_method();
    assert!(
        first
            .as_ref()
            .is_some_and(|(channel, payload)| *channel == 0 && payload == &[0, 10, 0, 51]),
        "{first:?}"
    );
    assert_eq!(peer.next_method(), None);
}

#[test]
fn a_late_answer_is_dropped_and_the_number_is_free_at_close_ok() {
    let scripted = Scripted::start();
    let connector =
        AmqpConnector::new(&scripted.options().call_timeout(SHORT).channel_max(3)).unwrap();
    let open = || connector.open(&ChannelOptions::consume(), SHORT);
    thread::scope(|scope| {
        let opening = scope.spawn(open);
        let mut peer = scripted.accept_open();
        assert_eq!(peer.open_channel(false), 1);
        let first = opening.join().unwrap().unwrap();
        let declared = first.declare(Declare::Queue(&Queue::new("q")), LONG);
        assert!(matches!(declared.unwrap_err(), Error::Timeout { .. }));
        peer.receive("queue.declare", |_| ());
        peer.receive("channel.close", |_| ());
        let mut others = Vec::new();
        for number in [2, 3] {
            let opening = scope.spawn(open);
            assert_eq!(peer.open_channel(false), number);
            others.push(opening.join().unwrap().unwrap());
        }
        assert!(matches!(open().unwrap_err(), Error::Timeout { .. }));
        peer.send(1, &QueueDeclareOk::default().into());
        peer.send(1, &Method::ChannelCloseOk);
        let opening = scope.spawn(open);
        assert_eq!(peer.open_channel(false), 1);
        others.push(opening.join().unwrap().unwrap());
        assert!(others.iter().all(|channel| channel.check().is_ok()));
    });
}

#[test]
fn a_connection_whose_channels_time_out_one_by_one_is_given_up() {
    let scripted = Scripted::start();
    let connector =
        AmqpConnector::new(&scripted.options().call_timeout(SHORT).channel_max(4)).unwrap();
    let open = || connector.open(&ChannelOptions::consume(), LONG).unwrap();
    thread::scope(|scope| {
        let opening = scope.spawn(open);
        let mut peer = scripted.accept_open();
        peer.open_channel(false);
        let first = opening.join().unwrap();
        let opening = scope.spawn(open);
        peer.open_channel(false);
        let second = opening.join().unwrap();
        for channel in [&first, &second] {
            assert!(connector.status(Role::Consume).connected);
            channel.declare(Declare::Queue(&Queue::new("q")), LONG).unwrap_err();
        }
        assert!(!connector.status(Role::Consume).connected);
    });
}

#[test]
fn a_large_frame_on_a_slow_line_keeps_the_connection_and_silence_ends_it() {
    let scripted = Scripted::start();
    let connector =
        AmqpConnector::new(&scripted.options().heartbeat(Duration::from_secs(1))).unwrap();
    let (channel, mut peer) = thread::scope(|scope| {
        let opening = scope.spawn(|| connector.open(&ChannelOptions::consume(), LONG).unwrap());
        let mut peer = scripted.accept_with(tune(0, 0));
        peer.open_channel(false);
        (opening.join().unwrap(), peer)
    });
    let (subscription, tag) = consume(&*channel, &mut peer);
    for octet in message(&tag, 1, b"slow") {
        peer.socket.write_all(&[octet]).unwrap();
        thread::sleep(Duration::from_millis(70));
    }
    assert_eq!(subscription.next(LONG).unwrap().unwrap().content.body, b"slow");
    let started = Instant::now();
    let error = subscription.next(LONG).unwrap_err();
    assert!(error.to_string().contains("heartbeat"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn frames_out_of_limits_end_the_connection_with_a_reason() {
    let too_large = [3, 0, 1, 0xff, 0xff, 0xff, 0xff];
    let wrong_end = [8, 0, 0, 0, 0, 0, 0, 0xcd];
    let body_without_header = [3, 0, 1, 0, 0, 0, 1, b'x', 0xce];
    let unknown_method = [1, 0, 1, 0, 0, 0, 4, 0, 99, 0, 99, 0xce];
    for (octets, code) in [
        (&too_large[..], 501),
        (&wrong_end, 501),
        (&body_without_header, 505),
        (&unknown_method, 540),
    ] {
        let scripted = Scripted::start();
        let (_connector, channel, mut peer) = opened(&scripted, &ChannelOptions::consume());
        peer.send_octets(octets);
        let (_, sent) = peer.receive("connection.close", |method| match method {
            Method::ConnectionClose(close) => close.reply_code,
            _ => 0,
        });
        assert_eq!(sent, code);
        let error = channel.declare(Declare::Queue(&Queue::new("q")), LONG).unwrap_err();
        assert!(matches!(&error, Error::Disconnected { .. }), "{error:?}");
    }
}

#[test]
fn server_properties_that_amiquip_cannot_read_do_no_harm() {
    let scripted = Scripted::start();
    let connector = scripted.connector();
    let mut nested = Headers::new();
    for _ in 0..100 {
        let mut outer = Headers::new();
        outer.insert("t", Value::Table(nested));
        nested = outer;
    }
    nested.insert("product", "RabbitMQ");
    nested.insert("version", "4.3.0");
    nested.insert("latin", Value::Bytes(b"caf\xe9".to_vec()));
    thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
        let mut peer = scripted.accept();
        peer.send(0, &start(Arguments::from(&nested)));
        peer.receive("connection.start-ok", |_| ());
        peer.send(0, &tune(0, 0).into());
        let (_, heartbeat) = peer.receive("connection.tune-ok", |method| match method {
            Method::ConnectionTuneOk(tuned) => tuned.heartbeat,
            _ => 0,
        });
        assert_eq!(heartbeat, 10, "the broker proposed none");
        peer.receive("connection.open", |_| ());
        peer.send(0, &carrot_amqp_wire::ConnectionOpenOk {}.into());
        connecting.join().unwrap().unwrap();
        assert!(connector.capabilities().default_delivery_limit);
        // Frames of channel 0 that amiquip need not see are many times its limit.
        let reason = "r".repeat(255);
        for _ in 0..5_000 {
            peer.send(0, &ConnectionBlocked { reason: (&reason).into() }.into());
        }
        let deadline = Instant::now() + LONG;
        while connector.status(Role::Consume).blocked.is_none() && Instant::now() < deadline {
            thread::yield_now();
        }
        assert!(connector.status(Role::Consume).connected);
    });
}

#[test]
fn refused_credentials_are_told_in_one_round_trip() {
    let scripted = Scripted::start();
    let connector = scripted.connector();
    thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
        let mut peer = scripted.accept();
        peer.greet();
        peer.receive("connection.start-ok", |_| ());
        let started = Instant::now();
        let close = ConnectionClose {
            reply_code: 403,
            reply_text: "ACCESS_REFUSED".into(),
            ..ConnectionClose::default()
        };
        peer.send(0, &close.into());
        peer.receive("connection.close-ok", |_| ());
        let error = connecting.join().unwrap().unwrap_err();
        assert!(
            matches!(&error, Error::Authentication { reason, .. } if reason.contains("ACCESS_REFUSED")),
            "{error:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    });
}

#[test]
fn deliveries_arrive_although_the_broker_reads_nothing() {
    let scripted = Scripted::start();
    let (_connector, channel, mut peer) = opened(&scripted, &ChannelOptions::consume());
    let (subscription, tag) = consume(&*channel, &mut peer);
    let content = Arc::new(Content::new("", "q", vec![0; 1 << 20]));
    while channel.publish(&Publication::new(&content), SHORT).is_ok() {}
    for number in 1..=1_000 {
        peer.send_octets(&message(&tag, number, &[7; 1_000]));
    }
    for _ in 0..1_000 {
        assert!(subscription.next(LONG).unwrap().is_some());
    }
}

#[test]
fn a_dropped_connection_ends_within_the_call_timeout() {
    let scripted = Scripted::start();
    let connector = AmqpConnector::new(&scripted.options().call_timeout(SHORT)).unwrap();
    let mut peer = thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG).unwrap());
        let peer = scripted.accept_open();
        connecting.join().unwrap();
        peer
    });
    let started = Instant::now();
    drop(connector);
    assert!(started.elapsed() < SHORT);
    peer.receive("connection.close", |_| ());
    assert_eq!(peer.next_method(), None);
    assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
}

/// amiquip's thread panics if both sides close in the same moment.
#[test]
fn closes_of_both_sides_that_cross_end_without_a_panic() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some("amiquip-io") {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        report(info);
    }));
    let scripted = Scripted::start();
    for round in 0..200 {
        let connector = scripted.connector();
        thread::scope(|scope| {
            let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG).unwrap());
            let mut peer = scripted.accept_open();
            connecting.join().unwrap();
            let closing = scope.spawn(|| connector.close(LONG));
            let until = Instant::now() + Duration::from_micros(round);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            let close = ConnectionClose { reply_code: 320, ..ConnectionClose::default() };
            peer.send(0, &close.into());
            // The client sends connection.close, close-ok, or both.
            while peer.next_method().is_some_and(|(_, payload)| payload != [0, 10, 0, 51]) {}
            drop(peer);
            closing.join().unwrap().unwrap();
        });
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

#[test]
fn a_close_of_the_connection_while_a_channel_opens_is_reported() {
    let scripted = Scripted::start();
    for _ in 0..50 {
        let connector = scripted.connector();
        thread::scope(|scope| {
            let opening = scope.spawn(|| connector.open(&ChannelOptions::publish(), LONG));
            let mut peer = scripted.accept_open();
            peer.receive("channel.open", |_| ());
            let close = ConnectionClose {
                reply_code: 504,
                reply_text: "CHANNEL_ERROR".into(),
                class_id: 20,
                method_id: 10,
            };
            peer.send(0, &close.into());
            while peer.next_method().is_some_and(|(_, payload)| payload != [0, 10, 0, 51]) {}
            drop(peer);
            let error = opening.join().unwrap().unwrap_err();
            assert!(matches!(error, Error::HardError { code: 504, .. }), "{error:?}");
        });
    }
}
