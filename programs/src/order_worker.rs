//! An order worker: ships each order once, from the stock in a database.
//!
//! | an order | is |
//! |---|---|
//! | for an item in stock | shipped, and acknowledged |
//! | that was shipped before | acknowledged, because a broker delivers at least once |
//! | for an item that is sold out | tried again after 1 s, 2 s and so on, and parked after 8 attempts |
//! | for an unknown item | parked at once, because no further attempt can help |
//! | that cannot be decoded | tried again and parked, because a newer program may decode it |
//! | that ends the process at each delivery | dead-lettered by the broker |
//!
//! Parked and dead-lettered orders are in `<queue>.failed`. The program `chores` shows them and
//! moves them back.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carrot::consume::{HandlerError, Retry};
use carrot::{Connection, Message, Queue, Workers};
use rusqlite::{Connection as Database, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

/// An order of one piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The number of the order.
    pub id: u32,
    /// The name of the item.
    pub item: String,
}

/// The stock and the shipments of a shop, in a database. Several processes may share its file.
#[derive(Debug)]
pub struct Shop(Mutex<Database>);

impl Shop {
    /// Opens or creates a database; `:memory:` is one in memory.
    ///
    /// # Errors
    /// If the database cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> rusqlite::Result<Shop> {
        let database = Database::open(path)?;
        database.busy_timeout(Duration::from_secs(10))?;
        database.execute_batch(
            "CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, pieces INTEGER NOT NULL);
             CREATE TABLE IF NOT EXISTS shipments (order_id INTEGER PRIMARY KEY, item TEXT NOT NULL);",
        )?;
        Ok(Shop(Mutex::new(database)))
    }

    /// Adds pieces of an item to the stock.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn restock(&self, item: &str, pieces: u32) -> rusqlite::Result<()> {
        let add = "INSERT INTO stock VALUES (?1, ?2)
             ON CONFLICT (item) DO UPDATE SET pieces = pieces + excluded.pieces";
        self.database().execute(add, params![item, pieces]).map(drop)
    }

    /// Ships an order, unless it was shipped before.
    ///
    /// The shipment is recorded in the transaction that takes the piece from the stock. A process
    /// that ends at any place has therefore done both or nothing, and the broker delivers the order
    /// again.
    ///
    /// # Errors
    /// A permanent error if no such item exists. Another error if the item is sold out, or the
    /// database cannot be written now.
    pub fn ship(&self, order: &Order) -> Result<(), HandlerError> {
        let mut database = self.database();
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let is_new = transaction.execute(
            "INSERT OR IGNORE INTO shipments VALUES (?1, ?2)",
            params![order.id, order.item],
        )? > 0;
        if !is_new {
            return Ok(());
        }
        let stock = "SELECT pieces FROM stock WHERE item = ?1";
        match transaction.query_row(stock, [&order.item], |row| row.get(0)).optional()? {
            None => Err(HandlerError::permanent(format!("unknown item {:?}", order.item))),
            Some(0_u32) => Err(HandlerError::new(format!("{:?} is sold out", order.item))),
            Some(_) => {
                let take = "UPDATE stock SET pieces = pieces - 1 WHERE item = ?1";
                transaction.execute(take, [&order.item])?;
                Ok(transaction.commit()?) // without it, all changes are undone
            }
        }
    }

    /// Returns the number of shipments.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn shipments(&self) -> rusqlite::Result<u32> {
        self.database().query_row("SELECT count(*) FROM shipments", [], |row| row.get(0))
    }

    fn database(&self) -> MutexGuard<'_, Database> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the definition of the queue of orders.
///
/// The broker dead-letters an order whose deliveries ended the process more than 20 times. Releases
/// before 4.3 also count the orders that wait in a process that ends, so the limit is not lower.
/// The parking queue, which [`start`] declares, takes the dead letters too: it has no such limit.
pub fn queue(name: &str) -> Queue {
    Queue::new(name)
        .quorum()
        .delivery_limit(20)
        .dead_letter_exchange("")
        .dead_letter_routing_key(format!("{name}.failed"))
        .dead_letter_at_least_once()
}

/// Starts to handle the orders of a queue.
///
/// # Errors
/// If the broker refuses the queue or the consumer.
pub fn start(connection: &Connection, queue: &Queue, shop: Shop) -> carrot::Result<Workers> {
    // Plumbing: the pauses of failed orders. Shorter ones than an hour are useless for a new stock.
    let retry = Retry::exponential(Duration::from_secs(1), Duration::from_secs(3600)).attempts(8);

    let shop = Arc::new(shop);
    let consumer = connection.consumer(queue).retry(retry).build()?;
    consumer.workers(4).spawn(move |order: Order, _: &Message| shop.ship(&order))
}

/// Sends orders to a queue. Returns once the broker has confirmed all of them.
///
/// # Errors
/// If an order was not confirmed.
pub fn place(
    connection: &Connection,
    queue: &Queue,
    orders: impl IntoIterator<Item = Order>,
) -> carrot::Result<()> {
    connection.publisher().queue(queue).build()?.send_all(orders)
}
