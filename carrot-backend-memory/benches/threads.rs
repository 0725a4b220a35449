//! Compares four producers and four consumers with one thread that does all the work.
#![allow(missing_docs, reason = "a bench has no readers of its API")]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use carrot_backend_memory::Broker;
use carrot_core::Queue;
use carrot_core::backend::{ConsumeOptions, Extent};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use support::{Address, SOON, declare, open};

const PAIRS: u64 = 4;

/// Returns the time for sending `messages` to each queue and consuming them. Each pair of threads
/// uses the queue of its number.
fn pairs(messages: u64, queue_of: impl Fn(u64) -> String) -> Duration {
    let broker = Broker::new();
    let administration = open(&broker);
    (0..PAIRS).for_each(|pair| declare(&*administration, &Queue::new(queue_of(pair))));
    let consumers: Vec<_> = (0..PAIRS)
        .map(|pair| {
            let channel = open(&broker);
            let subscription = channel
                .consume(&queue_of(pair), &ConsumeOptions::with_prefetch(1000), SOON)
                .expect("a consumer");
            (channel, subscription)
        })
        .collect();
    let taken = std::sync::atomic::AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for pair in 0..PAIRS {
            let channel = open(&broker);
            let address = Address::new("", &queue_of(pair));
            scope.spawn(move || (0..messages).for_each(|_| address.publish(&*channel)));
        }
        for (channel, subscription) in consumers {
            let taken = &taken;
            scope.spawn(move || {
                while taken.load(std::sync::atomic::Ordering::Relaxed) < PAIRS * messages {
                    if let Some(delivery) =
                        subscription.next(Duration::from_millis(5)).expect("next")
                    {
                        channel.ack(delivery.tag, Extent::One).expect("acknowledged");
                        taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let elapsed = start.elapsed();
    broker.wait_until_idle(SOON).expect("nothing is left");
    elapsed
}

fn one_thread(messages: u64) -> Duration {
    let broker = Broker::new();
    let channel = open(&broker);
    declare(&*channel, &Queue::new("q"));
    let subscription =
        channel.consume("q", &ConsumeOptions::with_prefetch(1000), SOON).expect("a consumer");
    let address = Address::new("", "q");
    let start = Instant::now();
    for _ in 0..messages {
        address.publish(&*channel);
        let delivery = subscription.next(Duration::ZERO).expect("next").expect("a message");
        channel.ack(delivery.tag, Extent::One).expect("acknowledged");
    }
    start.elapsed()
}

fn threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("threads");
    group
        .throughput(Throughput::Elements(1))
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    group.bench_function("one_thread", |bencher| bencher.iter_custom(one_thread));
    group.bench_function("4x4_on_4_queues", |bencher| {
        bencher.iter_custom(|messages| pairs(messages.div_ceil(PAIRS), |pair| format!("q{pair}")));
    });
    group.bench_function("4x4_on_1_queue", |bencher| {
        bencher.iter_custom(|messages| pairs(messages.div_ceil(PAIRS), |_| "q".into()))
    });
    group.finish();
}

criterion_group!(benches, threads);
criterion_main!(benches);
