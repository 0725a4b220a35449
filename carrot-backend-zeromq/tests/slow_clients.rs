//! Clients that do not read, and publishers that are blocked.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{ErrorKind, Write};
use std::time::Duration;

use carrot::backend::{ChannelOptions, Connector, ConsumeOptions, Content, Declare};
use carrot::memory::Broker;
use carrot::zeromq::BrokerHost;
use carrot::{Error, Queue};

use support::{RawClient, SOON, connector, eventually, host, is_well, message, start};

#[test]
fn client_that_does_not_read_stops_nobody_else() {
    let (broker, host) = host();
    let connector = connector(&host.url());
    let channel = connector.open(&ChannelOptions::consume(), SOON).unwrap();
    channel.declare(Declare::Queue(&Queue::new("q")), SOON).unwrap();
    // Consumes without acknowledgement and without a prefetch, and never reads.
    let mut deaf = RawClient::welcomed(&host);
    let consume = [start(14, 1, 1), vec![0, 0, 0, 1, 1, 0, 0, 1, b'q', 0, 0, 0, 0]].concat();
    let open = message(&[start(2, 1, 1), vec![0; 9]].concat());
    deaf.send(&[open, message(&consume)].concat());
    eventually("the consumer is there", || {
        broker.queue("q").is_some_and(|queue| queue.consumers.len() == 1)
    });
    const MESSAGES: usize = 400;
    for _ in 0..MESSAGES {
        broker.put("q", Content::new("", "q", vec![7; 64 << 10])).unwrap();
    }
    // What fits into the sockets has left the queue. The rest waits there for others.
    let ready = || broker.queue("q").unwrap().ready.len();
    assert!(ready() > MESSAGES / 3, "{}", ready());
    let other = channel.consume("q", &ConsumeOptions::with_prefetch(10), SOON).unwrap();
    assert!(other.next(SOON).unwrap().is_some());
}

#[test]
fn client_that_does_not_read_its_answers_loses_the_connection() {
    let broker = Broker::new();
    let host =
        BrokerHost::builder(&broker).heartbeat(Duration::from_secs(1)).bind("127.0.0.1:0").unwrap();
    let connector = connector(&host.url());
    let channel = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    channel.declare(Declare::Queue(&Queue::new("q")), SOON).unwrap();
    const MESSAGES: u32 = 60;
    for _ in 0..MESSAGES {
        broker.put("q", Content::new("", "q", vec![7; 1 << 20])).unwrap();
    }
    // More than the sockets and the host hold, in answers.
    let mut deaf = RawClient::welcomed(&host);
    deaf.send(&message(&[start(2, 1, 1), vec![0; 9]].concat()));
    for call in 0..MESSAGES {
        deaf.send(&message(&[start(13, 1, call + 2), vec![1, 1, b'q']].concat()));
    }
    eventually("one connection is left", || host.connection_count() == 1);
    channel.check().unwrap();
}

#[test]
fn publications_of_a_client_that_reads_no_confirms_and_leaves_arrive() {
    let (broker, host) = host();
    const CLIENTS: usize = 20;
    const MESSAGES: usize = 2500;
    let publish = [start(12, 1, 0), vec![0, 0, 1, b'q', 0, 0]].concat();
    let publish = [&[1, publish.len() as u8][..], &publish, &[0, 1, b'x']].concat();
    let declare = [start(5, 1, 0), vec![0, 1, b'q', 0, 0, 0, 0]].concat();
    // A channel for publishing, with confirms.
    let open = message(&[start(2, 1, 0), vec![3; 1], vec![0; 8]].concat());
    for number in 1..=CLIENTS {
        let mut client = RawClient::welcomed(&host);
        client.send(&[open.clone(), message(&declare), publish.repeat(MESSAGES)].concat());
        drop(client);
        eventually("the messages are there", || {
            broker.queue("q").is_some_and(|queue| queue.ready.len() == number * MESSAGES)
        });
    }
    eventually("all connections end", || host.connection_count() == 0);
}

#[test]
fn blocked_publisher_is_parked_up_to_its_limit_and_blocks_nobody_else() {
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker).max_parked(10, 1 << 20).bind("127.0.0.1:0").unwrap();
    let connector = connector(&host.url());
    let publishing = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    let consuming = connector.open(&ChannelOptions::consume(), SOON).unwrap();
    publishing.declare(Declare::Queue(&Queue::new("q")), SOON).unwrap();
    broker.faults().block_publishers("low on memory");
    let content = std::sync::Arc::new(Content::new("", "q", vec![7; 100_000]));
    let mut sent = 0;
    // The sockets and the queue of the client are full once the host reads no more.
    let blocked = loop {
        match publishing
            .publish(&carrot::backend::Publication::new(&content), Duration::from_millis(200))
        {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 2000, "nothing stops the publisher");
    };
    assert!(matches!(blocked, Error::Blocked { .. }), "{blocked:?}");
    assert!(
        consuming.get("q", carrot::backend::Acknowledgement::Automatic, SOON).unwrap().is_none()
    );
    broker.faults().unblock_publishers();
    for tag in 1..=sent {
        publishing.confirm(carrot::backend::PublishTag(tag), SOON).unwrap();
    }
    assert_eq!(broker.queue("q").unwrap().ready.len() as u64, sent);
}

#[test]
fn blocked_client_sees_signs_of_life_without_heartbeats_of_the_host() {
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker)
        .heartbeat(Duration::ZERO)
        .max_parked(1, 1 << 20)
        .bind("127.0.0.1:0")
        .unwrap();
    let mut client = RawClient::welcomed(&host);
    client.send(&message(&[start(2, 1, 1), vec![0; 9]].concat()));
    broker.faults().block_publishers("low on memory");
    let head = [start(12, 1, 0), vec![0, 0, 1, b'q', 0, 0]].concat();
    client.send(&[&[1, head.len() as u8][..], &head, &[0, 1, b'x']].concat());
    let pings = |octets: &[u8]| octets.windows(4).filter(|part| *part == b"PING").count();
    client.read_until(|octets| pings(octets) == 3);
    broker.faults().unblock_publishers();
}

#[test]
fn heads_of_parked_publications_count() {
    let broker = Broker::new();
    let host =
        BrokerHost::builder(&broker).max_parked(10_000, 1 << 20).bind("127.0.0.1:0").unwrap();
    broker.faults().block_publishers("low on memory");
    let mut client = RawClient::welcomed(&host);
    client.send(&message(&[start(2, 1, 1), vec![0; 9]].concat()));
    // A header of 120 KiB, and an empty body.
    let text = vec![b'x'; 120 << 10];
    let table = [&b"\x01hS"[..], &(text.len() as u32).to_be_bytes(), &text].concat();
    let properties = [&[0x20, 0][..], &(table.len() as u32).to_be_bytes(), &table].concat();
    let head = [&start(12, 1, 0)[..], &[0, 0, 1, b'q'], &properties].concat();
    let publication = [&[3][..], &(head.len() as u64).to_be_bytes(), &head, &[0, 0]].concat();
    client.socket.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    // The buffers of the sockets are smaller than the messages together.
    let stopped = (0..1000).find_map(|_| client.socket.write_all(&publication).err());
    let stopped = stopped.map(|error| error.kind());
    assert!(matches!(stopped, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{stopped:?}");
    assert!(is_well(&host));
}
