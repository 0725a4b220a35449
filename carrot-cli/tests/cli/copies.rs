//! Copies of messages, which are equal to their originals.

use carrot::backend::ShortString;
use carrot::message::{DeliveryMode, Headers, Properties, Value};
use carrot::{Connection, Queue};

use crate::support::{TestBroker, on_each_broker};

on_each_broker! {
    copy_by_json_lines_is_equal_to_its_original
    move_to_a_queue_keeps_the_message
}

/// Every kind of value.
fn headers() -> Headers {
    let inner = Headers::from([("z", Value::Void), ("a", Value::Array(vec!["x".into()]))]);
    let array = vec![Value::I32(1), Value::Bytes(vec![0, 255]), Value::Table(inner.clone())];
    let of_type = Headers::from([("!i8", Value::I32(7))]);
    Headers::from([
        ("void", Value::Void),
        ("bool", Value::Bool(true)),
        ("i8", Value::I8(-8)),
        ("u8", Value::U8(8)),
        ("i16", Value::I16(-16)),
        ("u16", Value::U16(16)),
        ("i32", Value::I32(-32)),
        ("u32", Value::U32(u32::MAX)),
        ("small i64", Value::I64(64)),
        ("i64", Value::I64(i64::MIN)),
        ("f32", Value::F32(0.1)),
        ("f64", Value::F64(0.1 + 0.2)),
        ("whole f64", Value::F64(-0.0)),
        ("decimal", Value::Decimal { scale: 2, value: 314 }),
        ("text", "line\nbreak \u{1b} \u{1f955}".into()),
        ("empty", "".into()),
        ("bytes", Value::Bytes(vec![0xc3, 0, 255])),
        ("timestamp", Value::Timestamp(1_700_000_000)),
        ("array", Value::Array(array)),
        ("table", Value::Table(Headers::from([("inner", Value::Table(inner))]))),
        ("name of a type", Value::Table(of_type)),
    ])
}

/// Messages with every property, with some, and with none.
fn originals(user: &str) -> Vec<(Properties, Vec<u8>)> {
    let all = Properties::new()
        .with_content_type("text/plain")
        .with_content_encoding("identity")
        .with_headers(headers())
        .with_delivery_mode(DeliveryMode::Persistent)
        .with_priority(0)
        .with_correlation_id("correlation")
        .with_reply_to("reply")
        .with_expiration("3600000")
        .with_message_id("id")
        .with_timestamp(1_700_000_000)
        .with_kind("kind")
        .with_user_id(user)
        .with_app_id("app")
        .with_cluster_id("cluster");
    let transient = Properties::new().with_delivery_mode(DeliveryMode::Transient);
    let mut messages = vec![
        (all.clone(), b"caf\xc3\xa9\n\0".to_vec()),
        (all.without_message_id(), (0..=255).collect()),
        (Properties::new(), Vec::new()),
        (Properties::new(), vec![0xff]),
        (transient, b"{}".to_vec()),
        (Properties::new().with_headers(Headers::new()), b"x".to_vec()),
        (
            Properties::new().with_app_id(ShortString::from_octets(b"not UTF-8: \xff")),
            b"x".to_vec(),
        ),
        (Properties::new().with_message_id("").with_content_type(""), b"x".to_vec()),
    ];
    for (name, value) in headers() {
        messages.push((Properties::new().with_header(name, value), b"x".to_vec()));
    }
    messages
}

fn user_of(broker: &TestBroker) -> String {
    let rest = broker.url.split_once("://").unwrap().1;
    let user = rest.split_once('@').map(|(login, _)| login.split(':').next().unwrap());
    user.unwrap_or("guest").into()
}

/// Publishes messages whose properties are exactly these.
fn publish(connection: &Connection, queue: &str, messages: &[(Properties, Vec<u8>)]) {
    let publisher = connection.publisher().routing_key(queue).mandatory().build().unwrap();
    for (properties, body) in messages {
        let message = publisher.message().without_message_id();
        message.properties(|_| properties.clone()).send_bytes(body.as_slice()).unwrap();
    }
}

/// Asserts that a queue has these messages, without another property.
fn has(connection: &Connection, queue: &str, messages: &[(Properties, Vec<u8>)]) {
    let consumer = connection.consumer(Queue::existing(queue)).build().unwrap();
    for (properties, body) in messages {
        let message = consumer.fetch().unwrap().expect("a copy is missing");
        assert_eq!((message.properties(), message.body()), (properties, body.as_slice()));
        message.ack().unwrap();
    }
    assert!(consumer.fetch().unwrap().is_none(), "a copy too many");
    consumer.close().unwrap();
}

fn copy_by_json_lines_is_equal_to_its_original(broker: &TestBroker) {
    let connection = carrot::connect(&*broker.url).unwrap();
    let (from, to, again) = (broker.queue(&[]), broker.queue(&[]), broker.queue(&[]));
    let originals = originals(&user_of(broker));
    publish(&connection, &from, &originals);
    let count = originals.len().to_string();
    let records = broker.ok(&["consume", &from, "--json", "-n", &count]);
    for queue in [&to, &again] {
        let ran = broker.run(&["publish", "--json-lines", "-q", queue], &records);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    has(&connection, &to, &originals);
    let copies = broker.ok(&["consume", &again, "--json", "-n", &count]);
    assert_eq!(copies, records.replace(&from, &again));
}

fn move_to_a_queue_keeps_the_message(broker: &TestBroker) {
    let connection = carrot::connect(&*broker.url).unwrap();
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    let originals = originals(&user_of(broker));
    publish(&connection, &from, &originals);
    broker.ok(&["move", &from, "--to", &to]);
    has(&connection, &to, &originals);
}
