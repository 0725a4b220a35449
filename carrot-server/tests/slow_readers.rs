//! Clients that do not read what they have asked for, or what others send to them. The tests run
//! one after another, because they measure the memory of the process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each file of tests uses a part of the support")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use carrot_amqp_wire::{BasicGet, BasicPublish, ConfirmSelect, FrameWriter, Method};
use carrot_backend_memory::Broker;
use carrot_core::Properties;
use carrot_server::Server;

use crate::process::{alone, resident_bytes, until};
use crate::support::RawClient;

const MIB: usize = 1 << 20;
const REPLIES: &str = "amq.rabbitmq.reply-to";

fn served() -> (Broker, Server) {
    let broker = Broker::new();
    let server = Server::bind("127.0.0.1:0", &broker).unwrap();
    (broker, server)
}

fn to_queue(queue: &str) -> BasicPublish<'_> {
    BasicPublish { routing_key: queue.into(), ..BasicPublish::default() }
}

/// Properties of 100 kB.
fn large_properties() -> Properties {
    Properties::new().with_header("h", "x".repeat(100_000))
}

fn ready(broker: &Broker, queue: &str) -> usize {
    broker.queue(queue).unwrap().ready.len()
}

/// Performs calls of another client, one after another.
fn serve_another(client: &mut RawClient) {
    for _ in 0..200 {
        assert!(client.declare("other").starts_with("queue.declare-ok other "));
    }
}

/// Reads messages that follow this method, until this number of them has arrived.
fn read_contents(client: &mut RawClient, method: &str, count: usize) {
    let mut seen = 0;
    while seen < count {
        let next = client.next();
        assert!(!next.contains("close") && next != "end", "{next} after {seen} messages");
        seen += usize::from(next.starts_with(method));
    }
}

/// Starts a consumer of direct replies, and returns their address.
fn consume_replies(client: &mut RawClient, broker: &Broker) -> String {
    client.declare("requests");
    client.consume(REPLIES, true);
    assert_eq!(client.next(), "basic.consume-ok");
    let properties = Properties::new().with_reply_to(REPLIES);
    client.publish_with(to_queue("requests"), &properties, b"question");
    until("the request arrives", || ready(broker, "requests") == 1);
    broker.queue("requests").unwrap().ready[0].properties.reply_to().unwrap().to_string()
}

#[test]
fn consumer_of_direct_replies_that_does_not_read_is_closed() {
    const REPLY: usize = MIB;
    const COUNT: usize = 300;
    let _alone = alone();
    let (broker, server) = served();
    let mut slow = RawClient::open(server.address());
    let address = consume_replies(&mut slow, &broker);
    let mut other = RawClient::open(server.address());
    let before = resident_bytes();
    for _ in 0..COUNT {
        other.publish_with(to_queue(&address), &Properties::new(), &vec![7; REPLY]);
    }
    // The replies have been handled, and the publisher is served as before.
    serve_another(&mut other);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < COUNT * REPLY / 2, "the memory has grown by {grown} bytes");
    // The close is the last frame, unless the client was too late to read it.
    let mut last = String::new();
    loop {
        match slow.next() {
            end if end == "end" => break,
            close if close.starts_with("connection.close") => {
                assert!(close.contains("506 RESOURCE_ERROR - the client does not read"), "{close}");
                slow.method(0, Method::ConnectionCloseOk);
                last = close;
            }
            other => assert_eq!(last, "", "{other} follows the close"),
        }
    }
    until("the connection ends", || server.connection_count() == 1);
    other.close();
}

#[test]
fn burst_of_direct_replies_arrives_once_the_client_reads() {
    const COUNT: usize = 40;
    let _alone = alone();
    let (broker, server) = served();
    let mut slow = RawClient::open(server.address());
    let address = consume_replies(&mut slow, &broker);
    let mut other = RawClient::open(server.address());
    for _ in 0..2 {
        for _ in 0..COUNT {
            other.publish_with(to_queue(&address), &Properties::new(), &vec![7; MIB]);
        }
        serve_another(&mut other);
        read_contents(&mut slow, "basic.deliver", COUNT);
    }
    slow.close();
}

#[test]
fn get_answers_that_are_not_read_stay_in_their_queue() {
    const COUNT: usize = 400;
    let _alone = alone();
    let (broker, server) = served();
    let mut slow = RawClient::open(server.address());
    slow.declare("q");
    for _ in 0..COUNT {
        slow.publish("q", &[7; 100_000]);
    }
    until("all messages arrive", || ready(&broker, "q") == COUNT);
    let mut octets = Vec::new();
    for _ in 0..COUNT {
        let get = BasicGet { queue: "q".into(), no_ack: true };
        FrameWriter::new(&mut octets, 1, 131_072).method(&get.into()).unwrap();
    }
    slow.send(&octets);
    until("messages are fetched", || ready(&broker, "q") < COUNT);
    let mut other = RawClient::open(server.address());
    serve_another(&mut other);
    // The buffers of the system hold many messages, too.
    assert!(ready(&broker, "q") > COUNT / 4, "{} messages are left", ready(&broker, "q"));
    read_contents(&mut slow, "basic.get-ok", COUNT);
    assert_eq!(ready(&broker, "q"), 0);
    slow.close();
}

#[test]
fn returns_and_confirms_that_are_not_read_stop_the_publisher() {
    const COUNT: usize = 1000;
    let _alone = alone();
    let (_, server) = served();
    let mut slow = RawClient::open(server.address());
    slow.method(1, ConfirmSelect { no_wait: true });
    let mut writing = slow.socket.try_clone().unwrap();
    let mut octets = Vec::new();
    let publish = BasicPublish { mandatory: true, ..to_queue("nowhere") };
    FrameWriter::new(&mut octets, 1, 131_072)
        .content(&publish.into(), &Default::default(), &[7; 100_000])
        .unwrap();
    let sent = AtomicUsize::new(0);
    let before = resident_bytes();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..COUNT {
                std::io::Write::write_all(&mut writing, &octets).unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut other = RawClient::open(server.address());
        let mut seen = usize::MAX;
        while seen != sent.load(Ordering::Relaxed) {
            seen = sent.load(Ordering::Relaxed);
            serve_another(&mut other);
        }
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < COUNT * octets.len() / 2, "the memory has grown by {grown} bytes");
        read_contents(&mut slow, "basic.return", COUNT);
    });
    while slow.next() != format!("basic.ack {COUNT} false") {}
    slow.close();
}

#[test]
fn deliveries_with_large_properties_stay_in_their_queue() {
    const COUNT: usize = 300;
    let _alone = alone();
    let (broker, server) = served();
    let mut slow = RawClient::open(server.address());
    slow.declare("slow");
    slow.consume("slow", true);
    assert_eq!(slow.next(), "basic.consume-ok");
    let mut other = RawClient::open(server.address());
    let properties = large_properties();
    for _ in 0..COUNT {
        other.publish_with(to_queue("slow"), &properties, b"");
    }
    serve_another(&mut other);
    assert!(ready(&broker, "slow") > COUNT / 3, "{} messages", ready(&broker, "slow"));
    read_contents(&mut slow, "basic.deliver", COUNT);
    slow.close();
}
