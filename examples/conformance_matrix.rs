//! Runs every conformance case on the in-process broker, and on RabbitMQ if `CARROT_URL` names one.
//! Prints a table of cases and backends.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use carrot::amqp::AmqpConnector;
use carrot::backend::Connector;
use carrot::memory::{Broker, ManualClock};
use carrot::{ConnectionOptions, config::Scheme};
use carrot_conformance::{Feature, Features, Harness, Tier, matrix};

struct Memory {
    clock: ManualClock,
    broker: Broker,
}

impl Harness for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn features(&self) -> Features {
        Features::rabbitmq().with(Feature::ManualClock)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        self.broker.connector()
    }

    fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

struct RabbitMq(ConnectionOptions);

impl Harness for RabbitMq {
    fn name(&self) -> &str {
        "RabbitMQ"
    }

    fn features(&self) -> Features {
        Features::rabbitmq()
    }

    fn connect(&self) -> Arc<dyn Connector> {
        Arc::new(AmqpConnector::new(&self.0).expect("the options were checked when they were read"))
    }

    fn pass(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::new();
    let memory = Memory { broker: Broker::with_clock(&clock), clock };
    let mut harnesses: Vec<&dyn Harness> = vec![&memory];
    let rabbitmq = match std::env::var("CARROT_URL") {
        Ok(url) => {
            Some(RabbitMq(url.parse()?)).filter(|rabbitmq| rabbitmq.0.scheme != Scheme::Memory)
        }
        Err(_) => None,
    };
    harnesses.extend(rabbitmq.iter().map(|rabbitmq| rabbitmq as &dyn Harness));

    let matrix = matrix(&harnesses, &Tier::ALL);
    println!("{matrix}");
    if matrix.passed() { Ok(()) } else { Err("some cases failed".into()) }
}
