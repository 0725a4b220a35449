//! Compression: what each algorithm saves, and a body of a few kilobytes that would inflate to many
//! megabytes. The consumer refuses that message, and parks it.
//!
//! ```text
//! cargo run --example compression --features compression
//! ```

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use carrot::codec::Compression;
use carrot::consume::Retry;
use carrot::topology::DeleteIf;
use carrot::{Codec, Message, Queue};
use serde::{Deserialize, Serialize};

const QUEUE: &str = "example-compression";
const PARKING: &str = "example-compression.failed";
/// The largest report that the program expects, in bytes.
const LARGEST: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Line {
    sensor: u32,
    place: String,
    celsius: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let report: Vec<Line> = (0..500)
        .map(|sensor| Line {
            sensor,
            place: format!("warehouse {}, aisle {}", sensor % 7, sensor % 40),
            celsius: f64::from(sensor * 7 % 300) / 10.0,
        })
        .collect();

    let consumer = connection
        .consumer(QUEUE)
        .max_inflated_bytes(LARGEST)
        .retry(Retry::never())
        .park(PARKING)
        .build()?;
    let publisher = connection.publisher().queue(QUEUE).build()?;
    for compression in [
        None,
        Some(Compression::gzip()),
        Some(Compression::zstd()),
        Some(Compression::bzip2()),
        Some(Compression::brotli()),
    ] {
        publisher.message().compress(compression).send(&report)?;
    }
    for message in consumer.fetch_all() {
        let message = message?;
        let header = message.header("compression").and_then(|name| name.as_str());
        let (sent, whole) = (message.body().len(), message.inflated_body()?.len());
        let saved = 100 - 100 * sent / whole;
        println!("{:20} {sent:6} of {whole} bytes, {saved} % saved", header.unwrap_or("none"));
        assert_eq!(message.decode::<Vec<Line>>()?.len(), report.len());
        message.ack()?;
    }

    // Another client sends 8 MiB of zeros.
    let (sender, received) = mpsc::channel();
    let workers = consumer.workers(1).spawn(move |text: String, _: &Message| sender.send(text))?;
    let bomb = Codec::text().compressed(Compression::gzip()).encode(&"\0".repeat(8 << 20))?;
    publisher
        .message()
        .properties(|properties| {
            properties.with_content_type("text/plain").with_content_encoding("gzip")
        })
        .send_bytes(&bomb)?;
    publisher.message().compress(Compression::zstd()).send("the worker goes on")?;
    println!("received: {}", received.recv_timeout(Duration::from_secs(30))?);
    workers.stop(Duration::from_secs(30))?;

    let parked = connection.consumer(Queue::existing(PARKING)).build()?;
    for message in parked.fetch_all() {
        let message = message?;
        let error = message.header("carrot-error").and_then(|error| error.as_str());
        println!("parked {} bytes: {}", message.body().len(), error.unwrap_or_default());
        message.ack()?;
    }
    for queue in [QUEUE, PARKING] {
        connection.delete_queue(queue, DeleteIf::ALWAYS)?;
    }
    connection.close()?;
    Ok(())
}
