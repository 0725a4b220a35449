//! Generates publications, consumers and settlements.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::pools::{
    LONG, QUEUES, distinct, exchange_name, flag, header, key, queue_name, shortly, text,
};
use crate::program::DeliveryChoice;
use crate::specs::{
    ConsumeSpec, ExchangeName, Key, PropertiesSpec, PublishSpec, QueueName, Table, TableValue,
};

pub(super) fn publish_spec(timed: bool) -> BoxedStrategy<PublishSpec> {
    let target = prop_oneof![
        4 => (exchange_name(true), key()),
        4 => (Just(ExchangeName::Default), (0..QUEUES).prop_map(|slot| Key::Queue(QueueName::Known(slot)))),
        1 => (Just(ExchangeName::Default), key()),
        1 => (Just(ExchangeName::Default), prop_oneof![Just(Key::ReplyAddress), Just(Key::Queue(QueueName::ReplyTo))]),
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

pub(super) fn message_publication(timed: bool) -> BoxedStrategy<PublishSpec> {
    let target = prop_oneof![
        6 => (Just(ExchangeName::Default), (0..QUEUES - 1).prop_map(QueueName::Known).prop_map(Key::Queue)),
        2 => ((0..2u8).prop_map(ExchangeName::Known), key()),
        1 => (Just(ExchangeName::Default), Just(Key::ReplyAddress)),
    ];
    (target, publish_spec(timed))
        .prop_map(|((exchange, key), mut spec)| {
            spec.properties.user_id = None;
            spec.properties.delivery_mode =
                spec.properties.delivery_mode.map(|mode| mode.clamp(1, 2));
            if spec
                .properties
                .expiration
                .as_ref()
                .is_some_and(|expiration| expiration.parse::<u32>().is_err())
            {
                spec.properties.expiration = None;
            }
            PublishSpec { exchange, key, ..spec }
        })
        .boxed()
}

pub(super) fn properties(timed: bool) -> BoxedStrategy<PropertiesSpec> {
    let good = if timed {
        vec![shortly().to_string(), shortly().to_string(), "0".to_string()]
    } else {
        vec!["0".into(), LONG.to_string()]
    };
    let bad: Vec<String> =
        ["", "-1", "1.5", "soon", " 1", "+3600000", "00", "315360000001", "99999999999999999999"]
            .map(String::from)
            .into();
    let expiration = prop_oneof![(if timed { 5 } else { 1 }) => select(good).prop_map(Some), 15 => Just(None), 1 => select(bad).prop_map(Some)];
    let routing = || {
        let key = prop_oneof![3 => (0..QUEUES).prop_map(QueueName::Slot).prop_map(TableValue::QueueName), 1 => Just(text("a"))];
        prop_oneof![
            12 => prop::collection::vec(key, 0..=2).prop_map(TableValue::Array),
            1 => Just(text("no array")),
            1 => Just(TableValue::Array(vec![TableValue::I32(1)])),
        ]
    };
    let unusual = select(vec![
        ("x-death".to_string(), text("no array")),
        ("x-death".to_string(), TableValue::Array(vec![])),
        ("x-first-death-queue".to_string(), text("somewhere")),
        ("x-delivery-count".to_string(), TableValue::I32(1)),
    ]);
    let extra = prop_oneof![
        20 => Just(None),
        2 => routing().prop_map(|keys| Some(("CC".to_string(), keys))),
        2 => routing().prop_map(|keys| Some(("BCC".to_string(), keys))),
        1 => unusual.prop_map(Some),
    ];
    let headers = (prop::option::weighted(0.3, prop::collection::vec(header(), 0..=2)), extra)
        .prop_map(|(headers, extra)| {
            if headers.is_none() && extra.is_none() {
                return None;
            }
            Some(distinct(headers.into_iter().flatten().chain(extra).collect()))
        });
    let user = prop_oneof![40 => Just(None), 2 => Just(Some("guest".to_string())), 1 => Just(Some("mallory".to_string()))];
    (
        expiration,
        prop::option::weighted(0.25, select(vec![0u8, 1, 2, 3, 4, 5, 9, 255])),
        prop::option::weighted(
            0.3,
            prop_oneof![10 => Just(1u8), 20 => Just(2), 1 => select(vec![0, 3, 255])],
        ),
        headers,
        user,
        flag(0.08),
        flag(0.03),
    )
        .prop_map(
            |(expiration, priority, delivery_mode, headers, user_id, descriptive, reply_here)| {
                PropertiesSpec {
                    expiration,
                    priority,
                    delivery_mode,
                    headers,
                    user_id,
                    descriptive,
                    reply_here,
                }
            },
        )
        .boxed()
}

pub(super) fn consume_spec(unusual: bool) -> BoxedStrategy<ConsumeSpec> {
    let priority =
        |values| select(values).prop_map(|value| vec![("x-priority".to_string(), value)]).boxed();
    let failover = select(vec![TableValue::Bool(true), text("no")])
        .prop_map(|value| vec![("x-cancel-on-ha-failover".to_string(), value)]);
    let of_streams = select(vec!["x-stream-offset", "x-stream-filter"])
        .prop_map(|name| vec![(name.to_string(), text("next"))]);
    let mut choices = vec![
        (20, Just(Table::new()).boxed()),
        (
            5,
            priority(vec![
                TableValue::I32(1),
                TableValue::I32(5),
                TableValue::I32(-1),
                TableValue::I64(5),
            ]),
        ),
    ];
    if unusual {
        choices.push((
            1,
            priority(vec![
                text("high"),
                TableValue::F64(1.0),
                TableValue::Void,
                TableValue::Bool(true),
            ]),
        ));
        choices.push((1, failover.boxed()));
        choices.push((1, of_streams.boxed()));
    }
    let arguments = Union::new_weighted(choices);
    (
        queue_name(true),
        select(vec![0u16, 1, 1, 2, 3, 10]),
        flag(0.15),
        flag(0.08),
        flag(0.25),
        arguments,
    )
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

/// Generates a consumer of direct replies.
pub(super) fn consume_replies() -> BoxedStrategy<ConsumeSpec> {
    (flag(0.9), flag(0.1))
        .prop_map(|(automatic, exclusive)| ConsumeSpec {
            queue: QueueName::ReplyTo,
            prefetch: 0,
            automatic,
            exclusive,
            lazy: false,
            arguments: Table::new(),
        })
        .boxed()
}

pub(super) fn pick() -> BoxedStrategy<DeliveryChoice> {
    prop_oneof![
        40 => (0..6u8).prop_map(DeliveryChoice::Unsettled),
        1 => (0..6u8).prop_map(DeliveryChoice::Settled),
        2 => Just(DeliveryChoice::Zero),
        1 => Just(DeliveryChoice::Unknown),
    ]
    .boxed()
}
