//! A small service, and its unit tests on the in-process broker: `cargo test --example unit_test`.
//!
//! The service takes a [`Connection`], and does not depend on its backend.

use std::error::Error;
use std::time::Duration;

use carrot::{Connection, Exchange, Message, Publisher, Queue, Settlement, Workers};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u32,
    pence: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Invoice {
    order: u32,
    total: String,
}

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Turns orders into invoices, with a reminder a month later. Refuses orders below zero.
fn serve(connection: &Connection) -> carrot::Result<Workers> {
    let invoices: Publisher =
        connection.publisher().exchange("invoices").routing_key("new").build()?;
    let orders = Queue::new("orders").dead_letter_exchange("refused-orders");
    connection.declare_queue("reminders")?;
    connection.declare_queue(
        Queue::new("reminders-later")
            .message_ttl(MONTH)
            .dead_letter_exchange("")
            .dead_letter_routing_key("reminders"),
    )?;
    let reminders = connection.publisher().routing_key("reminders-later").build()?;
    connection.consumer(orders).build()?.workers(2).spawn(
        move |order: Order, _message: &Message| {
            if order.pence < 0 {
                return Ok(Settlement::Reject);
            }
            let total = format!("{}.{:02} GBP", order.pence / 100, order.pence % 100);
            reminders.send(&order)?;
            invoices.send(&Invoice { order: order.id, total })?;
            Ok::<_, carrot::Error>(Settlement::Ack)
        },
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let world = World::new(&connection)?;

    world.orders.send(&Order { id: 1, pence: 1999 })?;
    world.orders.send(&Order { id: 2, pence: -5 })?;
    println!("invoice: {:?}", world.invoice()?);
    println!("refused: {:?}", world.refused()?);

    let report = world.service.stop(Duration::from_secs(10))?;
    println!("{} order acknowledged, {} rejected", report.acknowledged, report.rejected);
    for queue in
        ["orders", "orders.failed", "all-invoices", "all-refused", "reminders", "reminders-later"]
    {
        connection.delete_queue(queue, carrot::topology::DeleteIf::ALWAYS)?;
    }
    connection.close()?;
    Ok(())
}

/// The environment of the service: a publisher of orders, and consumers of the results.
struct World {
    orders: Publisher,
    invoices: carrot::Consumer,
    refused: carrot::Consumer,
    service: Workers,
}

impl World {
    fn new(connection: &Connection) -> carrot::Result<World> {
        Ok(World {
            invoices: connection
                .consumer("all-invoices")
                .exchange("invoices")
                .routing_key("new")
                .build()?,
            refused: connection
                .consumer("all-refused")
                .exchange(Exchange::fanout("refused-orders"))
                .build()?,
            service: serve(connection)?,
            orders: connection.publisher().routing_key("orders").build()?,
        })
    }

    fn invoice(&self) -> Result<Invoice, Box<dyn Error>> {
        next(&self.invoices)
    }

    fn refused(&self) -> Result<Order, Box<dyn Error>> {
        next(&self.refused)
    }
}

fn next<T: serde::de::DeserializeOwned>(consumer: &carrot::Consumer) -> Result<T, Box<dyn Error>> {
    let message = consumer
        .messages()?
        .timeout(Duration::from_secs(5))
        .next()
        .ok_or("no message arrived within five seconds")??;
    let value = message.decode()?;
    message.ack()?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use carrot::memory::{Broker, ManualClock, Operation};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn order_becomes_invoice() -> Result<(), Box<dyn Error>> {
        let world = World::new(&carrot::connect("memory://")?)?;
        world.orders.send(&Order { id: 7, pence: 1205 })?;
        assert_eq!(world.invoice()?, Invoice { order: 7, total: "12.05 GBP".into() });
        Ok(())
    }

    #[test]
    fn order_below_zero_is_refused() -> Result<(), Box<dyn Error>> {
        let world = World::new(&carrot::connect("memory://")?)?;
        let order = Order { id: 8, pence: -1 };
        world.orders.send(&order)?;
        assert_eq!(world.refused()?, order);
        Ok(())
    }

    #[test]
    fn reminder_arrives_after_a_month() -> Result<(), Box<dyn Error>> {
        let clock = ManualClock::new();
        let broker = Broker::with_clock(&clock);
        let world = World::new(&Connection::new(broker.connector()))?;
        world.orders.send(&Order { id: 9, pence: 500 })?;
        world.invoice()?;

        let waiting = || broker.queue("reminders").map_or(0, |queue| queue.ready.len());
        clock.advance(MONTH - Duration::from_secs(1));
        assert_eq!(waiting(), 0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(waiting(), 1);
        Ok(())
    }

    #[test]
    fn order_survives_lost_connection() -> Result<(), Box<dyn Error>> {
        let broker = Broker::new();
        let world = World::new(&Connection::new(broker.connector()))?;
        broker.faults().drop_connections_at(Operation::Publish, 2);
        world.orders.send(&Order { id: 10, pence: 1 })?;
        assert_eq!(world.invoice()?.order, 10);
        assert_eq!(broker.faults().outstanding(), 0);
        Ok(())
    }

    #[test]
    fn refused_order_makes_no_invoice() -> Result<(), Box<dyn Error>> {
        let broker = Broker::new();
        let connection = Connection::new(broker.connector());
        let invoices = broker.record("invoices");
        let service = serve(&connection)?;
        connection.publisher().routing_key("orders").build()?.send(&Order { id: 11, pence: -1 })?;

        broker.wait_until_idle(SOON)?;
        assert!(invoices.messages().is_empty());
        assert_eq!(service.stop(SOON)?.rejected, 1);
        Ok(())
    }
}
