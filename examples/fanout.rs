//! A fanout exchange: every bound queue receives a copy of every message. Each listener has a queue
//! of its own, which the broker names and deletes with its connection.

use std::error::Error;
use std::time::Duration;

use carrot::topology::DeleteIf;
use carrot::{Exchange, Queue};

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let publisher = connection.publisher().exchange(Exchange::fanout("announcements")).build()?;

    publisher.send("no queue receives this, and that is no error")?;

    let listeners = (1..=3)
        .map(|_| {
            connection
                .consumer(Queue::server_named())
                .exchange(Exchange::fanout("announcements"))
                .build()
        })
        .collect::<Result<Vec<_>, _>>()?;
    publisher.send("all listeners receive this")?;

    for listener in &listeners {
        let message = listener
            .messages()?
            .timeout(Duration::from_secs(5))
            .next()
            .ok_or("no message arrived in time")??;
        println!("{} received {:?}", listener.queue()?, message.decode::<String>()?);
        message.ack()?;
    }
    connection.delete_exchange("announcements", DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
