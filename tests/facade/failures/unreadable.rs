//! Messages of other clients whose text is not UTF-8.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;

use carrot::{ConnectionOptions, Message, consume::Retry};

use super::{SHORTEST, with_parking};
use crate::support::{SOON, eventually, rabbitmq, rabbitmq_url, ready};

/// A minimal AMQP client, which publishes a message byte by byte.
struct RawClient(TcpStream);

impl RawClient {
    fn connect() -> RawClient {
        let options: ConnectionOptions = rabbitmq_url().parse().unwrap();
        let (host, port) = options.addresses().next().unwrap();
        let stream = TcpStream::connect((host, port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut client = RawClient(stream);
        client.0.write_all(b"AMQP\0\0\x09\x01").unwrap();
        client.expect([0, 10, 0, 10]);
        let start_ok = [&b"\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US"[..]].concat();
        client.method(0, [0, 10, 0, 11], &start_ok);
        client.expect([0, 10, 0, 30]);
        client.method(0, [0, 10, 0, 31], &[0, 10, 0, 2, 0, 0, 0, 0]);
        client.method(0, [0, 10, 0, 40], b"\x01/\0\0");
        client.expect([0, 10, 0, 41]);
        client.method(1, [0, 20, 0, 10], b"\0");
        client.expect([0, 20, 0, 11]);
        client
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let head =
            [&[kind][..], &channel.to_be_bytes(), &(payload.len() as u32).to_be_bytes()].concat();
        self.0.write_all(&[&head[..], payload, &[0xce]].concat()).unwrap();
    }

    fn method(&mut self, channel: u16, method: [u8; 4], arguments: &[u8]) {
        self.frame(1, channel, &[&method[..], arguments].concat());
    }

    fn expect(&mut self, method: [u8; 4]) {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes(head[3..].try_into().unwrap()) as usize + 1];
        self.0.read_exact(&mut payload).unwrap();
        assert_eq!(payload[..4], method);
    }

    /// Publishes to a queue, with a table of headers in wire format.
    fn publish(&mut self, queue: &str, table: &[u8], body: &[u8]) {
        let key = [&[queue.len() as u8][..], queue.as_bytes()].concat();
        self.method(1, [0, 60, 0, 40], &[&[0, 0, 0][..], &key, &[0]].concat());
        let size = (body.len() as u64).to_be_bytes();
        let headers = [&(table.len() as u32).to_be_bytes()[..], table].concat();
        self.frame(2, 1, &[&[0, 60, 0, 0][..], &size, &[0x20, 0], &headers].concat());
        if !body.is_empty() {
            self.frame(3, 1, body);
        }
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn message_with_headers_that_are_not_utf8_is_copied() {
    let connection = rabbitmq();
    let (queue, parking) = with_parking();
    let consumer =
        connection.consumer(&queue).retry(Retry::fixed(SHORTEST).attempts(2)).build().unwrap();
    let mut client = RawClient::connect();
    // A Latin-1 text, as clients of other languages write bytes, and a header after it.
    client.publish(&queue.name, b"\x06latin1S\0\0\0\x04caf\xe9\x06tenantS\0\0\0\x04acme", b"1");
    client.publish(&queue.name, b"\x06latin1S\0\0\0\x04caf\xe9", b"");
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(1).spawn_raw(move |message: Message| {
        sender.send((message.body().to_vec(), message.attempt())).unwrap();
        message.fail("no").unwrap();
    });
    let workers = workers.unwrap();
    let mut seen: Vec<_> = (0..4).map(|_| handled.recv_timeout(SOON).unwrap()).collect();
    seen.sort();
    let expected = [b"", b"", &b"1"[..], b"1"].map(<[u8]>::to_vec);
    assert_eq!(seen.iter().map(|(body, _)| body.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(seen.iter().map(|(_, attempt)| *attempt).collect::<Vec<_>>(), [1, 2, 1, 2]);
    workers.stop(SOON).unwrap();
    eventually("both are parked", || ready(&connection, &parking) == 2);
}
