//! What a queue puts off must not show: neither what publishers leave beside it, nor what its only consumer has not told it.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Content, Delete, DeleteIf, Delivery, DeliveryTag,
    Extent, Outcome, Rejection, Subscription,
};
use carrot_core::{Binding, Properties, Queue};

use super::{Fixture, SOON, body, post, returned, send};

const NOW: Duration = Duration::ZERO;
const PATIENCE: Duration = Duration::from_secs(10);

/// One that takes from the queue, on a channel of its own.
struct Taker {
    channel: Arc<dyn Backend>,
    subscription: Option<Box<dyn Subscription>>,
    held: Vec<DeliveryTag>,
}

impl Taker {
    fn new(fixture: &Fixture, prefetch: u16) -> Taker {
        let channel = fixture.open();
        let subscription = channel.consume("q", &ConsumeOptions::prefetch(prefetch), SOON).ok();
        Taker { channel, subscription, held: Vec::new() }
    }

    fn take(&mut self, delivery: Option<Delivery>) -> String {
        let Some(delivery) = delivery else { return "nothing".into() };
        self.held.push(delivery.tag);
        format!("{} tag {} redelivered {}", body(&delivery), delivery.tag.0, delivery.redelivered)
    }
}

fn look(fixture: &Fixture) -> String {
    let view = fixture.broker.queue("q").unwrap();
    let unacked: Vec<String> = view
        .unacked
        .iter()
        .map(|view| String::from_utf8_lossy(&view.content.body).into_owned())
        .collect();
    let rooms: Vec<_> = view.consumers.iter().map(|consumer| consumer.room).collect();
    format!("ready {:?} unacked {unacked:?} rooms {rooms:?}", fixture.ready("q"))
}

/// Does what the seed says to a queue; what came of each step.
fn history(queue: &Queue, seed: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let fixture = Fixture::with_queue(queue);
    let mut takers: Vec<Taker> = Vec::new();
    let mut published = 0;
    let mut history = Vec::new();
    // Some runs watch the queue seldom, since to look at it has it do what it has put off.
    let curious = random.bool();
    for _ in 0..random.usize(20..400) {
        let step = random.u32(0..100);
        let chosen = random.usize(0..takers.len().max(1));
        let count = takers.len();
        let taker = takers.get_mut(chosen);
        let outcome = match (step, taker) {
            (0..35, _) => {
                let burst = if random.u32(0..20) == 0 { random.u32(1..600) } else { 1 };
                for _ in 0..burst {
                    published += 1;
                    fixture.send("", "q", &published.to_string());
                }
                format!("published {published}")
            }
            (35..37, _) => {
                published += 1;
                let expiring = Properties::new().with_expiration(random.u32(0..30).to_string());
                format!("{:?}", fixture.send_with("", "q", &published.to_string(), expiring))
            }
            (37..60, Some(taker)) => match &taker.subscription {
                Some(subscription) => match subscription.next(NOW) {
                    Ok(delivery) => taker.take(delivery),
                    Err(error) => error.to_string(),
                },
                None => "ended".into(),
            },
            (60..80, Some(taker)) if !taker.held.is_empty() => {
                let tag = taker.held.remove(random.usize(0..taker.held.len()));
                taker.channel.ack(tag, Extent::One).unwrap();
                format!("acknowledged {}", tag.0)
            }
            (80..84, Some(taker)) if !taker.held.is_empty() => {
                let tag = taker.held.remove(random.usize(0..taker.held.len()));
                let rejection = if random.bool() { Rejection::Requeue } else { Rejection::Discard };
                taker.channel.reject(tag, rejection, Extent::One).unwrap();
                format!("rejected {}", tag.0)
            }
            (84, Some(taker)) if !taker.held.is_empty() => {
                taker.channel.ack(DeliveryTag(0), Extent::UpTo).unwrap();
                taker.held.clear();
                "acknowledged all".into()
            }
            (85..87, Some(taker)) => {
                let delivery = taker.channel.get("q", Acknowledgement::Manual, SOON).unwrap();
                taker.take(delivery)
            }
            (87, Some(taker)) => match taker.subscription.take() {
                Some(subscription) if random.bool() => {
                    subscription.cancel(SOON).unwrap();
                    format!(
                        "cancelled with {:?}",
                        std::iter::from_fn(|| subscription
                            .next(NOW)
                            .ok()
                            .flatten()
                            .map(|delivery| body(&delivery)))
                        .count()
                    )
                }
                _ => "dropped".into(),
            },
            (88, Some(_)) => {
                takers.remove(chosen).channel.close(SOON).unwrap();
                "closed".into()
            }
            (89..92, _) if count == 0 || (count < 3 && random.u32(0..4) == 0) => {
                takers.push(Taker::new(
                    &fixture,
                    *random.choice(&[0, 1, 2, 5, 10, 40, 100]).unwrap(),
                ));
                "joined".into()
            }
            (92, _) => {
                fixture.clock.advance(Duration::from_millis(random.u64(1..20)));
                "time passed".into()
            }
            (93, _) if random.u32(0..5) == 0 => format!("purged {}", fixture.purge("q")),
            (94..100, _) if curious => look(&fixture),
            _ => continue,
        };
        history.push(outcome);
    }
    history.push(look(&fixture));
    history
}

#[test]
fn a_queue_that_puts_things_off_does_as_one_that_cannot() {
    for seed in 0..200 {
        // One with a limit, even if it is never reached, does everything at once.
        let (lazy, eager) = (
            history(&Queue::new("q"), seed),
            history(&Queue::new("q").max_length(1_000_000), seed),
        );
        let differs = lazy.iter().zip(&eager).position(|(one, other)| one != other);
        if let Some(index) = differs {
            panic!(
                "seed {seed}: {:#?}\ninstead of {:?}",
                &lazy[index.saturating_sub(30)..=index],
                eager[index]
            );
        }
    }
}

/// The next delivery, for which nobody waits to the end.
fn woken(subscription: &dyn Subscription) -> Delivery {
    let asked = Instant::now();
    let delivery = subscription.next(PATIENCE).unwrap().unwrap();
    assert!(asked.elapsed() < PATIENCE, "found, but not woken for");
    delivery
}

#[test]
fn who_waits_is_woken_for_a_single_message() {
    let fixture = Fixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::prefetch(100));
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
            // Mostly, but not always, it sleeps by then.
            thread::sleep(Duration::from_micros(number % 10 * 20));
            fixture.send("", "q", "x");
            tokens.recv_timeout(PATIENCE * 2).unwrap();
        }
    });
}

#[test]
fn every_thread_that_waits_is_woken_if_there_is_a_message_for_it() {
    const THREADS: usize = 4;
    let fixture = Fixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::prefetch(100));
    // Nobody comes past the barrier before each has a message, so none may be left with a thread that has one already.
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
    fixture.broker.settled(SOON).unwrap();
}

#[test]
fn each_publisher_keeps_its_order_while_others_look_and_acknowledge() {
    const EACH: usize = 5000;
    const PUBLISHERS: usize = 3;
    let fixture = Fixture::with_queue(&Queue::new("q"));
    let subscription = fixture.consume("q", &ConsumeOptions::prefetch(20));
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
    fixture.broker.settled(SOON).unwrap();
}

#[test]
fn a_message_goes_where_it_belongs_now_and_not_where_the_last_one_went() {
    let fixture = Fixture::with_queue(&Queue::new("q"));
    let publish = |exchange: &str, key: &str| {
        send(&*fixture.channel, Content::new(exchange, key, "m")).unwrap()
    };
    assert_eq!(publish("", "q"), Outcome::Accepted);
    assert_eq!(publish("", "other"), returned());
    assert_eq!(publish("amq.direct", "q"), returned());
    fixture.bind(&Binding::queue("amq.direct", "q", "q"));
    assert_eq!(publish("amq.direct", "q"), Outcome::Accepted);
    fixture
        .stranger()
        .delete(Delete::Queue { name: "q", condition: DeleteIf::ALWAYS }, SOON)
        .unwrap();
    assert_eq!(publish("amq.direct", "q"), returned());
    fixture.queue(&Queue::new("q"));
    assert_eq!(publish("amq.direct", "q"), returned());
    assert_eq!(publish("", "q"), Outcome::Accepted);
    assert_eq!(fixture.ready("q").len(), 1);
}
