//! A backend of the program: queues in a map, reached through the default exchange.
//!
//! The backend passes the tiers Basics and Settlement of the conformance kit. Publishers and
//! consumers work on the backend as on any other. `docs/backend-guide.md` explains each part.

mod channel;
mod connector;
mod shelf;
mod state;
mod subscription;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use carrot::Connection;
use carrot::backend::Connector;
use carrot_conformance::{Feature, Features, Harness, Tier, matrix};

use crate::connector::ShelfConnector;
use crate::shelf::Shelf;

struct ShelfHarness(Arc<Shelf>);

impl Harness for ShelfHarness {
    fn name(&self) -> &str {
        "shelf"
    }

    fn features(&self) -> Features {
        Features::none()
            .with(Feature::ConsumerCounts)
            .with(Feature::OldPlaceAfterRequeue)
            .with(Feature::Returns)
            .with(Feature::TransientQueues)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        ShelfConnector::new(&self.0)
    }

    fn pass(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

fn main() -> Result<(), Box<dyn StdError>> {
    let shelf = Arc::new(Shelf::default());

    let connection = Connection::new(ShelfConnector::new(&shelf));
    let consumer = connection.consumer("letters").build()?;
    connection
        .publisher()
        .routing_key("letters")
        .build()?
        .send("delivered by a backend of our own")?;
    if let Some(message) = consumer.fetch()? {
        println!("{}", message.decode::<String>()?);
        message.ack()?;
    }

    let matrix = matrix(&[&ShelfHarness(shelf)], &[Tier::Basics, Tier::Settlement]);
    println!("{matrix}");
    if !matrix.passed() {
        return Err("some cases failed".into());
    }
    println!("all cases passed");
    Ok(())
}
