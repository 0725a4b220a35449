//! A program that consumes until it is stopped. A scenario runs and stops this program as
//! `carrot-faults worker URL QUEUE`.

use std::io::{Write, stdout};
use std::thread;
use std::time::Duration;

use carrot::Message;

use crate::error::Result;

/// The time that the handler takes for a message.
const HANDLING: Duration = Duration::from_millis(2);

/// Consumes with four workers until SIGINT or SIGTERM.
///
/// Prints `ready` once it consumes, `done N` after it has handled message N, and `acknowledged N`
/// with the number of acknowledged messages at the end.
///
/// # Errors
/// An error of Carrot.
pub fn run(url: &str, queue: &str) -> Result<()> {
    let connection = carrot::connect(url)?;
    let consumer = connection.consumer(queue).prefetch(50).build()?;
    let stop = consumer.stop_handle();
    ctrlc::set_handler(move || {
        if let Err(error) = stop.stop() {
            eprintln!("cannot stop the consumer: {error}");
        }
    })?;
    let workers = consumer.workers(4).spawn(|(id, _): (u64, String), _: &Message| {
        thread::sleep(HANDLING);
        println!("done {id}");
    })?;
    println!("ready");
    let report = workers.join()?;
    consumer.close()?;
    connection.close()?;
    println!("acknowledged {}", report.acknowledged);
    Ok(stdout().flush()?)
}
