//! The reader thread, which reads while the rest of the program waits.

use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{BasicCancel, ChannelFlow, ConnectionBlocked, Method};
use carrot_core::Error;
use carrot_core::backend::{ChannelOptions, Connector, ConsumeOptions, PublishTag, Role};

use crate::client::{consume, declare, fill, message, opened, opened_with};
use crate::form::{Form, plain_and_tls};
use crate::peer::{Scripted, frame};
use crate::{LONG, SHORT};

plain_and_tls! {
    deliveries_and_questions_arrive_although_the_broker_reads_nothing,
    flow_and_cancel_of_the_broker_are_answered,
    large_frame_on_a_slow_line_keeps_the_connection_and_silence_ends_it,
    silent_broker_loses_the_connection_within_three_heartbeats,
    broker_that_ends_the_socket_loses_the_connection_at_once,
    slow_consumer_delays_no_other,
    deliveries_far_beyond_the_prefetch_end_the_connection,
    deliveries_of_a_second_consumer_process_are_within_the_prefetch,
    flood_of_alarms_keeps_the_connection,
}

const HEARTBEAT: Duration = Duration::from_secs(1);

fn deliveries_and_questions_arrive_although_the_broker_reads_nothing(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::consume());
    let options = ConsumeOptions::with_prefetch(1_000);
    let (subscription, tag) = consume(&*client.channel, &mut client.peer, &options);
    fill(&*client.channel);
    client.peer.send(1, &ChannelFlow { active: true }.into());
    for number in 1..=1_000 {
        client.peer.send_octets(&message(&tag, number, &[7; 1_000]));
    }
    for _ in 0..1_000 {
        assert!(subscription.next(LONG).unwrap().is_some());
    }
    // The answer follows the messages that were sent before it.
    loop {
        let (_, payload) = client.peer.next_method().unwrap();
        match Method::read(&payload).unwrap() {
            Method::BasicPublish(_) => {}
            other => break assert_eq!(other.name(), "channel.flow-ok"),
        }
    }
}

fn flow_and_cancel_of_the_broker_are_answered(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::consume());
    let peer = &mut client.peer;
    let (subscription, tag) = consume(&*client.channel, peer, &ConsumeOptions::default());
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
    client.channel.check().unwrap();
}

fn large_frame_on_a_slow_line_keeps_the_connection_and_silence_ends_it(form: Form) {
    let scripted = Scripted::start(form);
    let options = scripted.options().heartbeat(HEARTBEAT);
    let mut client = opened_with(&scripted, &options, &ChannelOptions::consume());
    let peer = &mut client.peer;
    let (subscription, tag) = consume(&*client.channel, peer, &ConsumeOptions::default());
    let delivery = peer.seal(&message(&tag, 1, b"slow")).unwrap();
    let (slow, rest) = delivery.split_at(4);
    for octet in slow {
        std::io::Write::write_all(&mut peer.socket, &[*octet]).unwrap();
        thread::sleep(HEARTBEAT);
    }
    std::io::Write::write_all(&mut peer.socket, rest).unwrap();
    assert_eq!(subscription.next(LONG).unwrap().unwrap().content.body, b"slow");
    let started = Instant::now();
    let error = subscription.next(LONG).unwrap_err();
    assert!(error.to_string().contains("heartbeat"), "{error}");
    assert!(started.elapsed() < HEARTBEAT * 3, "{:?}", started.elapsed());
}

fn silent_broker_loses_the_connection_within_three_heartbeats(form: Form) {
    let scripted = Scripted::start(form);
    let options = scripted.options().heartbeat(HEARTBEAT).call_timeout(SHORT);
    let mut client = opened_with(&scripted, &options, &ChannelOptions::publish());
    let second = client.second();
    let started = Instant::now();
    // The calls of the meantime end by their own deadline.
    assert!(matches!(declare(&*client.channel).unwrap_err(), Error::Timeout { .. }));
    assert!(started.elapsed() < SHORT * 2, "{:?}", started.elapsed());
    let error = second.confirm(PublishTag(1), LONG).unwrap_err();
    assert!(error.to_string().contains("heartbeat"), "{error}");
    assert!(started.elapsed() > HEARTBEAT * 3 / 2, "{:?}", started.elapsed());
    assert!(started.elapsed() < HEARTBEAT * 3, "{:?}", started.elapsed());
}

fn broker_that_ends_the_socket_loses_the_connection_at_once(form: Form) {
    let scripted = Scripted::start(form);
    let client = opened(&scripted, &ChannelOptions::publish());
    let started = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| declare(&*client.channel));
        drop(client.peer);
        let error = waiting.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
    });
    assert!(started.elapsed() < SHORT * 2, "{:?}", started.elapsed());
}

fn slow_consumer_delays_no_other(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::consume());
    let options = ConsumeOptions::with_prefetch(500);
    let (slow, slow_tag) = consume(&*client.channel, &mut client.peer, &options);
    let (swift, swift_tag) = consume(&*client.channel, &mut client.peer, &options);
    for number in 1..=500 {
        client.peer.send_octets(&message(&slow_tag, 2 * number - 1, &[1; 20_000]));
        client.peer.send_octets(&message(&swift_tag, 2 * number, &[2; 10]));
        assert_eq!(swift.next(LONG).unwrap().unwrap().content.body, [2; 10]);
    }
    for _ in 0..500 {
        assert_eq!(slow.next(LONG).unwrap().unwrap().content.body, [1; 20_000]);
    }
}

fn deliveries_far_beyond_the_prefetch_end_the_connection(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::consume());
    let options = ConsumeOptions::with_prefetch(10);
    let (subscription, tag) = consume(&*client.channel, &mut client.peer, &options);
    for number in 1..=200 {
        if client.peer.try_send_octets(&message(&tag, number, b"too many")).is_err() {
            break;
        }
    }
    let (_, code) = client.peer.receive("connection.close", |method| match method {
        Method::ConnectionClose(close) => close.reply_code,
        _ => 0,
    });
    assert_eq!(code, 506);
    let deadline = Instant::now() + LONG;
    let error = loop {
        assert!(Instant::now() < deadline);
        if let Err(error) = subscription.next(LONG) {
            break error;
        }
    };
    assert!(error.to_string().contains("prefetch"), "{error}");
}

/// A broker that moves a queue to another node counts from zero again.
fn deliveries_of_a_second_consumer_process_are_within_the_prefetch(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::consume());
    let options = ConsumeOptions::with_prefetch(10);
    let (subscription, tag) = consume(&*client.channel, &mut client.peer, &options);
    for number in 1..=20 {
        client.peer.send_octets(&message(&tag, number, b"x"));
    }
    for _ in 1..=20 {
        subscription.next(LONG).unwrap().unwrap();
    }
    client.channel.check().unwrap();
}

fn flood_of_alarms_keeps_the_connection(form: Form) {
    let scripted = Scripted::start(form);
    let connector = scripted.connector();
    thread::scope(|scope| {
        let connecting = scope.spawn(|| connector.connect(Role::Consume, LONG));
        let mut peer = scripted.accept_open();
        connecting.join().unwrap().unwrap();
        // These are many times what waits for amiquip at most.
        let reason = "r".repeat(255);
        peer.flood(&frame(0, &ConnectionBlocked { reason: (&reason).into() }.into()), 5_000);
        peer.flood(&carrot_amqp_wire::HEARTBEAT, 100_000);
        let deadline = Instant::now() + LONG;
        while connector.status(Role::Consume).blocked.is_none() && Instant::now() < deadline {
            thread::yield_now();
        }
        assert!(connector.status(Role::Consume).connected);
    });
}
