use std::collections::HashSet;
use std::sync::Mutex;
use std::thread;

use carrot_core::backend::{Acknowledgement, ConsumeOptions, Content, Extent, Outcome};
use carrot_core::{Error, Queue};

use super::{Fixture, SOON, send};

#[test]
fn many_threads_on_one_channel_lose_and_repeat_nothing() {
    const EACH: usize = 500;
    let fixture = Fixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::prefetch(50));
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
    fixture.broker.settled(SOON).unwrap();
    assert_eq!(seen.lock().unwrap().len(), 4 * EACH);
}

#[test]
fn every_waiting_thread_is_told_of_the_end() {
    for end in 0..3 {
        let fixture = Fixture::with_queue(&Queue::new("q"));
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
fn settled_waits_and_says_what_is_left() {
    let fixture = Fixture::with_queue(&Queue::new("jobs"));
    fixture.send("", "jobs", "m");
    let delivery = fixture.get("jobs");
    let left = fixture.broker.settled(std::time::Duration::from_millis(1)).unwrap_err();
    assert!(
        left.to_string().contains("queue \"jobs\" with 0 ready and 1 unsettled (1 by channel"),
        "{left}"
    );
    thread::scope(|scope| {
        let settled = scope.spawn(|| fixture.broker.settled(SOON));
        fixture.channel.ack(delivery.tag, Extent::One).unwrap();
        settled.join().unwrap().unwrap();
    });
}

#[test]
fn channels_that_come_and_go_under_load_leave_nothing_behind() {
    let fixture = Fixture::with_queue(&Queue::new("q"));
    for number in 0..200 {
        fixture.send("", "q", &number.to_string());
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let channel = fixture.stranger();
                    let subscription =
                        channel.consume("q", &ConsumeOptions::prefetch(5), SOON).unwrap();
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
