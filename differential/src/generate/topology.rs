//! Generates exchanges, queues and bindings.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::pools::{
    EXCHANGES, LONG, QUEUES, distinct, exchange_name, flag, header, one, pattern, queue_name,
    shortly, text,
};
use crate::specs::{
    BindingSpec, BindingTargetSpec, ExchangeName, ExchangeSpec, QueueName, QueueSpec, Table,
    TableValue,
};

pub(super) fn exchange_spec(unusual: bool) -> BoxedStrategy<ExchangeSpec> {
    let kind = select(vec!["direct", "fanout", "topic", "headers"]);
    let kind = if unusual {
        prop_oneof![40 => kind, 1 => Just("x-unknown")].boxed()
    } else {
        kind.boxed()
    };
    let alternate = prop_oneof![
        8 => exchange_name(false).prop_map(TableValue::ExchangeName),
        1 => Just(TableValue::String("missing".into())),
        1 => Just(TableValue::I32(7)),
    ];
    let arguments = prop_oneof![
        7 => Just(Table::new()),
        3 => alternate.prop_map(|value| vec![("alternate-exchange".to_string(), value)]),
        1 => Just(vec![("x-custom".to_string(), TableValue::Bool(true))]),
    ];
    (
        exchange_name(unusual),
        kind,
        flag(0.1),
        flag(0.15),
        flag(0.08),
        flag(if unusual { 0.2 } else { 0.0 }),
        arguments,
    )
        .prop_map(|(name, kind, transient, auto_delete, internal, passive, arguments)| {
            ExchangeSpec {
                name,
                kind: kind.into(),
                transient,
                auto_delete,
                internal,
                passive,
                arguments,
            }
        })
        .boxed()
}

pub(super) fn queue_spec(timed: bool, unusual: bool) -> BoxedStrategy<QueueSpec> {
    let plain = queue_name(unusual).prop_map(|name| QueueSpec {
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
        if arguments.contains(&("x-queue-type".to_string(), text("quorum"))) {
            arguments.retain(|argument| !is_inexact_for_quorum(argument));
        }
        arguments
    });
    let special =
        (
            queue_name(unusual),
            flag(0.2),
            flag(0.12),
            flag(0.2),
            flag(if unusual { 0.15 } else { 0.0 }),
            arguments,
        )
            .prop_map(|(name, transient, exclusive, auto_delete, passive, arguments)| {
                QueueSpec { name, transient, exclusive, auto_delete, passive, arguments }
            });
    prop_oneof![3 => plain, 7 => special].boxed()
}

pub(super) fn queue_arguments(timed: bool) -> BoxedStrategy<Table> {
    let (ttl, expires) = if timed {
        (
            vec![TableValue::I64(shortly()), TableValue::I64(shortly()), TableValue::I64(0)],
            vec![TableValue::I64(shortly())],
        )
    } else {
        (
            vec![TableValue::I64(0), TableValue::I64(LONG), TableValue::I32(0)],
            vec![TableValue::I64(LONG), TableValue::I32(3_600_000)],
        )
    };
    Union::new_weighted(vec![
        (if timed { 10 } else { 3 }, one("x-message-ttl", select(ttl))),
        (if timed { 5 } else { 1 }, one("x-expires", select(expires))),
        (
            6,
            one(
                "x-max-length",
                select(vec![
                    TableValue::I64(0),
                    TableValue::I64(1),
                    TableValue::I64(2),
                    TableValue::I32(2),
                    TableValue::I64(3),
                ]),
            ),
        ),
        (
            3,
            one(
                "x-max-length-bytes",
                select(vec![
                    TableValue::I64(0),
                    TableValue::I64(2),
                    TableValue::I64(5),
                    TableValue::I64(30),
                    TableValue::I64(300),
                ]),
            ),
        ),
        (
            4,
            one(
                "x-overflow",
                select(vec![text("drop-head"), text("reject-publish"), text("reject-publish-dlx")]),
            ),
        ),
        (14, dead_letters()),
        (
            4,
            one(
                "x-max-priority",
                select(vec![
                    TableValue::I32(1),
                    TableValue::I32(4),
                    TableValue::U8(4),
                    TableValue::I32(255),
                    TableValue::I32(0),
                ]),
            ),
        ),
        (3, one("x-single-active-consumer", any::<bool>().prop_map(TableValue::Bool))),
        (1, one("x-queue-mode", select(vec![text("lazy"), text("default")]))),
        (1, one("x-queue-type", select(vec![text("classic"), text("classic"), text("nonsense")]))),
        (2, valid_quorum_queue(timed)),
        (1, invalid_quorum_argument()),
        (
            1,
            one(
                "x-queue-version",
                select(vec![TableValue::I32(1), TableValue::I32(2), TableValue::I32(3)]),
            ),
        ),
        (
            1,
            one(
                "x-custom",
                select(vec![
                    text("anything"),
                    TableValue::Void,
                    TableValue::Table(vec![("x".into(), TableValue::F64(0.5))]),
                ]),
            ),
        ),
        (2, invalid_queue_argument()),
    ])
    .boxed()
}

pub(super) fn valid_queue(timed: bool) -> BoxedStrategy<Table> {
    prop_oneof![3 => valid_classic_queue(timed), 1 => valid_quorum_queue(timed)].boxed()
}

/// Whether a quorum queue treats a limit in a way that RabbitMQ does not specify. With
/// `reject-publish`, it refuses messages from some later length on. A limit in bytes counts more
/// than the bodies.
pub(super) fn is_inexact_for_quorum((name, value): &(String, TableValue)) -> bool {
    name == "x-max-length-bytes" || (name == "x-overflow" && *value == text("reject-publish"))
}

fn valid_quorum_queue(timed: bool) -> BoxedStrategy<Table> {
    let time = if timed { shortly() } else { LONG };
    let ttl = if timed { vec![shortly(), shortly(), 0] } else { vec![0, LONG] };
    let limit = select(vec![0i64, 1, 1, 2, 2, -1]).prop_map(TableValue::I64);
    let delays = select(vec!["all", "failed", "returned", "disabled"]).prop_map(move |delayed| {
        vec![
            ("x-delayed-retry-type".to_string(), text(delayed)),
            ("x-delayed-retry-min".to_string(), TableValue::I64(time)),
            ("x-delayed-retry-max".to_string(), TableValue::I64(time)),
        ]
    });
    let some =
        |probability: f64, group: BoxedStrategy<Table>| prop::option::weighted(probability, group);
    (
        some(0.5, one("x-delivery-limit", limit)),
        some(0.6, dead_letters()),
        some(0.25, dead_letter_strategy()),
        some(0.2, one("x-max-length", (0..4i64).prop_map(TableValue::I64))),
        some(
            if timed { 0.3 } else { 0.1 },
            one("x-message-ttl", select(ttl).prop_map(TableValue::I64)),
        ),
        some(0.1, one("x-single-active-consumer", Just(TableValue::Bool(true)))),
        some(0.3, delays.boxed()),
    )
        .prop_map(|(limit, dead_letters, strategy, length, ttl, single, delays)| {
            // What is dead-lettered at least once counts towards the length until it has arrived.
            let is_at_least_once = strategy.as_ref().is_some_and(|strategy| strategy.len() > 1);
            let length = length.filter(|_| !is_at_least_once);
            let groups = [limit, dead_letters, strategy, length, ttl, single, delays];
            let kind = ("x-queue-type".to_string(), text("quorum"));
            std::iter::once(kind).chain(groups.into_iter().flatten().flatten()).collect()
        })
        .boxed()
}

/// RabbitMQ dead-letters at least once only if a full queue refuses messages.
fn dead_letter_strategy() -> BoxedStrategy<Table> {
    let strategy = |strategy| ("x-dead-letter-strategy".to_string(), text(strategy));
    let overflow = ("x-overflow".to_string(), text("reject-publish"));
    select(vec![vec![strategy("at-most-once")], vec![strategy("at-least-once"), overflow]]).boxed()
}

fn invalid_quorum_argument() -> BoxedStrategy<Table> {
    let (names, values) = (
        vec![
            "x-delivery-limit",
            "x-dead-letter-strategy",
            "x-delayed-retry-type",
            "x-delayed-retry-min",
            "x-delayed-retry-max",
            "x-quorum-initial-group-size",
            "x-queue-leader-locator",
            "x-max-priority",
            "x-queue-mode",
        ],
        vec![
            text("nonsense"),
            text(""),
            text("all"),
            text("balanced"),
            TableValue::I64(-1),
            TableValue::I64(0),
            TableValue::I64(LONG),
            TableValue::F64(1.5),
            TableValue::Bool(true),
            TableValue::Void,
        ],
    );
    (select(names), select(values))
        .prop_map(|(name, value)| {
            vec![
                ("x-queue-type".to_string(), text("quorum")),
                ("x-delayed-retry-type".to_string(), text("all")),
                (name.to_string(), value),
            ]
        })
        .boxed()
}

fn valid_classic_queue(timed: bool) -> BoxedStrategy<Table> {
    let ttl = if timed { vec![shortly(), shortly(), 0] } else { vec![0, LONG] };
    let overflow =
        select(vec![text("drop-head"), text("reject-publish"), text("reject-publish-dlx")]);
    let length = prop_oneof![
        3 => (0..4i64).prop_map(|most| ("x-max-length", most)),
        1 => select(vec![0i64, 2, 5, 30]).prop_map(|most| ("x-max-length-bytes", most)),
    ];
    let limits =
        (length, prop::option::weighted(0.6, overflow)).prop_map(|((name, most), overflow)| {
            let mut table = vec![(name.to_string(), TableValue::I64(most))];
            table.extend(overflow.map(|overflow| ("x-overflow".to_string(), overflow)));
            table
        });
    let some =
        |probability: f64, group: BoxedStrategy<Table>| prop::option::weighted(probability, group);
    (
        some(0.6, dead_letters()),
        some(0.35, limits.boxed()),
        some(
            if timed { 0.5 } else { 0.15 },
            one("x-message-ttl", select(ttl).prop_map(TableValue::I64)),
        ),
        some(0.2, one("x-max-priority", select(vec![TableValue::I32(1), TableValue::I32(4)]))),
        some(0.08, one("x-single-active-consumer", Just(TableValue::Bool(true)))),
        some(
            if timed { 0.15 } else { 0.05 },
            one("x-expires", Just(TableValue::I64(if timed { shortly() } else { LONG }))),
        ),
    )
        .prop_map(|(dead_letters, limits, ttl, priority, single, expires)| {
            [dead_letters, limits, ttl, priority, single, expires]
                .into_iter()
                .flatten()
                .flatten()
                .collect()
        })
        .boxed()
}

pub(super) fn dead_letters() -> BoxedStrategy<Table> {
    (
        prop_oneof![6 => exchange_name(false), 5 => Just(ExchangeName::Default), 1 => Just(ExchangeName::Amq("fanout".into()))],
        prop::option::weighted(
            0.7,
            prop_oneof![5 => (0..QUEUES).prop_map(QueueName::Slot).prop_map(TableValue::QueueName), 2 => Just(text("a"))],
        ),
    )
        .prop_map(|(exchange, key)| {
            let mut table = vec![("x-dead-letter-exchange".to_string(), TableValue::ExchangeName(exchange))];
            table.extend(key.map(|key| ("x-dead-letter-routing-key".to_string(), key)));
            table
        })
        .boxed()
}

pub(super) fn invalid_queue_argument() -> BoxedStrategy<Table> {
    let numbers = select(vec![
        "x-message-ttl",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-queue-version",
    ]);
    let no_numbers = select(vec![
        text("10"),
        TableValue::Bool(true),
        TableValue::F64(1.5),
        TableValue::F32(1.0),
        TableValue::I64(-1),
        TableValue::I64(i64::MAX),
        TableValue::I64(315_360_000_001),
        TableValue::Void,
        TableValue::Decimal(1, 10),
        TableValue::Timestamp(10),
        TableValue::Bytes(vec![1]),
        TableValue::Array(vec![TableValue::I32(1)]),
        TableValue::I32(3_600_000),
        TableValue::I32(0),
    ]);
    let strings = select(vec![
        "x-overflow",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-queue-mode",
        "x-queue-type",
        "x-single-active-consumer",
    ]);
    let no_strings = select(vec![
        text("nonsense"),
        text(""),
        TableValue::I32(1),
        TableValue::Bool(false),
        TableValue::Void,
        TableValue::Array(vec![]),
    ]);
    let strange = select(vec![
        ("x-queue-master-locator", text("client-local")),
        ("x-queue-master-locator", text("nonsense")),
        ("x-max-in-memory-length", TableValue::I32(1)),
        ("x-delivery-limit", TableValue::I32(1)),
        ("x-max-age", text("1D")),
    ]);
    prop_oneof![
        5 => (numbers, no_numbers).prop_map(|(name, value)| vec![(name.to_string(), value)]),
        4 => (strings, no_strings).prop_map(|(name, value)| vec![(name.to_string(), value)]),
        1 => strange.prop_map(|(name, value)| vec![(name.to_string(), value)]),
    ]
    .boxed()
}

pub(super) fn binding_spec(unusual: bool) -> BoxedStrategy<BindingSpec> {
    let target = prop_oneof![
        8 => queue_name(unusual).prop_map(BindingTargetSpec::Queue),
        2 => (0..EXCHANGES).prop_map(ExchangeName::Known).prop_map(BindingTargetSpec::Exchange),
        1 => if unusual { exchange_name(true) } else { exchange_name(false) }.prop_map(BindingTargetSpec::Exchange),
    ];
    let amq = select(vec!["direct", "fanout", "topic", "headers", "match"]);
    let from = Union::new_weighted(vec![
        (12, exchange_name(unusual)),
        (2, amq.prop_map(|kind| ExchangeName::Amq(kind.into())).boxed()),
    ]);
    (from, target, pattern(), binding_arguments())
        .prop_map(|(from, to, key, arguments)| {
            // A binding of two predeclared exchanges would be left after the program.
            let to = match (&from, to) {
                (ExchangeName::Amq(_), BindingTargetSpec::Exchange(ExchangeName::Amq(_))) => {
                    BindingTargetSpec::Exchange(ExchangeName::Slot(0))
                }
                (_, to) => to,
            };
            BindingSpec { from, to, key, arguments }
        })
        .boxed()
}

pub(super) fn setup_binding() -> BoxedStrategy<BindingSpec> {
    let known = || (0..EXCHANGES).prop_map(ExchangeName::Known);
    let amq = select(vec!["direct", "fanout", "topic", "headers", "match"])
        .prop_map(|kind| ExchangeName::Amq(kind.into()));
    let target = prop_oneof![5 => (0..QUEUES).prop_map(QueueName::Known).prop_map(BindingTargetSpec::Queue), 1 => known().prop_map(BindingTargetSpec::Exchange)];
    (prop_oneof![8 => known(), 1 => amq], target, pattern(), binding_arguments())
        .prop_map(|(from, to, key, arguments)| BindingSpec { from, to, key, arguments })
        .boxed()
}

pub(super) fn binding_arguments() -> BoxedStrategy<Table> {
    let matching = prop_oneof![
        3 => select(vec![text("all"), text("any"), text("all-with-x"), text("any-with-x")]).prop_map(Some),
        2 => Just(None),
    ];
    let unusual_matching =
        select(vec![text("nonsense"), TableValue::I32(1), TableValue::Void]).prop_map(Some);
    let headers = prop::collection::vec(header(), 0..=2);
    let some = (prop_oneof![30 => matching, 1 => unusual_matching], headers).prop_map(
        |(matching, headers)| {
            let mut table = distinct(headers);
            table.extend(matching.map(|matching| ("x-match".to_string(), matching)));
            table
        },
    );
    prop_oneof![1 => Just(Table::new()), 1 => some].boxed()
}
