//! Runs every conformance case on the in-process broker, and on RabbitMQ if `CARROT_URL` names one.
//! Prints a table of cases and backends.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use carrot::amqp::AmqpConnector;
use carrot::backend::Connector;
use carrot::memory::{Broker, ManualClock};
use carrot::{ConnectionOptions, config::Scheme};
use carrot_conformance::{Feature, Features, Harness, Release, Tier, matrix};

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

struct RabbitMq {
    options: ConnectionOptions,
    release: Release,
}

impl RabbitMq {
    /// Uses the release that the broker announces. With TLS, uses the one that
    /// `CARROT_TEST_RABBITMQ_VERSION` names, or the newest known one.
    fn new(options: ConnectionOptions) -> Result<RabbitMq, Box<dyn Error>> {
        let release = match (options.scheme, options.addresses().next()) {
            (Scheme::Amqp, Some(address)) => Release::announced_by(address)?,
            _ => match std::env::var("CARROT_TEST_RABBITMQ_VERSION") {
                Ok(version) => version.parse()?,
                Err(_) => Release::NEWEST_KNOWN,
            },
        };
        Ok(RabbitMq { options, release })
    }
}

impl Harness for RabbitMq {
    fn name(&self) -> &str {
        "RabbitMQ"
    }

    fn features(&self) -> Features {
        Features::rabbitmq()
    }

    fn release(&self) -> Release {
        self.release
    }

    fn connect(&self) -> Arc<dyn Connector> {
        let connector = AmqpConnector::new(&self.options);
        Arc::new(connector.expect("the options were checked when they were read"))
    }

    fn pass(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::new();
    let memory = Memory { broker: Broker::with_clock(&clock), clock };
    let mut harnesses: Vec<&dyn Harness> = vec![&memory];
    let options = match std::env::var("CARROT_URL") {
        Ok(url) => Some(url.parse::<ConnectionOptions>()?),
        Err(_) => None,
    };
    let rabbitmq = options
        .filter(|options| options.scheme != Scheme::Memory)
        .map(RabbitMq::new)
        .transpose()?;
    harnesses.extend(rabbitmq.iter().map(|rabbitmq| rabbitmq as &dyn Harness));

    let matrix = matrix(&harnesses, &Tier::ALL);
    println!("{matrix}");
    if matrix.passed() { Ok(()) } else { Err("some cases failed".into()) }
}
