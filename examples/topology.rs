//! Exchanges, queues and bindings from a file, declared together and compared with the broker.

use std::error::Error;

use carrot::topology::{DeleteIf, Topology};

/// A program would read this text from a file. TOML works as well.
const FILE: &str = r##"{
    "exchanges": [{"name": "example-prices", "type": "topic"}],
    "queues": [
        {"name": "example-usd-prices", "arguments": {"x-message-ttl": 3600000}},
        {"name": "example-all-prices"}
    ],
    "bindings": [
        {"source": "example-prices", "destination": {"queue": "example-usd-prices"},
         "routing_key": "usd.#"},
        {"source": "example-prices", "destination": {"queue": "example-all-prices"},
         "routing_key": "#"}
    ]
}"##;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let topology: Topology = serde_json::from_str(FILE)?;

    println!("before:\n{}\n", connection.check(&topology)?);
    connection.declare_all(&topology)?;
    println!("after:\n{}\n", connection.check(&topology)?);

    let prices = connection.publisher().exchange(&topology.exchanges[0]).build()?;
    prices.message().routing_key("eur.stock").send(&83.1)?;
    for queue in &topology.queues {
        let messages = connection.declare_queue(queue)?.message_count;
        println!("{} holds {messages} of 1 message", queue.name);
        connection.delete_queue(&queue.name, DeleteIf::ALWAYS)?;
    }
    connection.delete_exchange(&topology.exchanges[0].name, DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
