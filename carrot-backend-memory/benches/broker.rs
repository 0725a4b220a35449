//! One thread: what a message costs, and what bindings and queues add to it.
#![allow(missing_docs, reason = "a bench has no readers of its API")]

mod support;

use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, ConsumeOptions, Declare, Extent, Outcome, Publication,
};
use carrot_core::{Binding, Exchange, Queue};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use support::{Address, SOON, bind_others, declare, open};

fn get_and_ack(channel: &dyn Backend, queue: &str) {
    let delivery =
        channel.get(queue, Acknowledgement::Manual, SOON).expect("got").expect("a message");
    channel.ack(delivery.tag, Extent::One).expect("acknowledged");
}

fn round_trips(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round_trip");
    group.throughput(Throughput::Elements(1));

    let broker = Broker::new();
    let channel = open(&broker);
    declare(&*channel, &Queue::new("q"));
    let address = Address::new("", "q");
    group.bench_function("publish_get_ack", |bencher| {
        bencher.iter(|| {
            address.publish(&*channel);
            get_and_ack(&*channel, "q");
        });
    });

    let confirming = broker.connector().open(&ChannelOptions::publish(), SOON).expect("a channel");
    group.bench_function("publish_confirm_get_ack", |bencher| {
        bencher.iter(|| {
            let tag = confirming
                .publish(&Publication::new(&address.message()).with_mandatory(true), SOON)
                .expect("published");
            assert_eq!(confirming.confirm(tag, SOON).expect("confirmed"), Outcome::Accepted);
            get_and_ack(&*confirming, "q");
        });
    });

    let subscription = channel.consume("q", &ConsumeOptions::default(), SOON).expect("a consumer");
    group.bench_function("publish_consume_ack", |bencher| {
        bencher.iter(|| {
            address.publish(&*channel);
            let delivery = subscription.next(Duration::ZERO).expect("next").expect("a message");
            channel.ack(delivery.tag, Extent::One).expect("acknowledged");
        });
    });
    group.bench_function("publish_100_consume_ack_100", |bencher| {
        let subscription =
            channel.consume("q", &ConsumeOptions::with_prefetch(100), SOON).expect("a consumer");
        bencher.iter_custom(|messages| {
            let start = std::time::Instant::now();
            for _ in 0..messages.div_ceil(100) {
                (0..100).for_each(|_| address.publish(&*channel));
                while let Some(delivery) = subscription.next(Duration::ZERO).expect("next") {
                    channel.ack(delivery.tag, Extent::One).expect("acknowledged");
                }
            }
            start.elapsed()
        });
    });
    group.finish();
}

fn fanout(criterion: &mut Criterion) {
    let broker = Broker::new();
    let channel = open(&broker);
    for number in 0..100 {
        let name = format!("q{number}");
        declare(&*channel, &Queue::new(name.as_str()).max_length(10));
        channel
            .declare(Declare::Binding(&Binding::queue("amq.fanout", name, "")), SOON)
            .expect("a binding");
    }
    let address = Address::new("amq.fanout", "");
    let mut group = criterion.benchmark_group("fanout");
    group.throughput(Throughput::Elements(100));
    group.bench_function("100_queues", |bencher| bencher.iter(|| address.publish(&*channel)));
    group.finish();
}

fn topic(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topic");
    group.throughput(Throughput::Elements(1));
    for others in [100, 10_000, 100_000] {
        let broker = Broker::new();
        let channel = open(&broker);
        declare(&*channel, &Queue::new("q").max_length(10));
        channel.declare(Declare::Exchange(&Exchange::topic("x")), SOON).expect("an exchange");
        bind_others(&*channel, others);
        channel
            .declare(Declare::Binding(&Binding::queue("x", "q", "usd.stock.*")), SOON)
            .expect("a binding");
        let address = Address::new("x", "usd.stock.nyse");
        group.bench_function(format!("{others}_other_bindings"), |bencher| {
            bencher.iter(|| address.publish(&*channel))
        });
        assert!(broker.queue("other").expect("a queue").is_idle());
    }
    group.finish();
}

criterion_group!(benches, round_trips, fanout, topic);
criterion_main!(benches);
