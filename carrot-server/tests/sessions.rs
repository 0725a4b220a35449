//! Frames in every form, slow readers, many connections, and the end of a server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each file of tests uses a part of the support")]

mod support;

use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    BasicAck, BasicGet, BasicPublish, BasicQos, ChannelClose, ChannelOpen, ConfirmSelect,
    FrameWriter, Method, QueueDelete,
};
use carrot_backend_memory::{Broker, ManualClock};
use carrot_core::{Error, RabbitMqRelease};
use carrot_server::Server;

use crate::support::{RawClient, SOON};

fn served() -> (Broker, Server) {
    let broker = Broker::new();
    let server = Server::bind("127.0.0.1:0", &broker).unwrap();
    (broker, server)
}

/// Waits until a condition holds.
fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen within {SOON:?}: {what}");
        std::thread::yield_now();
    }
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![kind];
    octets.extend(channel.to_be_bytes());
    octets.extend((payload.len() as u32).to_be_bytes());
    octets.extend(payload);
    octets.push(0xCE);
    octets
}

fn method(channel: u16, class: u16, number: u16, fields: &[u8]) -> Vec<u8> {
    let head = [class.to_be_bytes(), number.to_be_bytes()].concat();
    frame(1, channel, &[&head, fields].concat())
}

#[test]
fn malformed_frames_are_answered_with_a_close_and_its_code() {
    let (_, server) = served();
    let publish = || method(1, 60, 40, b"\0\0\0\0\0");
    let header = |size: u8| frame(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, size, 0, 0]);
    for (name, octets, expected) in [
        ("unknown type", frame(5, 1, b"xx"), "501"),
        ("wrong end", [&frame(1, 1, b"\0\x3c\0\x0b")[..11], b"\0"].concat(), "501"),
        ("too large", vec![1, 0, 1, 0xff, 0xff, 0xff, 0xff], "501"),
        ("heartbeat with a payload", frame(8, 0, b"x"), "501"),
        ("unknown method", method(1, 60, 99, b""), "503"),
        ("method of a broker", method(1, 60, 11, b""), "503"),
        ("truncated fields", method(1, 50, 10, b"\0\0\x05ab"), "501"),
        ("octets after the fields", method(1, 60, 110, b"\x01\x01"), "501"),
        ("too short for a method", frame(1, 1, b"\0"), "501"),
        ("malformed table", method(1, 50, 10, b"\0\0\x01q\0\0\0\0\x03\x01a?"), "501"),
        ("name that is not UTF-8", method(1, 50, 10, b"\0\0\x01\xff\0\0\0\0\0"), "501"),
        ("header without a publication", header(0), "505"),
        ("body without a publication", frame(3, 1, b"x"), "505"),
        ("method instead of a header", [publish(), method(1, 60, 110, b"\x01")].concat(), "505"),
        ("method instead of a body", [publish(), header(2), publish()].concat(), "505"),
        ("body beyond its size", [publish(), header(1), frame(3, 1, b"xy")].concat(), "501"),
        (
            "malformed properties",
            [publish(), frame(2, 1, b"\0\x3c\0\0\0\0\0\0\0\0\0\0\x80\0\x09x")].concat(),
            "541",
        ),
        ("method on a channel that is not open", method(2, 60, 110, b"\x01"), "504"),
        ("body on a channel that is not open", frame(3, 2, b"x"), "505"),
        ("second channel.open", method(1, 20, 10, b"\0"), "504"),
        ("method of a channel on channel 0", method(0, 60, 110, b"\x01"), "504"),
        ("header on channel 0", frame(2, 0, b"x"), "505"),
        ("channel.flow that stops", method(1, 20, 20, b"\0"), "540"),
        ("immediate", [method(1, 60, 40, b"\0\0\0\0\x02"), header(0)].concat(), "540"),
        ("heartbeat on a channel", frame(8, 1, b""), "505"),
        ("channel.close-ok on an open channel", method(1, 20, 41, b""), "503"),
        ("channel.flow-ok", method(1, 20, 21, b"\x01"), "503"),
        ("malformed method of the connection", method(0, 10, 50, b"\0"), "541"),
        (
            "content after a method of a broker",
            [method(1, 60, 60, b"\x01t\0\0\0\0\0\0\0\x01\0\0\x01q"), header(0)].concat(),
            "503",
        ),
        ("prefetch in bytes", method(1, 60, 10, b"\0\0\0\x01\0\0\0"), "540"),
    ] {
        let mut client = RawClient::open(server.address());
        client.send(&octets);
        let seen = client.next();
        assert!(seen.starts_with(&format!("connection.close {expected} ")), "{name}: {seen}");
        // A server that could find no frame any more waits for the end only.
        client.method(0, Method::ConnectionCloseOk);
        drop(client);
    }
    RawClient::open(server.address()).close();
    server.stop(SOON).unwrap();
}

#[test]
fn handshake_out_of_order_ends_the_connection() {
    let (_, server) = served();
    for octets in [
        method(0, 10, 51, b""),
        method(0, 10, 50, b"\0\xc8\0\0\0\0\0"),
        method(1, 20, 10, b"\0"),
        frame(3, 1, b"x"),
        method(0, 10, 11, b"\xff"),
    ] {
        let mut client = RawClient::connect(server.address());
        client.send(b"AMQP\0\0\x09\x01");
        assert!(client.next().starts_with("connection.start"));
        client.send(&octets);
        assert_eq!(client.next(), "end", "{octets:?}");
    }
}

#[test]
fn message_on_a_channel_that_is_not_open_is_refused_when_it_is_complete() {
    let (_, server) = served();
    let mut client = RawClient::open(server.address());
    client.send(&method(2, 60, 40, b"\0\0\0\0\0"));
    client.declare("q");
    client.send(&frame(2, 2, b"\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0"));
    let seen = client.next();
    let expected = "connection.close 504 CHANNEL_ERROR - expected 'channel.open' (60, 40)";
    assert_eq!(seen, expected);
}

#[test]
fn malformed_frame_on_a_closing_channel_closes_the_connection() {
    let (_, server) = served();
    let mut client = RawClient::open(server.address());
    client.method(1, BasicAck { delivery_tag: 7, multiple: false });
    assert!(client.next().starts_with("channel.close 406"));
    client.send(&frame(3, 1, b"x"));
    assert!(client.next().starts_with("connection.close 505"));
}

#[test]
fn frame_may_have_a_payload_of_frame_max() {
    let (broker, server) = served();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    client.send(&method(1, 60, 40, b"\0\0\0\x01q\0"));
    client.send(&frame(2, 1, b"\0\x3c\0\0\0\0\0\0\0\x02\0\0\0\0"));
    client.send(&frame(3, 1, &vec![7; 131_072]));
    assert_eq!(client.declare_passively("q"), "queue.declare-ok q 1");
    assert_eq!(broker.queue("q").unwrap().ready[0].body.len(), 131_072);
}

#[test]
fn closed_channel_ignores_frames_until_the_answer() {
    let (_, server) = served();
    let mut client = RawClient::open(server.address());
    client.method(1, BasicAck { delivery_tag: 7, multiple: false });
    client.publish("q", b"ignored");
    client.method(1, BasicGet { queue: "q".into(), no_ack: true });
    let seen = client.next();
    assert_eq!(seen, "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 7 (60, 80)");
    client.method(1, Method::ChannelCloseOk);
    client.method(1, ChannelOpen::default());
    assert_eq!(client.next(), "channel.open-ok");
    client.close();
}

#[test]
fn both_sides_may_close_a_channel() {
    let (_, server) = served();
    let mut client = RawClient::open(server.address());
    client.method(1, BasicAck { delivery_tag: 7, multiple: false });
    client.method(1, ChannelClose::default());
    assert!(client.next().starts_with("channel.close 406"));
    assert_eq!(client.next(), "channel.close-ok");
    client.method(1, Method::ChannelCloseOk);
    client.method(1, ChannelOpen::default());
    assert_eq!(client.next(), "channel.open-ok");
    client.method(1, ChannelClose::default());
    assert_eq!(client.next(), "channel.close-ok");
}

#[test]
fn confirms_are_combined_and_complete() {
    const MESSAGES: u64 = 500;
    let (broker, server) = served();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    client.method(1, ConfirmSelect { no_wait: true });
    let mut octets = Vec::new();
    for _ in 0..MESSAGES {
        let publish = BasicPublish { routing_key: "q".into(), ..BasicPublish::default() };
        FrameWriter::new(&mut octets, 1, 131_072)
            .content(&publish.into(), &Default::default(), b"x")
            .unwrap();
    }
    client.send(&octets);
    let (mut last, mut acks) = (0, 0);
    while last < MESSAGES {
        let seen = client.next();
        let [_, tag, _] = seen.split(' ').collect::<Vec<_>>()[..] else { panic!("{seen}") };
        last = tag.parse().unwrap();
        acks += 1;
    }
    assert_eq!(broker.queue("q").unwrap().ready.len() as u64, MESSAGES);
    assert!(acks < MESSAGES, "{acks} acknowledgements");
}

#[test]
fn bodies_larger_than_a_frame_survive() {
    const SIZE: usize = 5_000_000;
    let (_, server) = served();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    client.publish("q", &vec![7; SIZE]);
    client.method(1, BasicGet { queue: "q".into(), no_ack: true });
    assert_eq!((client.next(), client.next()), ("basic.get-ok".into(), "header".into()));
    let mut size = 0;
    while size < SIZE {
        let seen = client.next();
        size += seen.split(' ').nth(2).unwrap().parse::<usize>().unwrap();
    }
    assert_eq!(size, SIZE);
    client.close();
}

#[test]
fn body_over_the_limit_is_refused_as_by_the_imitated_release() {
    let (broker, server) = served();
    let mut client = RawClient::open(server.address());
    client.publish("q", &vec![7; broker.max_body_bytes() + 1]);
    let seen = client.next();
    assert!(seen.starts_with("connection.close 501 FRAME_ERROR - content body size"), "{seen}");
    let broker = Broker::builder().imitate(RabbitMqRelease::V3_10).build();
    let server = Server::bind("127.0.0.1:0", &broker).unwrap();
    let mut client = RawClient::open(server.address());
    client.publish("q", &vec![7; broker.max_body_bytes() + 1]);
    let seen = client.next();
    assert!(seen.starts_with("channel.close 406 PRECONDITION_FAILED - message size"), "{seen}");
}

#[test]
fn unfinished_messages_of_all_connections_are_limited() {
    let server =
        Server::builder(&Broker::new()).max_unfinished_bytes(100_000).bind("127.0.0.1:0").unwrap();
    let mut client = RawClient::open(server.address());
    client.send(&method(1, 60, 40, b"\0\0\0\0\0"));
    client.send(&frame(2, 1, b"\0\x3c\0\0\0\0\0\0\0\x10\0\0\0\0"));
    client.send(&frame(3, 1, &[0; 120_000]));
    let seen = client.next();
    assert!(seen.starts_with("connection.close 506 RESOURCE_ERROR"), "{seen}");
}

#[test]
fn client_that_does_not_read_stops_only_itself() {
    const MESSAGES: usize = 3_000;
    let (broker, server) = served();
    let mut slow = RawClient::open(server.address());
    slow.declare("slow");
    slow.consume("slow", true);
    assert_eq!(slow.next(), "basic.consume-ok");
    let mut other = RawClient::open(server.address());
    for _ in 0..MESSAGES {
        other.publish("slow", &[0; 10_000]);
    }
    assert_eq!(other.declare("other"), "queue.declare-ok other 0");
    let left = broker.queue("slow").unwrap().ready.len();
    assert!(left > MESSAGES / 2, "{left} messages wait in their queue");
    // Once the client reads, it receives everything, in order.
    let mut delivered = 0;
    while delivered < MESSAGES {
        let seen = slow.next();
        if let Some(tag) = seen.strip_prefix("basic.deliver ") {
            delivered += 1;
            assert_eq!(tag, delivered.to_string());
        }
    }
    slow.close();
}

#[test]
fn lost_connection_returns_its_messages() {
    let (broker, server) = served();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    client.publish("q", b"x");
    client.consume("q", false);
    assert_eq!(client.next(), "basic.consume-ok");
    assert_eq!(client.next(), "basic.deliver 1");
    drop(client);
    until("the message returns", || broker.queue("q").unwrap().ready.len() == 1);
    until("the threads end", || server.connection_count() == 0);
}

#[test]
fn channel_prefetch_limits_consumers_on_the_wire() {
    let (_, server) = served();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    client.method(1, BasicQos { prefetch_size: 0, prefetch_count: 1, global: true });
    assert_eq!(client.next(), "basic.qos-ok");
    client.publish("q", b"one");
    client.publish("q", b"two");
    client.consume("q", false);
    let seen: Vec<_> = (0..4).map(|_| client.next()).collect();
    assert_eq!(seen, ["basic.consume-ok", "basic.deliver 1", "header", "body of 3 bytes"]);
    assert_eq!(client.declare("q"), "queue.declare-ok q 1");
    client.method(1, BasicAck { delivery_tag: 1, multiple: false });
    assert_eq!(client.next(), "basic.deliver 2");
}

#[test]
fn blocked_broker_tells_the_client_and_reads_on_later() {
    let (broker, server) = served();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    broker.faults().block_publishers("low on memory");
    client.publish("q", b"x");
    assert_eq!(client.next(), "connection.blocked low on memory");
    assert_eq!(broker.queue("q").unwrap().ready.len(), 0);
    broker.faults().unblock_publishers();
    assert_eq!(client.next(), "connection.unblocked");
    assert_eq!(client.declare("q"), "queue.declare-ok q 1");
}

#[test]
fn answer_to_a_deletion_precedes_the_cancels_that_it_causes() {
    let (_broker, server) = served();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    client.consume("q", false);
    assert!(client.next().starts_with("basic.consume-ok"));
    client.method(1, QueueDelete { queue: "q".into(), ..QueueDelete::default() });
    assert!(client.next().starts_with("queue.delete-ok"));
    assert!(client.next().starts_with("basic.cancel"));
    // The deletion by another client is told at once.
    client.declare("q");
    client.consume("q", false);
    assert!(client.next().starts_with("basic.consume-ok"));
    let mut other = RawClient::open(server.address());
    other.method(1, QueueDelete { queue: "q".into(), no_wait: true, ..QueueDelete::default() });
    assert!(client.next().starts_with("basic.cancel"));
}

#[test]
fn cut_connection_ends_without_a_close() {
    let (broker, server) = served();
    let mut client = RawClient::open(server.address());
    broker.faults().drop_connections();
    assert_eq!(client.next(), "end");
    drop(server);
}

#[test]
fn manual_clock_expires_messages_of_clients() {
    let clock = ManualClock::new();
    let broker = Broker::with_clock(&clock);
    let server = Server::bind("127.0.0.1:0", &broker).unwrap();
    let mut client = RawClient::open(server.address());
    client.send(&method(1, 50, 10, b"\0\0\x01q\0\0\0\0\x13\x0dx-message-ttlI\0\0\x03\xe8"));
    assert_eq!(client.next(), "queue.declare-ok q 0");
    client.publish("q", b"x");
    assert_eq!(client.declare_passively("q"), "queue.declare-ok q 1");
    clock.advance(Duration::from_secs(1));
    assert_eq!(client.declare_passively("q"), "queue.declare-ok q 0");
}

#[test]
fn stopping_server_asks_clients_to_close() {
    let (broker, server) = served();
    let address = server.address();
    let mut client = RawClient::open(address);
    client.declare("q");
    client.publish("q", b"x");
    client.method(1, BasicGet { queue: "q".into(), no_ack: false });
    assert_eq!((client.next(), client.next()), ("basic.get-ok".into(), "header".into()));
    assert_eq!(client.next(), "body of 1 bytes");
    std::thread::scope(|scope| {
        let stopped = scope.spawn(|| server.stop(SOON));
        assert!(client.next().starts_with("connection.close 320 CONNECTION_FORCED"));
        client.method(0, Method::ConnectionCloseOk);
        stopped.join().unwrap().unwrap();
    });
    assert_eq!(broker.queue("q").unwrap().ready.len(), 1);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn stopping_server_cuts_clients_that_do_not_answer() {
    let (_, server) = served();
    let mut client = RawClient::open(server.address());
    let stopped = server.stop(Duration::from_millis(50));
    assert!(matches!(stopped, Err(Error::Timeout { .. })), "{stopped:?}");
    assert!(client.next().starts_with("connection.close 320"));
    assert_eq!(client.next(), "end");
}

#[test]
fn many_connections_come_and_go_without_a_rest() {
    let (_, server) = served();
    let held: Vec<_> = (0..100).map(|_| RawClient::open(server.address())).collect();
    assert_eq!(server.connection_count(), 100);
    for _ in 0..200 {
        RawClient::open(server.address()).close();
    }
    drop(held);
    until("all connections end", || server.connection_count() == 0);
    server.stop(SOON).unwrap();
}
