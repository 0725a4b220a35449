//! Ships orders: `order_worker [DATABASE] [QUEUE] [NUMBER]`. Places this number of orders first.

use std::env;
use std::error::Error;
use std::time::Duration;

use carrot::ConnectionOptions;
use carrot_programs::order_worker::{self, Order, Shop};

/// The longest wait for a broker that starts after this program.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| ":memory:".into());
    let queue = order_worker::queue(&arguments.next().unwrap_or_else(|| "orders".into()));
    let placed = arguments.next().map_or(Ok(0), |number| number.parse())?;

    // Plumbing: connects.
    let connection = carrot::connect_within(ConnectionOptions::from_env()?, PATIENCE)?;

    let shop = Shop::open(&path).map_err(|error| format!("no database at {path}: {error}"))?;
    if placed > 0 {
        shop.restock("kettle", placed)?;
        let order = |id| Order { id, item: "kettle".into() };
        order_worker::place(&connection, &queue, (0..placed).map(order))?;
    }
    let workers = order_worker::start(&connection, &queue, shop)?;
    println!("shipping");

    // Plumbing: Ctrl-C and SIGTERM end `join`. An error of `stop` is also one of `join`.
    let stop = workers.stop_handle();
    ctrlc::set_handler(move || drop(stop.stop()))?;
    let report = workers.join()?;
    connection.close()?;

    println!("{} orders handled, {} attempts failed", report.acknowledged, report.failed);
    Ok(())
}
