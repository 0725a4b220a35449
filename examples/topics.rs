//! A topic exchange: a routing key is matched with patterns of words, separated by dots. `*` stands
//! for one word, and `#` for zero or more.

use std::error::Error;

use carrot::topology::DeleteIf;
use carrot::{Exchange, Queue};

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let prices = Exchange::topic("prices");

    let stocks = connection
        .consumer(Queue::server_named())
        .exchange(&prices)
        .routing_key("*.stock.#")
        .build()?;
    let everything =
        connection.consumer(Queue::server_named()).exchange(&prices).routing_key("#").build()?;

    let publisher = connection.publisher().exchange(&prices).build()?;
    for key in ["usd.stock", "eur.stock.db", "stock.nasdaq"] {
        publisher.message().routing_key(key).send(&83.1)?;
    }

    for (name, consumer) in [("*.stock.#", &stocks), ("#", &everything)] {
        for message in consumer.fetch_all() {
            let message = message?;
            println!("{name:10} matches {}", message.routing_key());
            message.ack()?;
        }
    }
    connection.delete_exchange("prices", DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
