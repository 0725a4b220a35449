use std::collections::HashSet;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::backend::{
    Acknowledgement, ConsumeOptions, Content, Delivery, Extent, Outcome, Subscription,
};
use carrot_core::{Error, Queue};

use crate::tests::{BrokerFixture, SOON, body, post, send};

#[test]
fn threads_on_one_channel_neither_lose_nor_repeat_messages() {
    const EACH: usize = 500;
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::with_prefetch(50));
    let seen = Mutex::new(HashSet::new());
    thread::scope(|scope| {
        for producer in 0..4 {
            let channel = &fixture.channel;
            scope.spawn(move || {
                for number in 0..EACH {
                    let sent =
                        send(&**channel, Content::new("", "q", format!("{producer}-{number}")))
                            .unwrap();
                    assert_eq!(sent, Outcome::Accepted);
                }
            });
        }
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let delivery = subscription.next(SOON).unwrap().unwrap();
                    fixture.channel.ack(delivery.tag, Extent::One).unwrap();
                    assert!(seen.lock().unwrap().insert(delivery.content.body.to_vec()));
                }
            });
        }
    });
    fixture.broker.wait_until_idle(SOON).unwrap();
    assert_eq!(seen.lock().unwrap().len(), 4 * EACH);
}

#[test]
fn waiting_threads_at_the_end_all_return() {
    for end in 0..3 {
        let fixture = BrokerFixture::with_queue(&Queue::new("q"));
        let subscription = fixture.consume("q", &ConsumeOptions::default());
        let ends: Vec<Error> = thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..3).map(|_| scope.spawn(|| subscription.next(SOON).unwrap_err())).collect();
            match end {
                0 => subscription.cancel(SOON).unwrap(),
                1 => fixture.channel.close(SOON).unwrap(),
                _ => fixture.connector.close(SOON).unwrap(),
            }
            waiting.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for error in ends {
            assert_eq!(matches!(error, Error::Cancelled { .. }), end == 0, "{error:?}");
            assert_eq!(matches!(error, Error::Closed { .. }), end != 0, "{error:?}");
        }
    }
}

#[test]
fn wait_until_idle_with_messages_waits_and_names_them() {
    let fixture = BrokerFixture::with_queue(&Queue::new("jobs"));
    fixture.send("", "jobs", "m");
    let delivery = fixture.get("jobs");
    let left = fixture.broker.wait_until_idle(std::time::Duration::from_millis(1)).unwrap_err();
    assert!(
        left.to_string().contains("queue \"jobs\" with 0 ready and 1 unacknowledged (1 by channel"),
        "{left}"
    );
    thread::scope(|scope| {
        let settled = scope.spawn(|| fixture.broker.wait_until_idle(SOON));
        fixture.channel.ack(delivery.tag, Extent::One).unwrap();
        settled.join().unwrap().unwrap();
    });
}

#[test]
fn channels_opened_and_closed_under_load_leave_nothing() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    for number in 0..200 {
        fixture.send("", "q", &number.to_string());
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let channel = fixture.stranger();
                    let subscription =
                        channel.consume("q", &ConsumeOptions::with_prefetch(5), SOON).unwrap();
                    if let Some(delivery) = subscription.next(std::time::Duration::ZERO).unwrap() {
                        channel.ack(delivery.tag, Extent::One).unwrap();
                    }
                    channel.get("q", Acknowledgement::Manual, SOON).unwrap();
                }
            });
        }
    });
    let view = fixture.broker.queue("q").unwrap();
    assert_eq!((view.unacked.len(), view.consumers.len()), (0, 0));
    let ready: Vec<u32> = fixture.ready("q").iter().map(|body| body.parse().unwrap()).collect();
    assert!(ready.is_sorted() && ready.len() >= 100, "{ready:?}");
}

/// Returns the next delivery, which arrives before the timeout.
fn woken(subscription: &dyn Subscription) -> Delivery {
    let asked = Instant::now();
    let delivery = subscription.next(SOON).unwrap().unwrap();
    assert!(
        asked.elapsed() < SOON,
        "the delivery was found at the timeout, the thread was not woken"
    );
    delivery
}

#[test]
fn waiting_thread_is_woken_for_a_single_message() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::with_prefetch(100));
    let (taken, tokens) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                let delivery = woken(&*subscription);
                fixture.channel.ack(delivery.tag, Extent::One).unwrap();
                taken.send(()).unwrap();
            }
        });
        for number in 0..200 {
            // Mostly, but not always, the thread sleeps by then.
            thread::sleep(Duration::from_micros(number % 10 * 20));
            fixture.send("", "q", "x");
            tokens.recv_timeout(SOON * 2).unwrap();
        }
    });
}

#[test]
fn waiting_threads_with_enough_messages_are_all_woken() {
    const THREADS: usize = 4;
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::with_prefetch(100));
    // No thread passes the barrier before each has a message.
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..500 {
                    let delivery = woken(&*subscription);
                    barrier.wait();
                    fixture.channel.ack(delivery.tag, Extent::One).unwrap();
                }
            });
        }
        for number in 0..THREADS * 500 {
            fixture.send("", "q", &number.to_string());
        }
    });
    fixture.broker.wait_until_idle(SOON).unwrap();
}

#[test]
fn publishers_under_concurrent_inspection_keep_their_order() {
    const EACH: usize = 5000;
    const PUBLISHERS: usize = 3;
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::with_prefetch(20));
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let channel = fixture.stranger();
            scope.spawn(move || {
                for number in 0..EACH {
                    post(&*channel, Content::new("", "q", format!("{publisher} {number}")));
                }
            });
        }
        scope.spawn(|| {
            let mut last = [None; PUBLISHERS];
            for taken in 0..PUBLISHERS * EACH {
                let delivery = subscription.next(SOON).unwrap().unwrap();
                let text = body(&delivery);
                let (publisher, number) = text.split_once(' ').unwrap();
                let (last, number) = (
                    &mut last[publisher.parse::<usize>().unwrap()],
                    number.parse::<usize>().unwrap(),
                );
                assert!(last.is_none_or(|last| last + 1 == number), "{last:?} before {text}");
                *last = Some(number);
                fixture.channel.ack(delivery.tag, Extent::One).unwrap();
                if taken % 100 == 0 {
                    assert!(fixture.broker.queue("q").unwrap().unacked.len() <= 20);
                }
            }
        });
    });
    fixture.broker.wait_until_idle(SOON).unwrap();
}
