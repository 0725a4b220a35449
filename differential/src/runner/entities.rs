//! The entities and messages of the contract that the operations of a program describe.

use carrot_core::backend::{Content, DeleteIf};
use carrot_core::{Binding, DeliveryMode, Destination, Exchange, ExchangeKind, Properties, Queue};

use crate::names::{Names, REPLY_TO};
use crate::specs::{
    BindingSpec, BindingTargetSpec, ExchangeSpec, PropertiesSpec, PublishSpec, QueueSpec,
};

pub(super) fn condition(if_unused: bool, if_empty: bool) -> DeleteIf {
    match (if_unused, if_empty) {
        (false, false) => DeleteIf::ALWAYS,
        (true, false) => DeleteIf::UNUSED,
        (false, true) => DeleteIf::EMPTY,
        (true, true) => DeleteIf::UNUSED_AND_EMPTY,
    }
}

pub(super) fn exchange(names: &Names, spec: &ExchangeSpec) -> Exchange {
    let mut exchange =
        Exchange::new(names.exchange(&spec.name), ExchangeKind::from(spec.kind.as_str()));
    exchange.durable = !spec.transient;
    exchange.auto_delete = spec.auto_delete;
    exchange.internal = spec.internal;
    exchange.passive = spec.passive;
    exchange.arguments = names.table(&spec.arguments);
    exchange
}

pub(super) fn queue(names: &Names, spec: &QueueSpec) -> Queue {
    let mut queue = Queue::new(names.queue(&spec.name));
    queue.durable = !spec.transient;
    queue.exclusive = spec.exclusive;
    queue.auto_delete = spec.auto_delete;
    queue.passive = spec.passive;
    queue.arguments = names.table(&spec.arguments);
    queue
}

pub(super) fn binding(names: &Names, spec: &BindingSpec) -> Binding {
    let (source, key) = (names.exchange(&spec.from), names.key(&spec.key));
    let mut binding = match &spec.to {
        BindingTargetSpec::Queue(queue) => Binding::queue(source, names.queue(queue), key),
        BindingTargetSpec::Exchange(exchange) => {
            Binding::exchange(source, names.exchange(exchange), key)
        }
    };
    debug_assert!(matches!(binding.destination, Destination::Queue(_) | Destination::Exchange(_)));
    binding.arguments = names.table(&spec.arguments);
    binding
}

pub(super) fn content(names: &Names, spec: &PublishSpec, number: u32) -> Content {
    let body = format!("m{number}{}", ".".repeat(spec.padding.into()));
    Content::new(names.exchange(&spec.exchange), names.key(&spec.key), body)
        .with_properties(properties(names, &spec.properties, number))
}

fn properties(names: &Names, spec: &PropertiesSpec, number: u32) -> Properties {
    let mut properties = Properties::new();
    if let Some(expiration) = &spec.expiration {
        properties = properties.with_expiration(expiration.as_str());
    }
    if let Some(priority) = spec.priority {
        properties = properties.with_priority(priority);
    }
    if let Some(mode) = spec.delivery_mode {
        properties = properties.with_delivery_mode(DeliveryMode::from(mode));
    }
    if let Some(headers) = &spec.headers {
        properties = properties.with_headers(names.table(headers));
    }
    if let Some(user) = &spec.user_id {
        properties = properties.with_user_id(user.as_str());
    }
    if spec.descriptive {
        properties = properties
            .with_content_type("text/plain")
            .with_content_encoding("identity")
            .with_message_id(format!("id-{number}"))
            .with_correlation_id("correlation")
            .with_reply_to("somewhere")
            .with_kind("kind")
            .with_app_id("app")
            .with_cluster_id("cluster")
            .with_timestamp(u64::from(number));
    }
    if spec.reply_here {
        properties = properties.with_reply_to(REPLY_TO);
    }
    properties
}
