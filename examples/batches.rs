//! Rows that are inserted in batches: one transaction for up to 100 messages.

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use carrot::Message;
use carrot::consume::{BatchSettlement, Retry};
use carrot::topology::DeleteIf;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Reading {
    sensor: u32,
    celsius: f64,
}

/// Stands for a transaction. Returns the positions of the rows that the table refuses.
fn insert(readings: &[Reading]) -> Result<Vec<usize>, std::io::Error> {
    let refused = |reading: &&Reading| reading.celsius < -273.15;
    Ok(readings
        .iter()
        .enumerate()
        .filter(|(_, reading)| refused(reading))
        .map(|(position, _)| position)
        .collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let queue = "example-readings";
    let readings = connection.publisher().queue(queue).build()?;
    readings.send_all((0..250).map(|number| Reading {
        sensor: number,
        celsius: if number == 42 { -300.0 } else { 20.0 },
    }))?;
    readings.send("no reading")?;

    let consumer = connection.consumer(queue).retry(Retry::never()).build()?;
    let (sender, sizes) = mpsc::channel();
    let workers = consumer.workers(2).batches(100, Duration::from_millis(200)).spawn(
        move |readings: Vec<Reading>, _messages: &[Message]| {
            // An error of the transaction fails all its messages.
            let refused = insert(&readings)?;
            let mut settlement = BatchSettlement::new();
            for position in refused {
                let reading = &readings[position];
                settlement.fail(position, format!("sensor {} is broken", reading.sensor));
            }
            let _ = sender.send(readings.len());
            Ok::<_, std::io::Error>(settlement)
        },
    )?;
    let mut inserted = 0;
    while inserted < 250 {
        let rows = sizes.recv_timeout(Duration::from_secs(30))?;
        inserted += rows;
        println!("one transaction with {rows} rows");
    }
    let report = workers.stop(Duration::from_secs(30))?;
    println!(
        "{} messages acknowledged, {} parked, {} of them undecodable",
        report.acknowledged, report.parked, report.undecodable
    );
    for queue in [queue, "example-readings.failed"] {
        connection.delete_queue(queue, DeleteIf::ALWAYS)?;
    }
    connection.close()?;
    Ok(())
}
