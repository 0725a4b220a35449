//! Reminders that the broker holds until they are due.
//!
//! ```text
//! cargo run --example delayed
//! CARROT_URL=amqp://localhost cargo run --example delayed
//! ```

use std::time::{Duration, Instant};

use carrot::topology::DeleteIf;
use carrot::{Connection, Result};

const QUEUE: &str = "example_reminders";

fn main() -> Result<()> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let publisher = connection.publisher().queue(QUEUE).build()?;
    // Otherwise, the first delayed message declares the waiting queues, and takes longer.
    publisher.declare_delays(Duration::from_secs(3))?;

    let consumer = connection.consumer(QUEUE).build()?;
    let started = Instant::now();
    for (seconds, text) in [(2, "pay the invoice"), (1, "confirm your address"), (0, "welcome")] {
        publisher.message().delay(Duration::from_secs(seconds)).send(text)?;
    }
    for message in consumer.messages()?.timeout(Duration::from_secs(10)).take(3) {
        let message = message?;
        let text: String = message.decode()?;
        println!("after {} s: {text}", started.elapsed().as_secs());
        message.ack()?;
    }
    delete_queues(&connection)
}

/// Deletes the queues of the example. A service leaves its waiting queues at the broker.
fn delete_queues(connection: &Connection) -> Result<()> {
    connection.delete_queue(QUEUE, DeleteIf::ALWAYS)?;
    for end in ["2s", "1s", "last"] {
        connection.delete_exchange(&format!("{QUEUE}.delay.v1.{end}"), DeleteIf::ALWAYS)?;
    }
    for end in ["2s", "1s", "last.kept"] {
        connection.delete_queue(&format!("{QUEUE}.delay.v1.{end}"), DeleteIf::ALWAYS)?;
    }
    connection.close()
}
