//! Header values of each type, and octets that are not UTF-8, between Carrot and a client.
//!
//! `docs/interop.md` shows the results as a table.

use carrot::backend::ShortString;
use carrot::message::{Headers, Value};
use carrot::topology::DeleteIf;
use carrot::{Connection, Consumer, Exchange, Message};

use crate::program::Program;
use crate::support::{Broker, receive, unique};

/// Octets that are not UTF-8: "café" in Latin-1.
pub(crate) const LATIN_1: &[u8] = b"caf\xe9";

/// Values of each type of AMQP 0-9-1, with the limits of the integers.
fn values() -> Headers {
    let mut headers = Headers::from([
        ("void", Value::Void),
        ("bool", Value::Bool(true)),
        ("i8", Value::I8(i8::MIN)),
        ("u8", Value::U8(u8::MAX)),
        ("i16", Value::I16(i16::MIN)),
        ("u16", Value::U16(u16::MAX)),
        ("i32", Value::I32(i32::MIN)),
        ("u32", Value::U32(u32::MAX)),
        ("i64", Value::I64(i64::MIN)),
        ("greatest i64", Value::I64(i64::MAX)),
        ("f32", Value::F32(1.5)),
        ("f64", Value::F64(-0.1)),
        ("decimal", Value::Decimal { scale: 2, value: 314 }),
        ("negative decimal", Value::Decimal { scale: 2, value: -314 }),
        ("string", Value::from("Zoë")),
        ("empty string", Value::from("")),
        ("bytes", Value::from(b"text".to_vec())),
        ("bytes that are no text", Value::from(LATIN_1)),
        ("empty bytes", Value::Bytes(Vec::new())),
        ("timestamp", Value::Timestamp(1_700_000_000)),
        ("array", array(Value::I32(1))),
        ("empty array", Value::Array(Vec::new())),
        ("table", table(Value::I32(1))),
        ("empty table", Value::Table(Headers::new())),
    ]);
    headers.insert(ShortString::from_octets(LATIN_1), 1);
    headers
}

/// An array of four types.
pub(crate) fn array(first: Value) -> Value {
    let nested = Value::Array(vec![Value::Void]);
    Value::Array(vec![first, "a".into(), nested, Value::Table(Headers::new())])
}

/// A table within a table.
pub(crate) fn table(n: Value) -> Value {
    Value::Table(Headers::from([("inner", Headers::from([("n", n)]))]))
}

/// A queue, bound to a fanout exchange of the same name. Both are deleted when dropped.
pub(crate) struct Mailbox {
    connection: Connection,
    consumer: Consumer,
    exchange: Exchange,
}

impl Mailbox {
    pub(crate) fn new(broker: &Broker) -> Mailbox {
        let connection = broker.connect();
        let exchange = Exchange::fanout(unique("values"));
        let consumer =
            connection.consumer(&*exchange.name).exchange(exchange.clone()).build().unwrap();
        Mailbox { connection, consumer, exchange }
    }

    pub(crate) fn name(&self) -> &str {
        &self.exchange.name
    }

    /// Checks all four messages of a sending program: the headers, the octets that are not text, a
    /// message that cannot be read, and one after it.
    #[track_caller]
    pub(crate) fn check(&self, headers: &Headers, octets: &[u8]) {
        let messages = receive(&self.consumer, 4);
        let [values, octets_only, nested, last] = &messages[..] else { unreachable!() };
        assert_eq!(values.headers(), Some(headers));
        assert_eq!(values.unreadable(), None);

        assert_eq!(octets_only.content().routing_key.as_bytes(), octets);
        assert_eq!(correlation_id(octets_only), Some(octets));
        assert_eq!(octets_only.body(), LATIN_1);

        assert_eq!(
            nested.unreadable(),
            Some("the property list has more than 128 levels of nested tables and arrays")
        );
        assert_eq!((nested.headers(), nested.body()), (None, &b"nested"[..]));
        assert_eq!((last.unreadable(), last.text()), (None, Some("last")));
        for message in messages {
            message.ack().unwrap();
        }
    }

    /// Sends a value of each type. Checks the lines of a receiving program in any order, because
    /// RabbitMQ 4 sorts headers.
    #[track_caller]
    pub(crate) fn send_values(&self, program: &Program, lines: &[&str]) {
        let publisher =
            self.connection.publisher().exchange(self.exchange.clone()).build().unwrap();
        publisher.message().headers(values()).mandatory().send_bytes("body").unwrap();
        let mut printed: Vec<String> = lines.iter().map(|_| program.line()).collect();
        let mut expected = lines.to_vec();
        printed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(printed, expected);
    }

    /// Sends routing key, correlation id and body that are not UTF-8.
    #[track_caller]
    pub(crate) fn send_octets(&self, program: &Program, line: &str) {
        let publisher =
            self.connection.publisher().exchange(self.exchange.clone()).build().unwrap();
        let octets = ShortString::from_octets(LATIN_1);
        let message = publisher.message().routing_key(octets.clone()).correlation_id(octets);
        message.mandatory().send_bytes(LATIN_1).unwrap();
        program.expect(line);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let _ = self.connection.delete_exchange(&self.exchange.name, DeleteIf::ALWAYS);
        let _ = self.connection.delete_queue(&self.exchange.name, DeleteIf::ALWAYS);
    }
}

fn correlation_id(message: &Message) -> Option<&[u8]> {
    let mut strings = message.properties().strings();
    strings.find(|(name, _)| *name == "correlation-id").map(|(_, id)| id.as_bytes())
}
