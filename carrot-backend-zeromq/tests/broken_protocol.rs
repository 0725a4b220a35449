//! Clients that break the protocol, or that are no clients.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use carrot::backend::{ChannelOptions, Connector};
use carrot::memory::Broker;
use carrot::zeromq::BrokerHost;

use support::{
    RawClient, SOON, connector, eventually, greeting, hello, host, is_well, message, ready, start,
};

#[test]
fn malformed_greetings_and_handshakes_end_the_connection() {
    let (_broker, host) = host();
    for octets in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"AMQP\0\0\x09\x01",
        b"\xFF\0\0\0\0\0\0\0\0\x7E",
        &[&greeting()[..], b"\x04\x06\x05REAWX"].concat(),
        &[&greeting()[..], b"\x04\x02\x05R"].concat(),
        &[&greeting()[..], b"\xFF\xFF"].concat(),
        &[&greeting()[..], b"\x06\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"].concat(),
        &[&greeting()[..], b"\0\x01x"].concat(),
    ] {
        let mut client = RawClient::new(&host);
        client.send(octets);
        client.read_to_end();
    }
    assert!(is_well(&host));
}

#[test]
fn other_sockets_are_refused_with_a_reason() {
    let (_broker, host) = host();
    let mut client = RawClient::new(&host);
    client.send(&[&greeting()[..], &ready("REQ")].concat());
    let sent = client.read_to_end();
    assert!(sent.contains("ERROR") && sent.contains("no DEALER"), "{sent:?}");
}

#[test]
fn unknown_version_is_refused_with_words() {
    let (_broker, host) = host();
    let mut client = RawClient::new(&host);
    client.send(&[&greeting()[..], &ready("DEALER"), &hello(9)].concat());
    let sent = client.read_to_end();
    assert!(sent.contains("version 1, the only one that this host speaks"), "{sent:?}");
}

#[test]
fn call_before_the_hello_is_refused_with_a_reason() {
    let (_broker, host) = host();
    let mut client = RawClient::new(&host);
    let open = message(&[start(2, 1, 1), vec![0; 9]].concat());
    client.send(&[&greeting()[..], &ready("DEALER"), &open].concat());
    let sent = client.read_to_end();
    assert!(sent.contains("the first message has to be hello"), "{sent:?}");
}

#[test]
fn client_that_says_no_hello_is_told_so_at_the_deadline() {
    let host = BrokerHost::builder(&Broker::new())
        .handshake_timeout(Duration::from_secs(1))
        .bind("127.0.0.1:0")
        .unwrap();
    // A socket of libzmq that has connected again, and whose program only receives.
    let mut client = RawClient::new(&host);
    client.send(&[&greeting()[..], &ready("DEALER")].concat());
    let words = b"the first message has to be hello";
    client.read_until(|octets| octets.windows(words.len()).any(|part| part == words));
    drop(client);
    eventually("the connection ends", || host.connection_count() == 0);
}

#[test]
fn messages_before_the_handshake_and_the_hello_take_no_memory() {
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker)
        .max_unfinished_bytes(1 << 20)
        .user("ann", "hush")
        .bind("127.0.0.1:0")
        .unwrap();
    let address = host.address().unwrap();
    let large = |flags: u8, octets: u64| {
        let whole = vec![0; usize::try_from(octets).unwrap() - 1];
        [&[flags | 2][..], &octets.to_be_bytes(), &whole].concat()
    };
    let mut plain = greeting();
    plain[12..17].copy_from_slice(b"PLAIN");
    // Peers that have not proved who they are: parts of heads, and heads whose body follows.
    let held: Vec<RawClient> = (0..10)
        .map(|number| {
            let mut client = RawClient::new(&host);
            client.send(&plain);
            client.read_until(|octets| octets.len() >= 64);
            client.send(&[large(number % 2, 900 << 10), vec![0]].concat());
            client
        })
        .collect();
    for mut client in held {
        client.read_to_end();
    }
    let well = connector(&format!("zmq://ann:hush@{address}"));
    well.open(&ChannelOptions::publish(), SOON).unwrap();

    // A call that is no hello is answered at once, regardless of its size, and with the same words.
    let (_broker, host) = self::host();
    for early in [large(0, 900 << 10), large(1, 900 << 10), [&[1, 9][..], &[12; 9]].concat()] {
        let mut client = RawClient::new(&host);
        client.send(&[&greeting()[..], &ready("DEALER")].concat());
        client.read_until(|octets| octets.windows(6).any(|part| part == b"ROUTER"));
        // The rest would be answered with a reset.
        client.send(&early[..early.len().min(9)]);
        if early.len() < 20 {
            client.send(&early[9..]);
        }
        let sent = client.read_to_end();
        assert!(sent.contains("the first message has to be hello"), "{sent:?}");
    }
}

#[test]
fn malformed_calls_end_the_connection_with_the_name_of_the_field() {
    let (_broker, host) = host();
    let publish = [start(12, 1, 0), vec![0, 0, 1, b'q', 0, 0]].concat();
    for (octets, field) in [
        (message(&[1]), "channel"),
        (message(&start(200, 0, 0)), "kind"),
        (message(&[start(2, 0, 1), vec![0; 9]].concat()), "channel"),
        (message(&[start(10, 1, 1), vec![9]].concat()), "queue"),
        (message(&publish), "body"),
        ([&[1, 9][..], &start(3, 1, 1), &[0, 0]].concat(), "body"),
        (hello(1), "kind"),
    ] {
        let mut client = RawClient::welcomed(&host);
        client.send(&octets);
        let sent = client.read_to_end();
        assert!(sent.contains(&format!("the field {field:?}")), "{field}: {sent:?}");
    }
    assert!(is_well(&host));
}

#[test]
fn calls_without_a_number_have_no_answer_and_lost_publications_have_one() {
    let (broker, host) = host();
    let mut client = RawClient::welcomed(&host);
    let declare = [start(5, 1, 0), vec![0, 1, b'q', 0, 0, 0, 0]].concat();
    let consume = [start(14, 1, 0), vec![0, 0, 0, 1, 1, 0, 0, 1, b'q', 0, 0, 0, 0]].concat();
    let publish = [start(12, 9, 0), vec![0, 0, 1, b'q', 0, 0]].concat();
    client.send(&message(&[start(2, 1, 0), vec![0; 9]].concat()));
    client.send(&[message(&declare), message(&consume)].concat());
    client.send(&[&[1, publish.len() as u8][..], &publish, &[0, 1, b'x']].concat());
    let closed = start(72, 9, 0);
    let sent = client.read_until(|octets| octets.windows(9).any(|part| part == closed));
    assert_eq!(sent[2..11], closed, "{}", sent.escape_ascii());
    assert_eq!(broker.queue("q").unwrap().consumers.len(), 1);
    client.send(&message(&[start(13, 1, 0), vec![1, 1, b'q']].concat()));
    let sent = client.read_to_end();
    assert!(sent.contains("the field \"number\""), "{sent:?}");
}

#[test]
fn announced_sizes_take_no_memory_and_exceed_no_limit() {
    let (_broker, host) = host();
    // A head of 2 MiB, and a body of an exabyte.
    for octets in [
        [&[2][..], &(2_u64 << 20).to_be_bytes()].concat(),
        [&[1, 1, 12, 2][..], &(1_u64 << 60).to_be_bytes()].concat(),
    ] {
        let mut client = RawClient::welcomed(&host);
        client.send(&octets);
        let sent = client.read_to_end();
        assert!(sent.contains("and the limit is"), "{sent:?}");
    }
    // 16 MiB are permitted, and never arrive.
    let mut waiting: Vec<RawClient> = (0..50).map(|_| RawClient::welcomed(&host)).collect();
    for client in &mut waiting {
        client.send(&[&[1, 1, 12, 2][..], &(16_u64 << 20).to_be_bytes(), &[0; 100]].concat());
    }
    assert!(is_well(&host));
}
