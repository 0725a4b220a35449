//! Many connections and queues, churn, and the end of a server under load. The tests run one after
//! another, because they count the threads and the memory of the process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each file of tests uses a part of the support")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    BasicAck, BasicGet, BasicPublish, ChannelClose, ChannelOpen, ConfirmSelect, FrameWriter, Method,
};
use carrot_backend_memory::Broker;
use carrot_server::Server;

use crate::process::{LONG, alone, resident_bytes, until};
use crate::support::RawClient;

fn served() -> (Broker, Server) {
    let broker = Broker::new();
    let server = Server::bind("127.0.0.1:0", &broker).unwrap();
    (broker, server)
}

/// Returns the number of threads of servers; 0 where the names of threads cannot be read.
fn server_threads() -> usize {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return 0 };
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    tasks.flatten().filter_map(name).filter(|name| name.starts_with("carrot-server")).count()
}

/// Returns the number of open files; 0 where they cannot be counted.
fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Returns the number of connections for which the process may open files, at most `wanted`.
fn connections_within_the_limit(wanted: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    // Both ends of a connection are in this process.
    wanted.min(most.unwrap_or(1024_usize).saturating_sub(100) / 2)
}

#[test]
fn thousand_connections_are_served_and_end() {
    let _alone = alone();
    let (broker, server) = served();
    let count = connections_within_the_limit(1000);
    let mut clients: Vec<_> = (0..count).map(|_| RawClient::open(server.address())).collect();
    assert_eq!(server.connection_count(), count);
    for client in &mut clients {
        assert!(client.declare("q").starts_with("queue.declare-ok q "));
        client.publish("q", b"x");
    }
    until("all messages arrive", || broker.queue("q").unwrap().ready.len() == count);
    drop(clients);
    until("all connections end", || server.connection_count() == 0);
    server.stop(LONG).unwrap();
    until("all threads end", || server_threads() == 0);
}

#[test]
fn ten_thousand_queues_hold_messages_and_are_deleted() {
    const QUEUES: usize = 10_000;
    let _alone = alone();
    let (broker, server) = served();
    let mut client = RawClient::open(server.address());
    for number in 0..QUEUES {
        let name = format!("q{number}");
        assert_eq!(client.declare(&name), format!("queue.declare-ok {name} 0"));
        client.publish(&name, b"x");
    }
    assert_eq!(client.declare_passively("q9999"), "queue.declare-ok q9999 1");
    assert!(server.held_bytes() > 0);
    for number in 0..QUEUES {
        let queue = format!("q{number}");
        let delete =
            carrot_amqp_wire::QueueDelete { queue: (&*queue).into(), ..Default::default() };
        client.method(1, delete);
        assert_eq!(client.next(), "queue.delete-ok");
    }
    assert_eq!((broker.queue("q0"), server.held_bytes()), (None, 0));
    client.close();
}

/// Opens a connection that leaves a consumer and an unacknowledged message behind.
fn come_and_go(address: SocketAddr, in_order: bool) {
    let mut client = RawClient::open(address);
    client.publish("q", &[7; 1000]);
    client.method(1, BasicGet { queue: "q".into(), no_ack: false });
    while client.next() != "body of 1000 bytes" {}
    client.method(1, BasicAck { delivery_tag: 1, multiple: false });
    if in_order {
        client.close();
    }
}

#[test]
fn thousands_of_connections_leave_no_memory_and_no_thread_behind() {
    const WARM_UP: usize = 300;
    const CONNECTIONS: usize = 5000;
    let _alone = alone();
    let (broker, server) = served();
    RawClient::open(server.address()).declare("q");
    let churn = |count: usize| {
        (0..count).for_each(|number| come_and_go(server.address(), number % 2 == 0));
        until("all connections end", || server.connection_count() == 0);
    };
    churn(WARM_UP);
    let (before, threads, files) = (resident_bytes(), server_threads(), open_files());
    churn(CONNECTIONS);
    let grown = resident_bytes().saturating_sub(before);
    // A buffer for each connection would be 160 MiB. A connection that is kept keeps its socket.
    assert!(grown < 32 << 20, "the memory has grown by {grown} bytes");
    until("all sockets are closed", || open_files() <= files);
    until("all threads end", || server_threads() <= threads.min(2));
    // The last acknowledgements of connections without a close may have been lost with them.
    assert!(broker.queue("q").unwrap().unacked.is_empty());
    assert!(broker.queue("q").unwrap().consumers.is_empty());
}

#[test]
fn thousands_of_channels_leave_nothing_behind() {
    const CHANNELS: usize = 5000;
    let _alone = alone();
    let (broker, server) = served();
    let mut client = RawClient::open(server.address());
    client.declare("q");
    client.publish("q", b"x");
    client.method(1, ChannelClose::default());
    assert_eq!(client.next(), "channel.close-ok");
    for _ in 0..CHANNELS {
        client.method(1, ChannelOpen::default());
        client.consume("q", false);
        client.method(1, ChannelClose::default());
        while client.next() != "channel.close-ok" {}
    }
    let queue = broker.queue("q").unwrap();
    assert_eq!((queue.ready.len(), queue.unacked.len(), queue.consumers.len()), (1, 0, 0));
    client.close();
}

/// Publishes with confirms until the server closes the connection. Returns the confirmed bodies.
fn publish_until_closed(address: SocketAddr, publisher: usize) -> BTreeSet<String> {
    const BATCH: u64 = 20;
    let mut client = RawClient::open(address);
    client.method(1, ConfirmSelect { no_wait: true });
    let body = |number: u64| format!("{publisher} {number}");
    let (mut sent, mut confirmed) = (0, 0);
    loop {
        let mut octets = Vec::new();
        for _ in 0..BATCH {
            sent += 1;
            let publish = BasicPublish { routing_key: "q".into(), ..BasicPublish::default() };
            FrameWriter::new(&mut octets, 1, 131_072)
                .content(&publish.into(), &Default::default(), body(sent).as_bytes())
                .unwrap();
        }
        // The server may have closed the socket. Reading finds that.
        let _ = client.socket.write_all(&octets);
        while confirmed < sent {
            let seen = client.next();
            match &seen.split(' ').collect::<Vec<_>>()[..] {
                ["basic.ack", tag, _] => confirmed = tag.parse().unwrap(),
                ["connection.close", "320", ..] => {
                    answer_close(&mut client);
                    return (1..=confirmed).map(body).collect();
                }
                _ => panic!("{seen}"),
            }
        }
    }
}

/// Consumes until the server closes the connection. Returns how many messages were delivered.
fn consume_until_closed(address: SocketAddr) -> usize {
    let mut client = RawClient::open(address);
    client.consume("q", false);
    let mut delivered = 0;
    loop {
        let seen = client.next();
        if let Some(tag) = seen.strip_prefix("basic.deliver ") {
            delivered += 1;
            let delivery_tag = tag.parse().unwrap();
            let mut octets = Vec::new();
            let ack = BasicAck { delivery_tag, multiple: false };
            FrameWriter::new(&mut octets, 1, 131_072).method(&ack.into()).unwrap();
            let _ = client.socket.write_all(&octets);
        } else if seen.starts_with("connection.close 320") {
            answer_close(&mut client);
            return delivered;
        }
    }
}

fn answer_close(client: &mut RawClient) {
    let mut octets = Vec::new();
    FrameWriter::new(&mut octets, 0, 131_072).method(&Method::ConnectionCloseOk).unwrap();
    let _ = client.socket.write_all(&octets);
}

#[test]
fn stop_under_load_keeps_all_confirmed_messages() {
    const TIMEOUT: Duration = Duration::from_secs(20);
    let _alone = alone();
    let (broker, server) = served();
    RawClient::open(server.address()).declare("q");
    let address = server.address();
    let recording = broker.record("");
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..4)
            .map(|number| scope.spawn(move || publish_until_closed(address, number)))
            .collect();
        let consumers: Vec<_> =
            (0..2).map(|_| scope.spawn(move || consume_until_closed(address))).collect();
        until("messages flow", || recording.messages().len() > 2000);
        let started = Instant::now();
        server.stop(TIMEOUT).unwrap();
        assert!(started.elapsed() < TIMEOUT + Duration::from_secs(1), "{:?}", started.elapsed());
        until("all threads end", || server_threads() == 0);
        let confirmed: BTreeSet<String> =
            publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()).collect();
        let delivered: usize = consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum();
        let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
        let accepted: BTreeSet<String> =
            recording.messages().iter().map(|content| text(&content.body)).collect();
        let lost: Vec<_> = confirmed.difference(&accepted).collect();
        assert!(lost.is_empty() && !confirmed.is_empty(), "{lost:?} of {}", confirmed.len());
        // A message is in its queue, or a consumer has received it.
        let queue = broker.queue("q").unwrap();
        assert_eq!((queue.unacked.len(), queue.consumers.len()), (0, 0));
        let left = queue.ready.len();
        assert!(left + delivered >= accepted.len(), "{left} + {delivered} of {}", accepted.len());
    });
}

#[test]
fn stop_cuts_clients_that_do_not_answer_at_its_deadline() {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let _alone = alone();
    let (_, server) = served();
    let clients: Vec<_> = (0..20).map(|_| RawClient::open(server.address())).collect();
    let started = Instant::now();
    assert!(server.stop(TIMEOUT).is_err());
    assert!(started.elapsed() >= TIMEOUT, "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    until("all threads end", || server_threads() == 0);
    drop(clients);
}

#[test]
fn dropped_server_ends_its_threads_and_frees_its_address() {
    let _alone = alone();
    let (broker, server) = served();
    let address = server.address();
    let mut client = RawClient::open(address);
    client.declare("q");
    client.publish("q", b"x");
    client.consume("q", false);
    until("the message is delivered", || broker.queue("q").unwrap().unacked.len() == 1);
    drop(server);
    until("all threads end", || server_threads() == 0);
    let queue = broker.queue("q").unwrap();
    assert_eq!((queue.ready.len(), queue.unacked.len(), queue.consumers.len()), (1, 0, 0));
    // The broker is served again, at the same address.
    let again = Server::bind(address, &broker).unwrap();
    assert_eq!(RawClient::open(address).declare("q"), "queue.declare-ok q 1");
    drop(again);
}
