//! Orders that are sent twice and shipped once: a layer remembers the message ids of handled
//! messages.
//!
//! ```text
//! cargo run --example dedup
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use carrot::Message;
use carrot::layers::{Deduplicate, LogMessages, MemoryIds, SlowHandlers};
use carrot::topology::DeleteIf;

const ORDERS: u32 = 10;
const QUEUE: &str = "shipped_once";

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    // The layers of the connection are outside those of its consumers.
    let connection = carrot::connect(url)?
        .with_handle_layer(LogMessages::new())
        .with_handle_layer(SlowHandlers::new(Duration::from_secs(5))?);

    // A day of at most 10,000 orders. A database would remember them beyond the process.
    let ids = MemoryIds::new().capacity(10_000)?.lifetime(Duration::from_secs(86_400))?;
    let ids = Arc::new(ids);
    let consumer = connection.consumer(QUEUE).layer(Deduplicate::new(Arc::clone(&ids))).build()?;

    let shipped = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&shipped);
    let workers = consumer.workers(4).spawn(move |order: u32, message: &Message| {
        if order == 7 && message.attempt() == 1 {
            return Err("the printer of labels is jammed"); // no duplicate: tried again after 1 s
        }
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    })?;

    // The number of the order is the message id. A web shop that hears no answer sends it again.
    let publisher = connection.publisher().routing_key(QUEUE).build()?;
    for order in (1..=ORDERS).chain(1..=ORDERS) {
        publisher.message().message_id(format!("order-{order}")).send(&order)?;
    }

    while workers.report().acknowledged < u64::from(2 * ORDERS) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let report = workers.stop(Duration::from_secs(30))?;
    println!(
        "{} messages acknowledged, {} orders shipped, {} ids remembered",
        report.acknowledged,
        shipped.load(Ordering::SeqCst),
        ids.len()
    );
    connection.delete_queue(QUEUE, DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
