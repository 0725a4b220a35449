//! Sends five messages and handles them in threads: on the in-process broker, or on RabbitMQ if
//! `CARROT_URL` names one.
//!
//! ```text
//! cargo run --example quickstart
//! CARROT_URL=amqp://guest:guest@localhost:5672/%2f cargo run --example quickstart
//! ```

use std::error::Error;
use std::thread;
use std::time::Duration;

use carrot::Message;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Feed {
    url: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(&url)?;
    println!(
        "connected to {}",
        match url.split(':').next() {
            Some("memory") => "the in-process broker",
            Some("zmq" | "zmq+ipc") => "the broker of a ZeroMQ host",
            _ => "RabbitMQ",
        }
    );

    let consumer =
        connection.consumer("quickstart").exchange("quickstart").routing_key("importer").build()?;
    let publisher =
        connection.publisher().exchange("quickstart").routing_key("importer").build()?;

    let (imported_sender, imported) = std::sync::mpsc::channel();
    let workers = consumer.workers(2).spawn(move |feed: Feed, message: &Message| {
        println!(
            "  {} imported by thread {:?}",
            feed.url,
            thread::current().name().unwrap_or_default()
        );
        imported_sender.send(message.delivery_tag())
    })?;

    for number in 1..=5 {
        let feed = Feed { url: format!("http://example.com/{number}.rss") };
        publisher.send(&feed)?;
        println!("{} sent and confirmed by the broker", feed.url);
    }

    for _ in 1..=5 {
        imported.recv_timeout(Duration::from_secs(10))?;
    }
    let report = workers.stop(Duration::from_secs(10))?;
    println!("{} messages imported, {} failed", report.acknowledged, report.failed);
    for queue in ["quickstart", "quickstart.failed"] {
        connection.delete_queue(queue, carrot::topology::DeleteIf::ALWAYS)?;
    }
    connection.delete_exchange("quickstart", carrot::topology::DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
