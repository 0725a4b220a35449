//! A work queue: four threads share the jobs, and a free thread takes the next job.
//!
//! Ctrl-C or `SIGTERM` stops the program gracefully: running jobs are finished, and the others stay
//! in the queue. The thread of the signal stops the consumer, and `join` returns.
//!
//! Without a signal, the program ends when all jobs are done. `JOBS` sets the number of jobs, and
//! `QUEUE` the name of the queue.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use carrot::Message;
use carrot::topology::DeleteIf;

fn main() -> Result<(), Box<dyn Error>> {
    let jobs: usize = std::env::var("JOBS").map_or(Ok(20), |jobs| jobs.parse())?;
    let queue = std::env::var("QUEUE").unwrap_or_else(|_| "work_queue".into());
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let consumer = connection.consumer(&*queue).prefetch(8).build()?;

    let publisher = connection.publisher().routing_key(&*queue).build()?;
    publisher.send_all((1..=jobs).map(|job| format!("job {job}")))?;
    println!("{jobs} jobs sent");

    let stop = consumer.stop_handle();
    ctrlc::set_handler(move || {
        println!("stopping");
        if let Err(error) = stop.stop() {
            eprintln!("could not cancel the consumer: {error}");
        }
    })?;

    let left = Arc::new(AtomicUsize::new(jobs));
    let all_done = consumer.stop_handle();
    let workers = consumer.workers(4).spawn(move |job: String, _message: &Message| {
        thread::sleep(Duration::from_millis(20)); // the work
        println!("  {job} done by {:?}", thread::current().name().unwrap_or_default());
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            all_done.stop()?;
        }
        Ok::<(), carrot::Error>(())
    })?;

    let report = workers.join()?;
    println!("{} jobs done, {} requeued", report.acknowledged, report.requeued_unhandled);
    if connection.declare_queue(&*queue)?.message_count == 0 {
        connection.delete_queue(&queue, DeleteIf::ALWAYS)?;
        connection.delete_queue(&format!("{queue}.failed"), DeleteIf::ALWAYS)?;
    }
    connection.close()?;
    Ok(())
}
