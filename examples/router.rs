//! One queue with messages of several types, each handled by its own function.

use std::error::Error;

use carrot::consume::Router;
use carrot::topology::DeleteIf;
use carrot::{Message, Settlement};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    number: u32,
    lines: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Cancellation {
    number: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;

    let router = Router::new()
        .on("order.placed", |order: Order, _: &Message| {
            println!("order {} has {} lines", order.number, order.lines.len());
        })
        .on("order.cancelled", |cancellation: Cancellation, _: &Message| {
            println!("order {} is cancelled", cancellation.number);
        })
        .otherwise(|message: &Message| {
            println!("rejecting a message of type {:?}", message.kind().unwrap_or_default());
            Settlement::Reject
        });
    let mut consumer = connection.consumer("example-order-events").build()?;
    consumer.register_router(router);

    let events = connection.publisher().queue("example-order-events").build()?;
    let order = Order { number: 7, lines: vec!["a carrot".into()] };
    events.message().kind("order.placed").send(&order)?;
    events.message().kind("order.cancelled").send(&Cancellation { number: 7 })?;
    events.message().kind("order.lost").send("an event of another program")?;

    let report = consumer.handle_next(3)?;
    println!("{} messages acknowledged, {} rejected", report.acknowledged, report.rejected);
    connection.delete_queue("example-order-events", DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
