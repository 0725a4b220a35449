//! Messages of other clients with texts that are not UTF-8. They are readable, and keep their
//! octets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use carrot::message::{Headers, Value};
use carrot::{ExchangeKind, Message, consume::Retry};

use super::raw_client::{RawClient, headers};
use super::{SHORTEST, with_parking};
use crate::support::{SOON, eventually, exchange, ready};

/// A foreign message: its routing key, its property list, and the octets that the program sees.
struct Foreign {
    key: &'static [u8],
    properties: Vec<u8>,
    read: fn(&Message) -> Vec<u8>,
    octets: &'static [u8],
}

fn string(message: &Message, property: &str) -> Vec<u8> {
    let mut strings = message.properties().strings();
    strings.find(|(name, _)| *name == property).unwrap().1.as_bytes().to_vec()
}

fn foreign() -> Vec<Foreign> {
    let property = |flags: u16| [&flags.to_be_bytes()[..], b"\x03\xff\xfe\x80"].concat();
    vec![
        Foreign {
            key: b"\xe9t\xe9",
            properties: vec![0, 0],
            read: |message| message.content().routing_key.as_bytes().to_vec(),
            octets: b"\xe9t\xe9",
        },
        Foreign {
            key: b"k",
            properties: property(0x0400),
            read: |message| string(message, "correlation-id"),
            octets: b"\xff\xfe\x80",
        },
        Foreign {
            key: b"k",
            properties: property(0x0080),
            read: |message| string(message, "message-id"),
            octets: b"\xff\xfe\x80",
        },
        Foreign {
            key: b"k",
            properties: property(0x0020),
            read: |message| string(message, "type"),
            octets: b"\xff\xfe\x80",
        },
        Foreign {
            key: b"k",
            properties: headers(b"\x06latin1S\0\0\0\x04caf\xe9\x06tenantS\0\0\0\x04acme"),
            read: |message| match message.header("latin1") {
                Some(Value::Bytes(octets)) if message.header("tenant") == Some(&"acme".into()) => {
                    octets.clone()
                }
                other => panic!("{other:?}"),
            },
            octets: b"caf\xe9",
        },
        Foreign {
            key: b"k",
            properties: headers(b"\x04caf\xe9t\x01\x06tenantS\0\0\0\x04acme"),
            read: |message| {
                assert_eq!(message.header("tenant"), Some(&"acme".into()));
                let names = message.headers().into_iter().flat_map(Headers::iter);
                names.map(|(name, _)| name.as_bytes().to_vec()).next().unwrap()
            },
            octets: b"caf\xe9",
        },
    ]
}

on_both_amqp_brokers! {
    fn message_with_text_that_is_not_utf8_is_handled_like_any_other(broker: &RemoteBroker) {
        let connection = broker.connect();
        let losses = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&losses);
        connection.on_disconnect(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let mut client = RawClient::connect(&broker.options());
        for Foreign { key, properties, read, octets } in foreign() {
            for prefetch in [1, 7, 32] {
                let (queue, _) = with_parking();
                let fanout = exchange(ExchangeKind::Fanout);
                let consumer = connection.consumer(&queue).exchange(&fanout).prefetch(prefetch);
                let consumer = consumer.build().unwrap();
                let publisher = connection.publisher().exchange(&fanout).build().unwrap();
                publisher.send_all([0, 1, 2]).unwrap();
                client.publish(&fanout.name, key, &properties, b"3");
                publisher.send_all([4, 5, 6]).unwrap();
                let (sender, handled) = mpsc::channel();
                let workers = consumer.workers(1).spawn(move |number: u32, message: &Message| {
                    let seen = (number == 3).then(|| read(message));
                    assert_eq!(message.unreadable(), None);
                    sender.send((number, seen)).map_err(|error| error.to_string())
                });
                let workers = workers.unwrap();
                let all: Vec<_> = (0..7).map(|_| handled.recv_timeout(SOON).unwrap()).collect();
                assert_eq!(
                    all.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
                    [0, 1, 2, 3, 4, 5, 6]
                );
                assert_eq!(all[3].1.as_deref(), Some(octets), "prefetch {prefetch}");
                let report = workers.stop(SOON).unwrap();
                assert_eq!((report.acknowledged, report.failed, report.undecodable), (7, 0, 0));
                assert_eq!(ready(&connection, &queue.name), 0);
            }
        }
        assert_eq!(losses.load(Ordering::SeqCst), 0, "a connection was lost");
    }

    fn message_with_text_that_is_not_utf8_is_retried_and_parked(broker: &RemoteBroker) {
        let connection = broker.connect();
        let (queue, parking) = with_parking();
        let consumer =
            connection.consumer(&queue).retry(Retry::fixed(SHORTEST).attempts(2)).build().unwrap();
        let mut client = RawClient::connect(&broker.options());
        let table = headers(b"\x06latin1S\0\0\0\x04caf\xe9\x06tenantS\0\0\0\x04acme");
        for body in [&b"1"[..], b""] {
            client.publish("", queue.name.as_bytes(), &table, body);
        }
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(1).spawn_raw(move |message: Message| {
            sender.send((message.body().to_vec(), message.attempt())).unwrap();
            message.fail("no").unwrap();
        });
        let workers = workers.unwrap();
        let mut seen: Vec<_> = (0..4).map(|_| handled.recv_timeout(SOON).unwrap()).collect();
        seen.sort();
        let seen: Vec<_> = seen.iter().map(|(body, attempt)| (&**body, *attempt)).collect();
        assert_eq!(seen, [(&b""[..], 1), (b"", 2), (b"1", 1), (b"1", 2)]);
        workers.stop(SOON).unwrap();
        eventually("both are parked", || ready(&connection, &parking) == 2);
        let parked = connection.consumer(carrot::Queue::existing(&*parking)).build().unwrap();
        for message in parked.fetch_all() {
            let message = message.unwrap();
            assert_eq!(message.header("latin1"), Some(&Value::Bytes(b"caf\xe9".to_vec())));
            assert_eq!(message.header("tenant"), Some(&"acme".into()));
            message.ack().unwrap();
        }
    }
}
