//! The limit on the memory of messages, above which publishers are blocked.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each file of tests uses a part of the support")]

mod support;

use std::time::{Duration, Instant};

use carrot_amqp_wire::{BasicAck, BasicGet, ConnectionClose, Method, QueueDeclare};
use carrot_backend_memory::Broker;
use carrot_core::Queue;
use carrot_server::Server;

use crate::support::{RawClient, SOON};

const BLOCKED: &str = "connection.blocked low on memory";

fn limited() -> (Broker, Server) {
    let broker = Broker::new();
    let server = Server::builder(&broker).memory_limit(10_000).bind("127.0.0.1:0").unwrap();
    (broker, server)
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen within {SOON:?}: {what}");
        std::thread::yield_now();
    }
}

fn ready(broker: &Broker) -> usize {
    broker.queue("q").unwrap().ready.len()
}

/// Fills queue `q`, and publishes one more message, over which the connection is blocked.
fn blocked(server: &Server) -> RawClient {
    let mut client = RawClient::open(server.address());
    client.declare("q");
    for _ in 0..3 {
        client.publish("q", &[7; 6000]);
    }
    assert_eq!(client.next(), BLOCKED);
    client
}

#[test]
fn publisher_is_blocked_above_the_limit_while_consumers_continue() {
    let (broker, server) = limited();
    let mut publisher = blocked(&server);
    assert_eq!(ready(&broker), 2);
    assert!((12_000..14_000).contains(&server.held_bytes()), "{}", server.held_bytes());
    let mut consumer = RawClient::open(server.address());
    for tag in 1..=2 {
        consumer.method(1, BasicGet { queue: "q".into(), no_ack: false });
        let seen = (consumer.next(), consumer.next(), consumer.next());
        assert_eq!(seen, ("basic.get-ok".into(), "header".into(), "body of 6000 bytes".into()));
        assert_eq!(broker.queue("q").unwrap().unacked.len(), tag);
    }
    assert!(server.held_bytes() > 10_000, "unacknowledged messages count");
    consumer.method(1, BasicAck { delivery_tag: 1, multiple: false });
    assert_eq!(publisher.next(), "connection.unblocked");
    until("the message arrives", || ready(&broker) == 1);
    publisher.close();
    consumer.close();
}

#[test]
fn messages_of_an_open_transaction_count() {
    let (broker, server) = limited();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    client.method(1, Method::TxSelect);
    assert_eq!(client.next(), "tx.select-ok");
    for _ in 0..3 {
        client.publish("q", &[7; 6000]);
    }
    assert_eq!(client.next(), BLOCKED);
    assert_eq!(ready(&broker), 0);
    drop(client);
    drop(server);
}

#[test]
fn stop_does_not_wait_for_a_blocked_client() {
    let (broker, server) = limited();
    let mut client = blocked(&server);
    std::thread::scope(|scope| {
        // Less than the time after which the server gives up a client that answers no close.
        let stopped = scope.spawn(|| server.stop(Duration::from_secs(8)));
        assert!(client.next().starts_with("connection.close 320"));
        client.method(0, Method::ConnectionCloseOk);
        stopped.join().unwrap().unwrap();
    });
    assert_eq!(ready(&broker), 2);
}

#[test]
fn broker_is_unblocked_once_its_server_has_ended() {
    let (broker, server) = limited();
    let client = blocked(&server);
    drop(server);
    drop(client);
    let server = Server::bind("127.0.0.1:0", &broker).unwrap();
    let mut client = RawClient::open(server.address());
    client.publish("q", &[7; 6000]);
    until("the message arrives", || ready(&broker) == 3);
    client.method(0, ConnectionClose { reply_code: 200, ..ConnectionClose::default() });
    assert_eq!(client.next(), "connection.close-ok");
}

#[test]
fn blocked_client_that_is_gone_ends_by_its_heartbeat() {
    let (_, server) = limited();
    let mut client = RawClient::connect(server.address());
    client.log_in("guest", "guest");
    client.next();
    client.tune(2047, 131_072, 1);
    assert_eq!(client.open_vhost("/"), "connection.open-ok");
    client.method(1, carrot_amqp_wire::ChannelOpen::default());
    assert_eq!(client.next_but_heartbeats(), "channel.open-ok");
    client.method(1, QueueDeclare { queue: "q".into(), ..QueueDeclare::default() });
    assert_eq!(client.next_but_heartbeats(), "queue.declare-ok q 0");
    for _ in 0..3 {
        client.publish("q", &[7; 6000]);
    }
    assert_eq!(client.next_but_heartbeats(), BLOCKED);
    drop(client);
    until("the threads end", || server.connection_count() == 0);
}

#[test]
fn limit_counts_all_virtual_hosts() {
    let (blue, green) = (Broker::new(), Broker::new());
    let server = Server::builder(&blue)
        .vhost("green", &green)
        .memory_limit(10_000)
        .bind("127.0.0.1:0")
        .unwrap();
    let carrot = carrot::Connection::new(green.connector());
    carrot.declare_queue(Queue::new("other")).unwrap();
    let content = carrot::backend::Content::new("", "other", vec![7; 12_000]);
    green.put("other", content).unwrap();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    client.publish("q", b"x");
    assert_eq!(client.next(), BLOCKED);
    carrot.purge_queue("other").unwrap();
    assert_eq!(client.next(), "connection.unblocked");
    client.close();
}

#[test]
fn empty_message_is_accepted_before_its_connection_is_blocked() {
    let (broker, server) = limited();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    for body in [&[7; 6000][..], &[7; 6000], b"", b""] {
        client.publish("q", body);
    }
    assert_eq!(client.next(), BLOCKED);
    assert_eq!(ready(&broker), 3);
    drop(server);
}
