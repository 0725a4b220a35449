//! Retries by a clock that the test turns: a day of them takes no time.

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use carrot::memory::{Broker, ManualClock};
use carrot::{Connection, Message, Queue, Retry, Settlement, Workers};

use crate::support::{SOON, eventually};

struct World {
    clock: ManualClock,
    broker: Broker,
    connection: Connection,
}

fn world() -> World {
    let clock = ManualClock::new();
    let broker = Broker::with_clock(&clock);
    let connection = Connection::new(broker.connector());
    World { clock, broker, connection }
}

impl World {
    fn ready(&self, queue: &str) -> usize {
        self.broker.queue(queue).map_or(0, |queue| queue.ready.len())
    }

    /// A worker whose handler always fails, with the attempts that it makes.
    fn failing(&self, consumer: carrot::ConsumerBuilder) -> (Workers, Receiver<u32>) {
        let (sender, attempts) = mpsc::channel();
        let fail = move |_: String, message: &Message| {
            sender.send(message.attempt()).unwrap();
            Err::<(), _>("no luck")
        };
        (consumer.build().unwrap().workers(1).spawn(fail).unwrap(), attempts)
    }

    /// Advances the clock by just less than a pause, and then to its end.
    fn expect_pause(&self, seconds: u64, waiting: &str) {
        eventually("a copy waits", || self.ready(waiting) == 1);
        self.clock.advance(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert_eq!(self.ready(waiting), 1, "{waiting}");
        self.clock.advance(Duration::from_millis(1));
        assert_eq!(self.ready(waiting), 0, "{waiting}");
    }
}

#[test]
fn the_default_is_five_attempts_after_one_two_four_and_eight_seconds() {
    let world = world();
    let (workers, attempts) = world.failing(world.connection.consumer("orders"));
    world.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    for (attempt, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        assert_eq!(attempts.recv_timeout(SOON), Ok(attempt));
        world.expect_pause(seconds, &format!("orders.retry.v1.{seconds}s"));
    }
    assert_eq!(attempts.recv_timeout(SOON), Ok(5));
    eventually("it is parked", || world.ready("orders.failed") == 1);
    world.clock.advance(Duration::from_secs(1_000_000));
    assert_eq!(world.ready("orders.failed"), 1);
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.retried, report.parked), (5, 4, 1));
    assert!(attempts.try_recv().is_err());
}

#[test]
fn ten_attempts_over_a_day_take_no_time() {
    let world = world();
    let retry = Retry::exponential(Duration::from_secs(256), Duration::from_secs(65_536)).attempts(10).without_jitter();
    let (workers, attempts) = world.failing(world.connection.consumer("orders").retry(retry));
    world.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    for attempt in 1..=9_u32 {
        assert_eq!(attempts.recv_timeout(SOON), Ok(attempt));
        let seconds = 256_u64 << (attempt - 1);
        world.expect_pause(seconds, &format!("orders.retry.v1.{seconds}s"));
    }
    assert!(world.clock.elapsed() > Duration::from_secs(86_400));
    assert_eq!(attempts.recv_timeout(SOON), Ok(10));
    eventually("it is parked", || world.ready("orders.failed") == 1);
    assert_eq!(workers.stop(SOON).unwrap().parked, 1);
}

#[test]
fn waiting_queues_are_declared_by_rule_and_never_expire() {
    let world = world();
    let (workers, attempts) = world.failing(world.connection.consumer("orders").retry(Retry::fixed(Duration::from_secs(3))));
    world.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    attempts.recv_timeout(SOON).unwrap();
    eventually("a copy waits", || world.ready("orders.retry.v1.4s") == 1);
    let declared = world.broker.queue("orders.retry.v1.4s").unwrap().definition;
    let expected = Queue::new("orders.retry.v1.4s")
        .quorum()
        .message_ttl(Duration::from_secs(4))
        .dead_letter_exchange("")
        .dead_letter_routing_key("orders")
        .argument("x-dead-letter-strategy", "at-least-once")
        .argument("x-overflow", "reject-publish");
    assert_eq!(declared, expected);
    assert_eq!(world.broker.queue("orders.failed").unwrap().definition, Queue::new("orders.failed").quorum());
    drop(workers);
}

#[test]
fn a_pause_in_the_process_goes_by_the_clock_too() {
    let world = world();
    let queue = Queue::new("orders").single_active_consumer();
    let (workers, attempts) = world.failing(world.connection.consumer(queue).retry(Retry::fixed(Duration::from_secs(600)).attempts(3)));
    world.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    for attempt in 1..=3 {
        assert_eq!(attempts.recv_timeout(SOON), Ok(attempt));
        if attempt < 3 {
            // The worker may begin its pause after a turn of the clock; the next turn ends it then.
            eventually("the pause is over", || {
                world.clock.advance(Duration::from_secs(600));
                workers.report().retried >= u64::from(attempt)
            });
        }
    }
    eventually("it is parked", || world.ready("orders.failed") == 1);
    assert_eq!(workers.stop(SOON).unwrap().parked, 1);
}

#[test]
fn a_pause_that_a_handler_chooses_is_rounded_up_to_a_power_of_two() {
    let world = world();
    let (sender, attempts) = mpsc::channel();
    let workers = world.connection.consumer("orders").build().unwrap().workers(1).spawn(move |_: String, message: &Message| {
        sender.send(message.attempt()).unwrap();
        match message.attempt() {
            1 => Settlement::RetryAfter(Duration::ZERO),
            2 => Settlement::RetryAfter(Duration::from_secs(100)),
            3 => Settlement::RetryAfter(Duration::MAX),
            _ => Settlement::Ack,
        }
    });
    let workers = workers.unwrap();
    world.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    for seconds in [1, 128, 131_072] {
        attempts.recv_timeout(SOON).unwrap();
        world.expect_pause(seconds, &format!("orders.retry.v1.{seconds}s"));
    }
    world.broker.queue("orders").unwrap();
    assert_eq!(attempts.recv_timeout(SOON), Ok(4));
    assert_eq!(workers.stop(SOON).unwrap().acknowledged, 1);
}

#[test]
fn a_consumer_pauses_after_failures_in_a_row_and_goes_on() {
    let world = world();
    let (sender, handled) = mpsc::channel();
    let consumer = world
        .connection
        .consumer("orders")
        .prefetch(1)
        .retry(Retry::fixed(Duration::from_secs(1)))
        .pause_after_failures(3)
        .build()
        .unwrap();
    let workers = consumer.workers(1).spawn(move |number: u32, _message: &Message| {
        sender.send(number).unwrap();
        if number < 4 { Err("the database is away") } else { Ok(()) }
    });
    let workers = workers.unwrap();
    world.connection.publisher().routing_key("orders").build().unwrap().send_all(0..10_u32).unwrap();
    for number in 0..3 {
        assert_eq!(handled.recv_timeout(SOON), Ok(number));
    }
    // It pauses: nothing is handled, whatever is there.
    assert!(handled.recv_timeout(Duration::from_millis(50)).is_err());
    // After the pause one attempt is enough for the next.
    eventually("the pause is over", || {
        world.clock.advance(Duration::from_millis(100));
        workers.report().failed == 4
    });
    assert_eq!(handled.recv_timeout(SOON), Ok(3));
    assert!(handled.recv_timeout(Duration::from_millis(50)).is_err());
    workers.stop(SOON).unwrap();
}
