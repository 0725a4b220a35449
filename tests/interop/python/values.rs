//! Header values of each type, with pika and with py-amqp, on which kombu and celery are built.

use carrot::backend::ShortString;
use carrot::message::{Headers, Value};

use crate::support::Broker;
use crate::values::{LATIN_1, Mailbox, array, table};

on_both_brokers! {
    pika_reads_values_of_carrot_and_truncates_floats,
    py_amqp_reads_values_of_carrot_and_ends_at_an_id_that_is_no_text,
    values_of_pika_keep_their_types,
    values_of_py_amqp_keep_their_types_except_bytes_that_are_text,
}

/// The values that both clients send, and Carrot reads alike.
fn common() -> Headers {
    let mut headers = Headers::from([
        ("bool", Value::Bool(true)),
        ("int", Value::I32(-7)),
        ("int beyond 32 bits", Value::I64(i64::MIN)),
        ("decimal", Value::Decimal { scale: 2, value: -314 }),
        ("str", "Zoë".into()),
        ("empty str", "".into()),
        ("bytes that are no text", LATIN_1.into()),
        ("datetime", Value::Timestamp(1_700_000_000)),
        ("None", Value::Void),
        ("list", array(Value::I32(1))),
        ("empty list", Value::Array(Vec::new())),
        ("dict", table(Value::I32(1))),
        ("empty dict", Value::Table(Headers::new())),
    ]);
    headers.insert(ShortString::from_octets(LATIN_1), 1);
    headers
}

/// Returns what both clients print for the values of Carrot, and the lines in which they differ.
fn printed(own: [&'static str; 5]) -> Vec<&'static str> {
    let common = [
        "void: NoneType None",
        "bool: bool True",
        "i8: int -128",
        "u8: int 255",
        "i16: int -32768",
        "u16: int 65535",
        "i32: int -2147483648",
        "u32: int 4294967295",
        "decimal: Decimal Decimal('3.14')",
        "negative decimal: Decimal Decimal('-3.14')",
        "string: str 'Zoë'",
        "empty string: str ''",
        "bytes: bytes b'text'",
        r"bytes that are no text: bytes b'caf\xe9'",
        "empty bytes: bytes b''",
        "array: list [1, 'a', [None], {}]",
        "empty array: list []",
        "table: dict {'inner': {'n': 1}}",
        "empty table: dict {}",
        r"b'caf\xe9': int 1",
        "'' None b'body'",
    ];
    common.into_iter().chain(own).collect()
}

fn values_of_pika_keep_their_types(broker: &Broker) {
    let mailbox = Mailbox::new(broker);
    let _pika = broker.python("pika_values", &[mailbox.name(), "send"]);
    let mut expected = common();
    expected.insert("bytes", b"text".to_vec());
    mailbox.check(&expected, LATIN_1);
}

fn values_of_py_amqp_keep_their_types_except_bytes_that_are_text(broker: &Broker) {
    let mailbox = Mailbox::new(broker);
    let _amqp = broker.python("amqp_values", &[mailbox.name(), "send"]);
    let mut expected = common();
    expected.insert("float", -0.1);
    expected.insert("bytes", "text");
    mailbox.check(&expected, LATIN_1);
}

fn pika_reads_values_of_carrot_and_truncates_floats(broker: &Broker) {
    let mailbox = Mailbox::new(broker);
    let pika = broker.python("pika_values", &[mailbox.name(), "receive"]);
    mailbox.send_values(
        &pika,
        &printed([
            "i64: long -9223372036854775808",
            "greatest i64: long 9223372036854775807",
            "f32: long 1",
            "f64: long 0",
            "timestamp: datetime \
             datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc)",
        ]),
    );
    mailbox.send_octets(&pika, r"b'caf\xe9' b'caf\xe9' b'caf\xe9'");
}

fn py_amqp_reads_values_of_carrot_and_ends_at_an_id_that_is_no_text(broker: &Broker) {
    let mailbox = Mailbox::new(broker);
    let amqp = broker.python("amqp_values", &[mailbox.name(), "receive"]);
    mailbox.send_values(
        &amqp,
        &printed([
            "i64: int -9223372036854775808",
            "greatest i64: int 9223372036854775807",
            "f32: float 1.5",
            "f64: float -0.1",
            "timestamp: datetime datetime.datetime(2023, 11, 14, 22, 13, 20)",
        ]),
    );
    mailbox.send_octets(&amqp, r"UnicodeDecodeError b'caf\xe9'");
}
