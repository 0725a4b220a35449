//! amqplib, the client for Node.js. `./scripts/node` installs the client.

use carrot::message::{Headers, Value};

use crate::support::Broker;
use crate::values::{LATIN_1, Mailbox, array, table};

on_both_brokers! {
    amqplib_reads_values_of_carrot_and_rounds_large_integers,
    values_of_amqplib_keep_their_types,
}

fn values_of_amqplib_keep_their_types(broker: &Broker) {
    let mailbox = Mailbox::new(broker);
    let _amqplib = broker.node("amqplib_values", &[mailbox.name(), "send"]);
    let expected = Headers::from([
        ("boolean", Value::Bool(true)),
        ("number of 8 bits", Value::I8(-7)),
        ("number of 16 bits", Value::I16(-700)),
        ("number of 32 bits", Value::I32(-70_000)),
        ("number of 64 bits", Value::I64(-(1 << 53))),
        ("number beyond 64 bits", Value::F64((1_u64 << 63) as f64)),
        ("number with a fraction", Value::F64(-0.1)),
        ("string", "Zoë".into()),
        ("empty string", "".into()),
        ("Buffer", LATIN_1.into()),
        ("empty Buffer", Value::Bytes(Vec::new())),
        ("null", Value::Void),
        ("array", array(Value::I8(1))),
        ("empty array", Value::Array(Vec::new())),
        ("object", table(Value::I8(1))),
        ("empty object", Value::Table(Headers::new())),
        ("int8", Value::I8(i8::MIN)),
        ("uint8", Value::U8(u8::MAX)),
        ("int16", Value::I16(i16::MIN)),
        ("uint16", Value::U16(u16::MAX)),
        ("int32", Value::I32(i32::MIN)),
        ("uint32", Value::U32(u32::MAX)),
        ("int64", Value::I64(i64::MAX)),
        ("float", Value::F32(1.5)),
        ("double", Value::F64(2.0)),
        ("decimal", Value::Decimal { scale: 2, value: 314 }),
        ("timestamp", Value::Timestamp(1_700_000_000)),
        ("latest timestamp", Value::Timestamp(u64::MAX)),
    ]);
    mailbox.check(&expected, "café".as_bytes());
}

fn amqplib_reads_values_of_carrot_and_rounds_large_integers(broker: &Broker) {
    let mailbox = Mailbox::new(broker);
    let amqplib = broker.node("amqplib_values", &[mailbox.name(), "receive"]);
    mailbox.send_values(
        &amqplib,
        &[
            "void: null",
            "bool: true",
            "i8: -128",
            "u8: 255",
            "i16: -32768",
            "u16: 65535",
            "i32: -2147483648",
            "u32: 4294967295",
            "i64: -9223372036854776000",
            "greatest i64: 9223372036854776000",
            "f32: 1.5",
            "f64: -0.1",
            "decimal: { '!': 'decimal', value: { places: 2, digits: 314 } }",
            "negative decimal: { '!': 'decimal', value: { places: 2, digits: 4294966982 } }",
            "string: 'Zoë'",
            "empty string: ''",
            "bytes: <Buffer 74 65 78 74>",
            "bytes that are no text: <Buffer 63 61 66 e9>",
            "empty bytes: <Buffer >",
            "timestamp: { '!': 'timestamp', value: 1700000000 }",
            "array: [ 1, 'a', [ null ], {} ]",
            "empty array: []",
            "table: { inner: { n: 1 } }",
            "empty table: {}",
            "caf\u{fffd}: 1",
            "'' undefined <Buffer 62 6f 64 79>",
        ],
    );
    mailbox.send_octets(&amqplib, "'caf\u{fffd}' 'caf\u{fffd}' <Buffer 63 61 66 e9>");
}
