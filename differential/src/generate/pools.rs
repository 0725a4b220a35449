//! The pools of names, keys and values.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use crate::specs::{ExchangeName, Key, QueueName, Table, TableValue};
use crate::unspecified::SHORTLY;

pub(super) const QUEUES: u8 = 4;
pub(super) const EXCHANGES: u8 = 3;
pub(super) const LONG: i64 = 3_600_000;

pub(super) fn queue_name(unusual: bool) -> BoxedStrategy<QueueName> {
    let slot = (0..QUEUES).prop_map(QueueName::Slot).boxed();
    if !unusual {
        return Union::new_weighted(vec![(16, slot), (1, Just(QueueName::Empty).boxed())]).boxed();
    }
    Union::new_weighted(vec![
        (20, slot),
        (160, (0..QUEUES).prop_map(QueueName::Known).boxed()),
        (8, (0..2u8).prop_map(QueueName::Server).boxed()),
        (6, Just(QueueName::Empty).boxed()),
        (1, Just(QueueName::Reserved).boxed()),
        (1, Just(QueueName::ReplyTo).boxed()),
        (1, Just(QueueName::TooLong).boxed()),
    ])
    .boxed()
}

pub(super) fn exchange_name(unusual: bool) -> BoxedStrategy<ExchangeName> {
    let slot = (0..EXCHANGES).prop_map(ExchangeName::Slot).boxed();
    if !unusual {
        return slot;
    }
    let amq =
        select(vec!["direct", "fanout", "topic", "headers", "match", "reserved", "rabbitmq.trace"]);
    Union::new_weighted(vec![
        (20, slot),
        (40, (0..EXCHANGES).prop_map(ExchangeName::Known).boxed()),
        (3, amq.prop_map(|kind| ExchangeName::Amq(kind.into())).boxed()),
        (2, Just(ExchangeName::Default).boxed()),
        (1, Just(ExchangeName::TooLong).boxed()),
    ])
    .boxed()
}

pub(super) fn key() -> BoxedStrategy<Key> {
    let words = select(vec!["", "a", "b", "a.b", "a.b.c", "b.a", "a.", ".", "*", "#"])
        .prop_map(|words| Key::Words(words.into()));
    let queue = queue_name(true).prop_map(Key::Queue).boxed();
    Union::new_weighted(vec![
        (60, words.boxed()),
        (20, queue),
        (1, Just(Key::ReplyAddress).boxed()),
        (1, Just(Key::TooLong).boxed()),
    ])
    .boxed()
}

pub(super) fn pattern() -> BoxedStrategy<Key> {
    let patterns = vec![
        "", "a", "b", "a.b", "*", "#", "a.*", "a.#", "#.b", "*.b", "a.*.c", "*.#", "#.#", "a.#.c",
        "a.b.#", "x.y",
    ];
    let words = select(patterns).prop_map(|words| Key::Words(words.into()));
    Union::new_weighted(vec![
        (60, words.boxed()),
        (6, queue_name(false).prop_map(Key::Queue).boxed()),
        (1, Just(Key::TooLong).boxed()),
    ])
    .boxed()
}

pub(super) fn flag(probability: f64) -> impl Strategy<Value = bool> + Clone {
    prop::bool::weighted(probability)
}

pub(super) fn one(
    name: &'static str,
    value: impl Strategy<Value = TableValue> + 'static,
) -> BoxedStrategy<Table> {
    value.prop_map(move |value| vec![(name.to_string(), value)]).boxed()
}

pub(super) fn text(text: &str) -> TableValue {
    TableValue::String(text.into())
}

pub(super) fn shortly() -> i64 {
    i64::try_from(SHORTLY.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn header() -> BoxedStrategy<(String, TableValue)> {
    let name = select(vec!["h", "i", "x-j"]);
    let value = select(vec![
        TableValue::I32(1),
        TableValue::I64(1),
        TableValue::I8(1),
        TableValue::U8(1),
        TableValue::I16(1),
        TableValue::U16(1),
        TableValue::U32(1),
        text("1"),
        text("b"),
        TableValue::Bool(true),
        TableValue::F64(1.0),
        TableValue::F32(1.0),
        TableValue::Void,
        TableValue::Bytes(b"b".to_vec()),
        TableValue::Timestamp(1),
        TableValue::Decimal(0, 1),
        TableValue::Array(vec![TableValue::I32(1), text("b")]),
        TableValue::Table(vec![("k".into(), TableValue::I32(1))]),
    ]);
    let likely = select(vec![TableValue::I32(1), text("b"), TableValue::Bool(true)]);
    (name, prop_oneof![2 => likely, 1 => value])
        .prop_map(|(name, value)| (name.to_string(), value))
        .boxed()
}

pub(super) fn distinct(pairs: Vec<(String, TableValue)>) -> Table {
    let mut table = Table::new();
    for (name, value) in pairs {
        if !table.iter().any(|(other, _)| *other == name) {
            table.push((name, value));
        }
    }
    table
}
