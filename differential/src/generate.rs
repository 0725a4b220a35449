//! Random programs.
//!
//! Every operation is drawn on its own, from small pools of names, keys and arguments; nothing looks at what went before, so a part of
//! a program is a program. (A state machine with a reference state would need that state to be cheap to copy, and the reference here is
//! a broker.)

use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::open::SHORTLY;
use crate::program::{
    Action, BindingSpec, CHANNELS, ConsumeSpec, Data, ExchangeName, ExchangeSpec, Key, Operation, Pick, Program, PropertiesSpec,
    PublishSpec, QueueName, QueueSpec, Table, Target,
};

const QUEUES: u8 = 4;
const EXCHANGES: u8 = 3;
const LONG: i64 = 3_600_000;

/// The program of a number in the series of a seed.
pub fn program(seed: u64, number: u64) -> Program {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    thread_local! {
        static PROGRAMS: BoxedStrategy<Program> = programs();
    }
    match PROGRAMS.with(|programs| programs.new_tree(&mut runner)) {
        Ok(tree) => tree.current(),
        Err(reason) => panic!("no strategy rejects anything: {reason}"),
    }
}

/// Programs of 20 to 60 operations; three of ten have to do with time. Half are about everything, with many mistakes; the other half are
/// about messages on their way through few, sound queues.
pub fn programs() -> BoxedStrategy<Program> {
    let kinds = vec![(7, programs_of(false)), (3, programs_of(true)), (7, message_programs_of(false)), (3, message_programs_of(true))];
    Union::new_weighted(kinds).boxed()
}

fn programs_of(timed: bool) -> BoxedStrategy<Program> {
    let exchanges = setup(exchange_spec(false).prop_map(Action::DeclareExchange), 1..=4);
    let queues = setup(queue_spec(timed, false).prop_map(Action::DeclareQueue), 2..=6);
    let bindings = setup(setup_binding().prop_map(Action::Bind), 2..=8);
    let rest = prop::collection::vec(operations(timed), 15..=42);
    (exchanges, queues, bindings, rest)
        .prop_map(|(exchanges, queues, bindings, rest)| Program {
            operations: exchanges.into_iter().chain(queues).chain(bindings).chain(rest).collect(),
        })
        .boxed()
}

fn message_programs_of(timed: bool) -> BoxedStrategy<Program> {
    let exchanges = setup(exchange_spec(false).prop_map(Action::DeclareExchange), 0..=2);
    let queues: Vec<BoxedStrategy<Operation>> = (0..QUEUES - 1)
        .map(|slot| {
            let declare = sound_queue(timed).prop_map(move |arguments| {
                Action::DeclareQueue(QueueSpec {
                    name: QueueName::Slot(slot),
                    transient: false,
                    exclusive: false,
                    auto_delete: false,
                    passive: false,
                    arguments,
                })
            });
            (0..8u8, declare)
                .prop_map(|(channel, action)| Operation { channel: channel / 7 * (CHANNELS - 1), even_if_dead: false, action })
                .boxed()
        })
        .collect();
    let bindings = setup(setup_binding().prop_map(Action::Bind), 0..=4);
    let channel = prop_oneof![8 => Just(0), 2 => Just(1), 1 => Just(2), 2 => Just(CHANNELS - 1)];
    let operation = (channel, message_actions(timed)).prop_map(|(channel, action)| Operation { channel, even_if_dead: false, action });
    let rest = prop::collection::vec(operation, 18..=50);
    (exchanges, queues, bindings, rest)
        .prop_map(|(exchanges, queues, bindings, rest)| Program {
            operations: exchanges.into_iter().chain(queues).chain(bindings).chain(rest).collect(),
        })
        .boxed()
}

fn message_actions(timed: bool) -> BoxedStrategy<Action> {
    let queue = || (0..QUEUES - 1).prop_map(QueueName::Known);
    let unsettled = || prop_oneof![20 => (0..6u8).prop_map(Pick::Unsettled), 1 => Just(Pick::Zero)];
    let subscription = any::<u8>;
    let mut choices = vec![
        (30, message_publication(timed).prop_map(Action::Publish).boxed()),
        (1, Just(Action::Confirm).boxed()),
        (10, (queue(), flag(0.2)).prop_map(|(queue, automatic)| Action::Get { queue, automatic }).boxed()),
        (8, (queue(), consume_spec(false)).prop_map(|(queue, spec)| Action::Consume(ConsumeSpec { queue, ..spec })).boxed()),
        (4, (subscription(), 1..4u8).prop_map(|(subscription, most)| Action::Take { subscription, most }).boxed()),
        (2, subscription().prop_map(|subscription| Action::Cancel { subscription }).boxed()),
        (2, subscription().prop_map(|subscription| Action::DropSubscription { subscription }).boxed()),
        (
            6,
            (unsettled(), flag(0.25))
                // Tag zero alone is a mistake.
                .prop_map(|(delivery, multiple)| Action::Ack { delivery, multiple: multiple || delivery == Pick::Zero })
                .boxed(),
        ),
        (
            16,
            (unsettled(), flag(0.4), flag(0.25))
                .prop_map(|(delivery, requeue, multiple)| Action::Reject {
                    delivery,
                    requeue,
                    multiple: multiple || delivery == Pick::Zero,
                })
                .boxed(),
        ),
        (1, queue().prop_map(Action::Purge).boxed()),
        (1, Just(Action::CloseChannel).boxed()),
        (1, Just(Action::DropChannel).boxed()),
    ];
    if timed {
        choices.push((6, Just(Action::Wait).boxed()));
    }
    Union::new_weighted(choices).boxed()
}

fn message_publication(timed: bool) -> BoxedStrategy<PublishSpec> {
    let target = prop_oneof![
        6 => (Just(ExchangeName::Default), (0..QUEUES - 1).prop_map(QueueName::Known).prop_map(Key::Queue)),
        2 => ((0..2u8).prop_map(ExchangeName::Known), key()),
    ];
    (target, publish_spec(timed))
        .prop_map(|((exchange, key), mut spec)| {
            spec.properties.user_id = None;
            spec.properties.delivery_mode = spec.properties.delivery_mode.map(|mode| mode.clamp(1, 2));
            if spec.properties.expiration.as_ref().is_some_and(|expiration| expiration.parse::<u32>().is_err()) {
                spec.properties.expiration = None;
            }
            PublishSpec { exchange, key, ..spec }
        })
        .boxed()
}

fn sound_queue(timed: bool) -> BoxedStrategy<Table> {
    let ttl = if timed { vec![shortly(), shortly(), 0] } else { vec![0, LONG] };
    let overflow = select(vec![text("drop-head"), text("reject-publish"), text("reject-publish-dlx")]);
    let length = prop_oneof![
        3 => (0..4i64).prop_map(|most| ("x-max-length", most)),
        1 => select(vec![0i64, 2, 5, 30]).prop_map(|most| ("x-max-length-bytes", most)),
    ];
    let limits = (length, prop::option::weighted(0.6, overflow)).prop_map(|((name, most), overflow)| {
        let mut table = vec![(name.to_string(), Data::I64(most))];
        table.extend(overflow.map(|overflow| ("x-overflow".to_string(), overflow)));
        table
    });
    let some = |probability: f64, group: BoxedStrategy<Table>| prop::option::weighted(probability, group);
    (
        some(0.6, dead_letters()),
        some(0.35, limits.boxed()),
        some(if timed { 0.5 } else { 0.15 }, one("x-message-ttl", select(ttl).prop_map(Data::I64))),
        some(0.2, one("x-max-priority", select(vec![Data::I32(1), Data::I32(4)]))),
        some(0.08, one("x-single-active-consumer", Just(Data::Bool(true)))),
        some(if timed { 0.15 } else { 0.05 }, one("x-expires", Just(Data::I64(if timed { shortly() } else { LONG })))),
    )
        .prop_map(|(dead_letters, limits, ttl, priority, single, expires)| {
            [dead_letters, limits, ttl, priority, single, expires].into_iter().flatten().flatten().collect()
        })
        .boxed()
}

fn setup(action: impl Strategy<Value = Action> + 'static, count: RangeInclusive<usize>) -> BoxedStrategy<Vec<Operation>> {
    let channel = prop_oneof![6 => Just(0), 1 => Just(CHANNELS - 1)];
    let operation = (channel, action).prop_map(|(channel, action)| Operation { channel, even_if_dead: false, action });
    prop::collection::vec(operation, count).boxed()
}

fn operations(timed: bool) -> BoxedStrategy<Operation> {
    let channel = prop_oneof![5 => Just(0), 3 => Just(1), 2 => Just(2), 3 => Just(CHANNELS - 1)];
    (channel, prop::bool::weighted(0.15), actions(timed))
        .prop_map(|(channel, even_if_dead, action)| Operation { channel, even_if_dead, action })
        .boxed()
}

fn actions(timed: bool) -> BoxedStrategy<Action> {
    let mut choices = vec![
        (3, exchange_spec(true).prop_map(Action::DeclareExchange).boxed()),
        (5, queue_spec(timed, true).prop_map(Action::DeclareQueue).boxed()),
        (5, binding_spec(true).prop_map(Action::Bind).boxed()),
        (2, binding_spec(true).prop_map(Action::Unbind).boxed()),
        (1, (exchange_name(true), any::<bool>()).prop_map(|(name, if_unused)| Action::DeleteExchange { name, if_unused }).boxed()),
        (
            2,
            (queue_name(true), any::<bool>(), any::<bool>())
                .prop_map(|(name, if_unused, if_empty)| Action::DeleteQueue { name, if_unused, if_empty })
                .boxed(),
        ),
        (1, queue_name(true).prop_map(Action::Purge).boxed()),
        (34, publish_spec(timed).prop_map(Action::Publish).boxed()),
        (2, Just(Action::Confirm).boxed()),
        (10, (queue_name(true), prop::bool::weighted(0.25)).prop_map(|(queue, automatic)| Action::Get { queue, automatic }).boxed()),
        (10, consume_spec(true).prop_map(Action::Consume).boxed()),
        (4, (any::<u8>(), 1..4u8).prop_map(|(subscription, most)| Action::Take { subscription, most }).boxed()),
        (3, any::<u8>().prop_map(|subscription| Action::Cancel { subscription }).boxed()),
        (2, any::<u8>().prop_map(|subscription| Action::DropSubscription { subscription }).boxed()),
        (10, (pick(), prop::bool::weighted(0.25)).prop_map(|(delivery, multiple)| Action::Ack { delivery, multiple }).boxed()),
        (
            12,
            (pick(), any::<bool>(), prop::bool::weighted(0.25))
                .prop_map(|(delivery, requeue, multiple)| Action::Reject { delivery, requeue, multiple })
                .boxed(),
        ),
        (2, Just(Action::CloseChannel).boxed()),
        (1, Just(Action::DropChannel).boxed()),
        (1, Just(Action::CloseConnection).boxed()),
    ];
    if timed {
        choices.push((4, Just(Action::Wait).boxed()));
    }
    Union::new_weighted(choices).boxed()
}

fn queue_name(odd: bool) -> BoxedStrategy<QueueName> {
    let slot = (0..QUEUES).prop_map(QueueName::Slot).boxed();
    if !odd {
        return Union::new_weighted(vec![(16, slot), (1, Just(QueueName::Empty).boxed())]).boxed();
    }
    Union::new_weighted(vec![
        (20, slot),
        (160, (0..QUEUES).prop_map(QueueName::Known).boxed()),
        (8, (0..2u8).prop_map(QueueName::Server).boxed()),
        (6, Just(QueueName::Empty).boxed()),
        (1, Just(QueueName::Reserved).boxed()),
        (1, Just(QueueName::TooLong).boxed()),
    ])
    .boxed()
}

fn exchange_name(odd: bool) -> BoxedStrategy<ExchangeName> {
    let slot = (0..EXCHANGES).prop_map(ExchangeName::Slot).boxed();
    if !odd {
        return slot;
    }
    let amq = select(vec!["direct", "fanout", "topic", "headers", "match", "reserved", "rabbitmq.trace"]);
    Union::new_weighted(vec![
        (20, slot),
        (40, (0..EXCHANGES).prop_map(ExchangeName::Known).boxed()),
        (3, amq.prop_map(|kind| ExchangeName::Amq(kind.into())).boxed()),
        (2, Just(ExchangeName::Default).boxed()),
        (1, Just(ExchangeName::TooLong).boxed()),
    ])
    .boxed()
}

fn key() -> BoxedStrategy<Key> {
    let words = select(vec!["", "a", "b", "a.b", "a.b.c", "b.a", "a.", ".", "*", "#"]).prop_map(|words| Key::Words(words.into()));
    Union::new_weighted(vec![(60, words.boxed()), (20, queue_name(true).prop_map(Key::Queue).boxed()), (1, Just(Key::TooLong).boxed())])
        .boxed()
}

fn pattern() -> BoxedStrategy<Key> {
    let patterns = vec!["", "a", "b", "a.b", "*", "#", "a.*", "a.#", "#.b", "*.b", "a.*.c", "*.#", "#.#", "a.#.c", "a.b.#", "x.y"];
    let words = select(patterns).prop_map(|words| Key::Words(words.into()));
    Union::new_weighted(vec![(60, words.boxed()), (6, queue_name(false).prop_map(Key::Queue).boxed()), (1, Just(Key::TooLong).boxed())])
        .boxed()
}

fn flag(probability: f64) -> impl Strategy<Value = bool> + Clone {
    prop::bool::weighted(probability)
}

fn exchange_spec(odd: bool) -> BoxedStrategy<ExchangeSpec> {
    let kind = select(vec!["direct", "fanout", "topic", "headers"]);
    let kind = if odd { prop_oneof![40 => kind, 1 => Just("x-unknown")].boxed() } else { kind.boxed() };
    let alternate = prop_oneof![
        8 => exchange_name(false).prop_map(Data::ExchangeName),
        1 => Just(Data::String("missing".into())),
        1 => Just(Data::I32(7)),
    ];
    let arguments = prop_oneof![
        7 => Just(Table::new()),
        3 => alternate.prop_map(|value| vec![("alternate-exchange".to_string(), value)]),
        1 => Just(vec![("x-custom".to_string(), Data::Bool(true))]),
    ];
    (exchange_name(odd), kind, flag(0.1), flag(0.15), flag(0.08), flag(if odd { 0.2 } else { 0.0 }), arguments)
        .prop_map(|(name, kind, transient, auto_delete, internal, passive, arguments)| ExchangeSpec {
            name,
            kind: kind.into(),
            transient,
            auto_delete,
            internal,
            passive,
            arguments,
        })
        .boxed()
}

fn queue_spec(timed: bool, odd: bool) -> BoxedStrategy<QueueSpec> {
    let plain = queue_name(odd).prop_map(|name| QueueSpec {
        name,
        transient: false,
        exclusive: false,
        auto_delete: false,
        passive: false,
        arguments: Table::new(),
    });
    let arguments = prop::collection::vec(queue_arguments(timed), 0..=3).prop_map(|groups| {
        let mut arguments = Table::new();
        for (name, value) in groups.into_iter().flatten() {
            if !arguments.iter().any(|(other, _)| *other == name) {
                arguments.push((name, value));
            }
        }
        arguments
    });
    let special = (queue_name(odd), flag(0.2), flag(0.12), flag(0.2), flag(if odd { 0.15 } else { 0.0 }), arguments).prop_map(
        |(name, transient, exclusive, auto_delete, passive, arguments)| QueueSpec {
            name,
            transient,
            exclusive,
            auto_delete,
            passive,
            arguments,
        },
    );
    prop_oneof![3 => plain, 7 => special].boxed()
}

fn one(name: &'static str, value: impl Strategy<Value = Data> + 'static) -> BoxedStrategy<Table> {
    value.prop_map(move |value| vec![(name.to_string(), value)]).boxed()
}

fn text(text: &str) -> Data {
    Data::String(text.into())
}

fn shortly() -> i64 {
    i64::try_from(SHORTLY.as_millis()).unwrap_or(i64::MAX)
}

fn queue_arguments(timed: bool) -> BoxedStrategy<Table> {
    let (ttl, expires) = if timed {
        (vec![Data::I64(shortly()), Data::I64(shortly()), Data::I64(0)], vec![Data::I64(shortly())])
    } else {
        (vec![Data::I64(0), Data::I64(LONG), Data::I32(0)], vec![Data::I64(LONG), Data::I32(3_600_000)])
    };
    Union::new_weighted(vec![
        (if timed { 10 } else { 3 }, one("x-message-ttl", select(ttl))),
        (if timed { 5 } else { 1 }, one("x-expires", select(expires))),
        (6, one("x-max-length", select(vec![Data::I64(0), Data::I64(1), Data::I64(2), Data::I32(2), Data::I64(3)]))),
        (3, one("x-max-length-bytes", select(vec![Data::I64(0), Data::I64(2), Data::I64(5), Data::I64(30), Data::I64(300)]))),
        (4, one("x-overflow", select(vec![text("drop-head"), text("reject-publish"), text("reject-publish-dlx")]))),
        (14, dead_letters()),
        (4, one("x-max-priority", select(vec![Data::I32(1), Data::I32(4), Data::U8(4), Data::I32(255), Data::I32(0)]))),
        (3, one("x-single-active-consumer", any::<bool>().prop_map(Data::Bool))),
        (1, one("x-queue-mode", select(vec![text("lazy"), text("default")]))),
        (1, one("x-queue-type", select(vec![text("classic"), text("classic"), text("nonsense")]))),
        (1, one("x-queue-version", select(vec![Data::I32(1), Data::I32(2), Data::I32(3)]))),
        (1, one("x-custom", select(vec![text("anything"), Data::Void, Data::Table(vec![("x".into(), Data::F64(0.5))])]))),
        (2, invalid_queue_argument()),
    ])
    .boxed()
}

fn dead_letters() -> BoxedStrategy<Table> {
    (
        prop_oneof![6 => exchange_name(false), 5 => Just(ExchangeName::Default), 1 => Just(ExchangeName::Amq("fanout".into()))],
        prop::option::weighted(
            0.7,
            prop_oneof![5 => (0..QUEUES).prop_map(QueueName::Slot).prop_map(Data::QueueName), 2 => Just(text("a"))],
        ),
    )
        .prop_map(|(exchange, key)| {
            let mut table = vec![("x-dead-letter-exchange".to_string(), Data::ExchangeName(exchange))];
            table.extend(key.map(|key| ("x-dead-letter-routing-key".to_string(), key)));
            table
        })
        .boxed()
}

fn invalid_queue_argument() -> BoxedStrategy<Table> {
    let numbers = select(vec!["x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-priority", "x-queue-version"]);
    let no_numbers = select(vec![
        text("10"),
        Data::Bool(true),
        Data::F64(1.5),
        Data::F32(1.0),
        Data::I64(-1),
        Data::I64(i64::MAX),
        Data::I64(315_360_000_001),
        Data::Void,
        Data::Decimal(1, 10),
        Data::Timestamp(10),
        Data::Bytes(vec![1]),
        Data::Array(vec![Data::I32(1)]),
        Data::I32(3_600_000),
        Data::I32(0),
    ]);
    let strings = select(vec![
        "x-overflow",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-queue-mode",
        "x-queue-type",
        "x-single-active-consumer",
    ]);
    let no_strings = select(vec![text("nonsense"), text(""), Data::I32(1), Data::Bool(false), Data::Void, Data::Array(vec![])]);
    let strange = select(vec![
        ("x-queue-master-locator", text("client-local")),
        ("x-queue-master-locator", text("nonsense")),
        ("x-max-in-memory-length", Data::I32(1)),
        ("x-delivery-limit", Data::I32(1)),
        ("x-max-age", text("1D")),
    ]);
    prop_oneof![
        5 => (numbers, no_numbers).prop_map(|(name, value)| vec![(name.to_string(), value)]),
        4 => (strings, no_strings).prop_map(|(name, value)| vec![(name.to_string(), value)]),
        1 => strange.prop_map(|(name, value)| vec![(name.to_string(), value)]),
    ]
    .boxed()
}

fn binding_spec(odd: bool) -> BoxedStrategy<BindingSpec> {
    let target = prop_oneof![
        8 => queue_name(odd).prop_map(Target::Queue),
        2 => (0..EXCHANGES).prop_map(ExchangeName::Known).prop_map(Target::Exchange),
        1 => if odd { exchange_name(true) } else { exchange_name(false) }.prop_map(Target::Exchange),
    ];
    let amq = select(vec!["direct", "fanout", "topic", "headers", "match"]);
    let from = Union::new_weighted(vec![(12, exchange_name(odd)), (2, amq.prop_map(|kind| ExchangeName::Amq(kind.into())).boxed())]);
    (from, target, pattern(), binding_arguments())
        .prop_map(|(from, to, key, arguments)| {
            // What binds two predeclared exchanges would outlive the program.
            let to = match (&from, to) {
                (ExchangeName::Amq(_), Target::Exchange(ExchangeName::Amq(_))) => Target::Exchange(ExchangeName::Slot(0)),
                (_, to) => to,
            };
            BindingSpec { from, to, key, arguments }
        })
        .boxed()
}

fn setup_binding() -> BoxedStrategy<BindingSpec> {
    let known = || (0..EXCHANGES).prop_map(ExchangeName::Known);
    let amq = select(vec!["direct", "fanout", "topic", "headers", "match"]).prop_map(|kind| ExchangeName::Amq(kind.into()));
    let target = prop_oneof![5 => (0..QUEUES).prop_map(QueueName::Known).prop_map(Target::Queue), 1 => known().prop_map(Target::Exchange)];
    (prop_oneof![8 => known(), 1 => amq], target, pattern(), binding_arguments())
        .prop_map(|(from, to, key, arguments)| BindingSpec { from, to, key, arguments })
        .boxed()
}

fn header() -> BoxedStrategy<(String, Data)> {
    let name = select(vec!["h", "i", "x-j"]);
    let value = select(vec![
        Data::I32(1),
        Data::I64(1),
        Data::I8(1),
        Data::U8(1),
        Data::I16(1),
        Data::U16(1),
        Data::U32(1),
        text("1"),
        text("b"),
        Data::Bool(true),
        Data::F64(1.0),
        Data::F32(1.0),
        Data::Void,
        Data::Bytes(b"b".to_vec()),
        Data::Timestamp(1),
        Data::Decimal(0, 1),
        Data::Array(vec![Data::I32(1), text("b")]),
        Data::Table(vec![("k".into(), Data::I32(1))]),
    ]);
    let likely = select(vec![Data::I32(1), text("b"), Data::Bool(true)]);
    (name, prop_oneof![2 => likely, 1 => value]).prop_map(|(name, value)| (name.to_string(), value)).boxed()
}

fn distinct(pairs: Vec<(String, Data)>) -> Table {
    let mut table = Table::new();
    for (name, value) in pairs {
        if !table.iter().any(|(other, _)| *other == name) {
            table.push((name, value));
        }
    }
    table
}

fn binding_arguments() -> BoxedStrategy<Table> {
    let matching = prop_oneof![
        3 => select(vec![text("all"), text("any"), text("all-with-x"), text("any-with-x")]).prop_map(Some),
        2 => Just(None),
    ];
    let odd_matching = select(vec![text("nonsense"), Data::I32(1), Data::Void]).prop_map(Some);
    let headers = prop::collection::vec(header(), 0..=2);
    let some = (prop_oneof![30 => matching, 1 => odd_matching], headers).prop_map(|(matching, headers)| {
        let mut table = distinct(headers);
        table.extend(matching.map(|matching| ("x-match".to_string(), matching)));
        table
    });
    prop_oneof![1 => Just(Table::new()), 1 => some].boxed()
}

fn publish_spec(timed: bool) -> BoxedStrategy<PublishSpec> {
    let target = prop_oneof![
        4 => (exchange_name(true), key()),
        4 => (Just(ExchangeName::Default), (0..QUEUES).prop_map(|slot| Key::Queue(QueueName::Known(slot)))),
        1 => (Just(ExchangeName::Default), key()),
        1 => (select(vec!["direct", "fanout", "topic", "headers", "match"]).prop_map(|kind| ExchangeName::Amq(kind.into())), key()),
    ];
    (target, flag(0.2), flag(0.1), prop_oneof![4 => Just(0), 1 => 1..40u8], properties(timed))
        .prop_map(|((exchange, key), mandatory, confirm_later, padding, properties)| PublishSpec {
            exchange,
            key,
            mandatory,
            confirm_later,
            padding,
            properties,
        })
        .boxed()
}

fn properties(timed: bool) -> BoxedStrategy<PropertiesSpec> {
    let good = if timed { vec![shortly().to_string(), shortly().to_string(), "0".to_string()] } else { vec!["0".into(), LONG.to_string()] };
    let bad: Vec<String> =
        ["", "-1", "1.5", "soon", " 1", "+3600000", "00", "315360000001", "99999999999999999999"].map(String::from).into();
    let expiration =
        prop_oneof![(if timed { 5 } else { 1 }) => select(good).prop_map(Some), 15 => Just(None), 1 => select(bad).prop_map(Some)];
    let routing = || {
        let key = prop_oneof![3 => (0..QUEUES).prop_map(QueueName::Slot).prop_map(Data::QueueName), 1 => Just(text("a"))];
        prop_oneof![
            12 => prop::collection::vec(key, 0..=2).prop_map(Data::Array),
            1 => Just(text("no array")),
            1 => Just(Data::Array(vec![Data::I32(1)])),
        ]
    };
    let odd = select(vec![
        ("x-death".to_string(), text("no array")),
        ("x-death".to_string(), Data::Array(vec![])),
        ("x-first-death-queue".to_string(), text("somewhere")),
        ("x-delivery-count".to_string(), Data::I32(1)),
    ]);
    let extra = prop_oneof![
        20 => Just(None),
        2 => routing().prop_map(|keys| Some(("CC".to_string(), keys))),
        2 => routing().prop_map(|keys| Some(("BCC".to_string(), keys))),
        1 => odd.prop_map(Some),
    ];
    let headers = (prop::option::weighted(0.3, prop::collection::vec(header(), 0..=2)), extra).prop_map(|(headers, extra)| {
        if headers.is_none() && extra.is_none() {
            return None;
        }
        Some(distinct(headers.into_iter().flatten().chain(extra).collect()))
    });
    let user = prop_oneof![40 => Just(None), 2 => Just(Some("guest".to_string())), 1 => Just(Some("mallory".to_string()))];
    (
        expiration,
        prop::option::weighted(0.25, select(vec![0u8, 1, 2, 3, 4, 5, 9, 255])),
        prop::option::weighted(0.3, prop_oneof![10 => Just(1u8), 20 => Just(2), 1 => select(vec![0, 3, 255])]),
        headers,
        user,
        flag(0.08),
    )
        .prop_map(|(expiration, priority, delivery_mode, headers, user_id, descriptive)| PropertiesSpec {
            expiration,
            priority,
            delivery_mode,
            headers,
            user_id,
            descriptive,
        })
        .boxed()
}

fn consume_spec(odd: bool) -> BoxedStrategy<ConsumeSpec> {
    let priority = |values| select(values).prop_map(|value| vec![("x-priority".to_string(), value)]).boxed();
    let failover = select(vec![Data::Bool(true), text("no")]).prop_map(|value| vec![("x-cancel-on-ha-failover".to_string(), value)]);
    let mut choices = vec![(20, Just(Table::new()).boxed()), (5, priority(vec![Data::I32(1), Data::I32(5), Data::I32(-1), Data::I64(5)]))];
    if odd {
        choices.push((1, priority(vec![text("high"), Data::F64(1.0), Data::Void, Data::Bool(true)])));
        choices.push((1, failover.boxed()));
    }
    let arguments = Union::new_weighted(choices);
    (queue_name(true), select(vec![0u16, 1, 1, 2, 3, 10]), flag(0.15), flag(0.08), flag(0.25), arguments)
        .prop_map(|(queue, prefetch, automatic, exclusive, lazy, arguments)| ConsumeSpec {
            queue,
            prefetch,
            automatic,
            exclusive,
            lazy,
            arguments,
        })
        .boxed()
}

fn pick() -> BoxedStrategy<Pick> {
    prop_oneof![
        40 => (0..6u8).prop_map(Pick::Unsettled),
        1 => (0..6u8).prop_map(Pick::Settled),
        2 => Just(Pick::Zero),
        1 => Just(Pick::Unknown),
    ]
    .boxed()
}
