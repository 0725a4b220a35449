//! A memory broker whose clock the test advances.

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use carrot::config::RabbitMqRelease;
use carrot::memory::{Broker, ManualClock, Operation};
use carrot::{Connection, Error, Message, Workers};

use crate::support::eventually;

pub struct Setup {
    pub clock: ManualClock,
    pub broker: Broker,
    pub connection: Connection,
}

pub fn setup() -> Setup {
    setup_imitating(RabbitMqRelease::V4_3)
}

pub fn setup_imitating(release: RabbitMqRelease) -> Setup {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(&clock).imitate(release).build();
    let connection = Connection::new(broker.connector());
    Setup { clock, broker, connection }
}

impl Setup {
    pub fn ready(&self, queue: &str) -> usize {
        self.broker.queue(queue).map_or(0, |queue| queue.ready.len())
    }

    /// A worker whose handler always fails, with its attempts.
    pub fn failing(
        &self,
        consumer: carrot::consume::ConsumerDefinition<carrot::Connection>,
    ) -> (Workers, Receiver<u32>) {
        let (sender, attempts) = mpsc::channel();
        let fail = move |_: String, message: &Message| {
            sender.send(message.attempt()).unwrap();
            Err::<(), _>("no luck")
        };
        (consumer.build().unwrap().workers(1).spawn(fail).unwrap(), attempts)
    }

    /// Advances the clock by just less than a pause, and then to its end.
    pub fn expect_pause(&self, seconds: u64, waiting: &str) {
        eventually("a copy waits", || self.ready(waiting) == 1);
        self.clock.advance(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert_eq!(self.ready(waiting), 1, "{waiting}");
        self.clock.advance(Duration::from_millis(1));
        assert_eq!(self.ready(waiting), 0, "{waiting}");
    }
}

/// Refuses every declaration, as a broker without permissions does.
pub fn refuse_declarations(broker: &Broker, times: usize) {
    for _ in 0..times {
        broker
            .faults()
            .fail_next(Operation::Declare, Error::AccessRefused { reason: "no permission".into() });
    }
}
