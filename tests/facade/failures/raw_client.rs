//! A minimal AMQP client, which publishes messages byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;

use carrot::ConnectionOptions;

use crate::support::SOON;

pub(super) struct RawClient(TcpStream);

impl RawClient {
    pub(super) fn connect(options: &ConnectionOptions) -> RawClient {
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
        client.method(1, [0, 85, 0, 10], b"\0");
        client.expect([0, 85, 0, 11]);
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
        assert_eq!(payload[..4], method, "{}", String::from_utf8_lossy(&payload));
    }

    /// Publishes a message with a property list in wire format, and waits for its confirm.
    pub(super) fn publish(&mut self, exchange: &str, key: &[u8], properties: &[u8], body: &[u8]) {
        let short = |octets: &[u8]| [&[octets.len() as u8][..], octets].concat();
        let arguments = [&[0, 0][..], &short(exchange.as_bytes()), &short(key), &[0]].concat();
        self.method(1, [0, 60, 0, 40], &arguments);
        let size = (body.len() as u64).to_be_bytes();
        self.frame(2, 1, &[&[0, 60, 0, 0][..], &size, properties].concat());
        if !body.is_empty() {
            self.frame(3, 1, body);
        }
        self.expect([0, 60, 0, 80]);
    }
}

/// A property list of headers only, from a table in wire format.
pub(super) fn headers(table: &[u8]) -> Vec<u8> {
    [&[0x20, 0][..], &(table.len() as u32).to_be_bytes(), table].concat()
}

/// A table with one array, which holds an array, down to this level.
pub(super) fn nested(levels: usize) -> Vec<u8> {
    let mut value = vec![b'V'];
    for _ in 0..levels {
        value = [&b"A"[..], &(value.len() as u32).to_be_bytes(), &value].concat();
    }
    [&b"\x06nested"[..], &value].concat()
}
