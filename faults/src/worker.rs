//! A program that consumes until it is told to end: what `carrot-faults worker URL QUEUE` does, for the scenario that stops it.

use std::io::{Write, stdout};
use std::thread;
use std::time::Duration;

use carrot::Message;

use crate::Result;

/// What the work takes.
const WORK: Duration = Duration::from_millis(2);

/// Consumes with four workers until SIGINT or SIGTERM. Prints `ready`, then `done N` for each message that was handled, and at the end
/// `acknowledged N`.
///
/// # Errors
/// What Carrot gives.
pub fn run(url: &str, queue: &str) -> Result<()> {
    let connection = carrot::connect(url)?;
    let consumer = connection.consumer(queue).prefetch(50).build()?;
    let stop = consumer.stop_handle();
    ctrlc::set_handler(move || {
        if let Err(error) = stop.stop() {
            eprintln!("the broker was not told: {error}");
        }
    })?;
    let workers = consumer.workers(4).spawn(|(id, _): (u64, String), _: &Message| {
        thread::sleep(WORK);
        println!("done {id}");
    })?;
    println!("ready");
    let report = workers.join()?;
    consumer.close()?;
    connection.close()?;
    println!("acknowledged {}", report.acknowledged);
    Ok(stdout().flush()?)
}
