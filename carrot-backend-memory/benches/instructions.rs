//! Repeats one hot path, whose instructions `scripts/instructions` counts.
#![allow(missing_docs, reason = "a bench has no readers of its API")]

#[path = "../../bench/src/recorder.rs"]
#[allow(unreachable_pub, reason = "a module of another crate, too")]
mod recorder;
mod support;

use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_core::backend::{Acknowledgement, ConsumeOptions, Declare, Extent};
use carrot_core::{Binding, Connection, Exchange, Message, Metrics, Queue, TraceContext};

use recorder::CountingRecorder;
use support::{Address, BODY, SOON, bind_others, declare, open};

/// Runs a path a number of times.
type Path = fn(u64);

const PATHS: [(&str, Path); 12] = [
    ("publish-get-ack", get),
    ("publisher-confirm-fetch-ack", confirm),
    ("publish-consume-ack", consume),
    ("publisher-consumer-ack", whole),
    ("send-handle", |messages| send_and_handle(messages, |connection| connection)),
    ("send-handle-metrics", |messages| send_and_handle(messages, with_metrics)),
    ("send-handle-trace", |messages| send_and_handle(messages, with_trace)),
    ("send-handle-metrics-trace", |messages| {
        send_and_handle(messages, |connection| with_metrics(with_trace(connection)))
    }),
    ("fanout-to-100-queues", fanout),
    ("topic-with-100-bindings", |messages| topic(messages, 100)),
    ("topic-with-10000-bindings", |messages| topic(messages, 10_000)),
    ("topic-with-100000-bindings", |messages| topic(messages, 100_000)),
];

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let path = arguments.first().and_then(|name| PATHS.iter().find(|(path, _)| path == name));
    match (path, arguments.get(1).and_then(|messages| messages.parse().ok())) {
        (Some((_, path)), Some(messages)) => path(messages),
        _ => PATHS.iter().for_each(|(name, _)| println!("{name}")),
    }
}

fn get(messages: u64) {
    let channel = open(&Broker::new());
    declare(&*channel, &Queue::new("q"));
    let address = Address::new("", "q");
    for _ in 0..messages {
        address.publish(&*channel);
        let delivery =
            channel.get("q", Acknowledgement::Manual, SOON).expect("got").expect("a message");
        channel.ack(delivery.tag, Extent::One).expect("acknowledged");
    }
}

/// Publishes safely, and fetches messages one by one.
fn confirm(messages: u64) {
    let connection = Connection::new(Broker::new().connector());
    let consumer = connection.consumer("q").build().expect("a consumer");
    let publisher =
        connection.publisher().routing_key("q").mandatory().build().expect("a publisher");
    for _ in 0..messages {
        publisher.message().send_bytes(BODY).expect("confirmed");
        consumer.fetch().expect("fetched").expect("a message").ack().expect("acknowledged");
    }
}

fn consume(messages: u64) {
    let channel = open(&Broker::new());
    declare(&*channel, &Queue::new("q"));
    let subscription =
        channel.consume("q", &ConsumeOptions::with_prefetch(100), SOON).expect("a consumer");
    let address = Address::new("", "q");
    for _ in 0..messages {
        address.publish(&*channel);
        let delivery = subscription.next(Duration::ZERO).expect("next").expect("a message");
        channel.ack(delivery.tag, Extent::One).expect("acknowledged");
    }
}

/// Publishes and consumes with a publisher and a consumer.
fn whole(messages: u64) {
    let connection = Connection::new(Broker::new().connector());
    let consumer = connection.consumer("q").prefetch(100).build().expect("a consumer");
    let publisher = connection
        .publisher()
        .routing_key("q")
        .transient()
        .without_confirms()
        .build()
        .expect("a publisher");
    let mut taken = consumer.messages().expect("subscribed").timeout(SOON);
    for _ in 0..messages {
        publisher.message().send_bytes(BODY).expect("sent");
        taken.next().expect("a message").expect("next").ack().expect("acknowledged");
    }
}

fn with_metrics(connection: Connection) -> Connection {
    let metrics = Metrics::with_recorder(CountingRecorder);
    connection.with_publish_layer(metrics.clone()).with_handle_layer(metrics)
}

fn with_trace(connection: Connection) -> Connection {
    connection.with_publish_layer(TraceContext::new()).with_handle_layer(TraceContext::new())
}

/// Sends values, and handles each on the same thread.
fn send_and_handle(messages: u64, with_layers: impl FnOnce(Connection) -> Connection) {
    const BATCH: u64 = 1000;
    let connection = with_layers(Connection::new(Broker::new().connector()));
    let mut consumer = connection.consumer("q").prefetch(100).build().expect("a consumer");
    consumer.register_callback(|_: u64, _: &Message| {});
    let publisher = connection.publisher().routing_key("q").build().expect("a publisher");
    for _ in 0..messages / BATCH {
        for number in 0..BATCH {
            publisher.send(&number).expect("confirmed");
        }
        let report = consumer.handle_next(BATCH).expect("handled");
        assert_eq!(report.acknowledged, BATCH);
    }
}

fn fanout(messages: u64) {
    let channel = open(&Broker::new());
    for number in 0..100 {
        let name = format!("q{number}");
        declare(&*channel, &Queue::new(name.as_str()).max_length(10));
        channel
            .declare(Declare::Binding(&Binding::queue("amq.fanout", name, "")), SOON)
            .expect("a binding");
    }
    let address = Address::new("amq.fanout", "");
    (0..messages).for_each(|_| address.publish(&*channel));
}

fn topic(messages: u64, others: usize) {
    let channel = open(&Broker::new());
    declare(&*channel, &Queue::new("q").max_length(10));
    channel.declare(Declare::Exchange(&Exchange::topic("x")), SOON).expect("an exchange");
    bind_others(&*channel, others);
    channel
        .declare(Declare::Binding(&Binding::queue("x", "q", "usd.stock.*")), SOON)
        .expect("a binding");
    let address = Address::new("x", "usd.stock.nyse");
    (0..messages).for_each(|_| address.publish(&*channel));
}
