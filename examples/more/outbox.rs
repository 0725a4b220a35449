//! Orders that are stored and announced together: the transactional outbox, with SQLite.
//!
//! A shop stores an order in its database and sends a message about it. If the process ends between
//! the two, one of them is missing. Therefore the shop writes the message to a table, the outbox,
//! in the transaction of the order. A relay sends the rows of the outbox and deletes each one after
//! the broker's confirm. A row that was confirmed but not deleted is sent again, with the same
//! message id, and the receiver handles the second one as a duplicate.
//!
//! ```text
//! cargo run -p carrot-more-examples --example outbox
//! ```
//!
//! `OUTBOX_DATABASE` names the file of the database. `OUTBOX_ABORT` ends the process without a
//! warning at one of two places: `before-send` or `before-delete`. `OUTBOX_ORDERS` is the number of
//! new orders, 10 by default.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use carrot::layers::{Deduplicate, MemoryIds};
use carrot::topology::DeleteIf;
use carrot::{Connection, Message, Publisher, Queue};
use rusqlite::{Connection as Database, Transaction, params};

const QUEUE: &str = "outbox_orders";
/// The number of rows that are in flight at once.
const BATCH: usize = 100;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let mut database = open_database()?;
    let orders = std::env::var("OUTBOX_ORDERS").map_or(Ok(10), |orders| orders.parse())?;
    for order in 0..orders {
        place_order(&mut database, &format!("order {order}"))?;
    }
    abort_at("before-send");

    let connection = carrot::connect(url)?;
    let publisher = connection.publisher().queue(QUEUE).build()?;
    let sent = relay(&mut database, &publisher)?;
    println!("{sent} rows sent and deleted, {} rows left", rows(&database)?);
    publisher.close()?;
    ship(&connection)
}

fn open_database() -> Outcome<Database> {
    let database = match std::env::var_os("OUTBOX_DATABASE").map(PathBuf::from) {
        Some(path) => Database::open(path)?,
        None => Database::open_in_memory()?,
    };
    database.execute_batch(
        "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, goods TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS outbox (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             message_id TEXT NOT NULL UNIQUE,
             body TEXT NOT NULL
         );",
    )?;
    Ok(database)
}

/// Stores an order and its message: both, or none of them.
fn place_order(database: &mut Database, goods: &str) -> Outcome<()> {
    let transaction = database.transaction()?;
    transaction.execute("INSERT INTO orders (goods) VALUES (?1)", params![goods])?;
    let order = transaction.last_insert_rowid();
    announce(&transaction, &format!("order-{order}"), goods)?;
    transaction.commit()?;
    Ok(())
}

/// Writes a message to the outbox. Its id is made once, and is the same whenever it is sent.
fn announce(transaction: &Transaction<'_>, message_id: &str, body: &str) -> Outcome<()> {
    transaction.execute(
        "INSERT INTO outbox (message_id, body) VALUES (?1, ?2)",
        params![message_id, body],
    )?;
    Ok(())
}

/// Sends the rows of the outbox in their order, and deletes each one after its confirm. Returns the
/// number of rows sent. A service calls this in a loop, from one thread.
fn relay(database: &mut Database, publisher: &Publisher) -> Outcome<usize> {
    let mut sent = 0;
    loop {
        let batch = first_rows(database)?;
        if batch.is_empty() {
            return Ok(sent);
        }
        let mut failure = None;
        let mut confirmations = Vec::with_capacity(batch.len());
        for (row, message_id, body) in batch {
            let message = publisher.message().message_id(message_id);
            match message.publish(&body) {
                Ok(confirmation) => confirmations.push((row, confirmation)),
                // The rows before this one are deleted nevertheless, or they would be sent again.
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let mut confirmed = Vec::new();
        for (row, confirmation) in confirmations {
            match confirmation.wait() {
                Ok(()) => confirmed.push(row),
                // The row stays, and is sent again by the next call.
                Err(error) => failure = Some(error),
            }
        }
        abort_at("before-delete");
        let transaction = database.transaction()?;
        for row in &confirmed {
            transaction.execute("DELETE FROM outbox WHERE id = ?1", params![row])?;
        }
        transaction.commit()?;
        sent += confirmed.len();
        if let Some(error) = failure {
            return Err(error.into());
        }
    }
}

fn first_rows(database: &Database) -> Outcome<Vec<(i64, String, String)>> {
    let mut query =
        database.prepare_cached("SELECT id, message_id, body FROM outbox ORDER BY id LIMIT ?1")?;
    let rows =
        query.query_map(params![BATCH], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn rows(database: &Database) -> Outcome<i64> {
    Ok(database.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?)
}

/// Handles each message once, although some arrive twice.
fn ship(connection: &Connection) -> Outcome<()> {
    // A service would remember the ids in its database, in the transaction of the shipment.
    let ids = MemoryIds::new().capacity(10_000)?.lifetime(Duration::from_secs(86_400))?;
    let ids = Arc::new(ids);
    let consumer = connection.consumer(QUEUE).layer(Deduplicate::new(Arc::clone(&ids)));
    let mut consumer = consumer.build()?;
    let shipped = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&shipped);
    consumer.register_callback(move |_: String, _: &Message| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let waiting = connection.declare_queue(Queue::existing(QUEUE))?.message_count;
    let report = consumer.handle_next(waiting.into())?;
    let shipped = shipped.load(Ordering::SeqCst);
    println!("{} messages received, {shipped} orders shipped", report.acknowledged);
    consumer.close()?;
    connection.delete_queue(QUEUE, DeleteIf::ALWAYS)?;
    Ok(connection.close()?)
}

/// Ends the process as a crash does, if the environment asks for that.
fn abort_at(place: &str) {
    if std::env::var("OUTBOX_ABORT").as_deref() == Ok(place) {
        std::process::abort();
    }
}
