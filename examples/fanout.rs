//! A fanout exchange: every bound queue gets a copy of every message. Here each listener has a
//! queue of its own that the broker names and that goes away with it.

use std::error::Error;
use std::time::Duration;

use carrot::topology::DeleteIf;
use carrot::{Exchange, Queue};

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(url)?;
    let publisher = connection.publisher().exchange(Exchange::fanout("announcements")).build()?;

    publisher.send("nobody hears this, and that is no error")?;

    let listeners = (1..=3)
        .map(|_| {
            connection
                .consumer(Queue::server_named())
                .exchange(Exchange::fanout("announcements"))
                .build()
        })
        .collect::<Result<Vec<_>, _>>()?;
    publisher.send("all hear this")?;

    for listener in &listeners {
        let message =
            listener.messages()?.timeout(Duration::from_secs(5)).next().ok_or("nothing came")??;
        println!("{} got {:?}", listener.queue()?, message.decode::<String>()?);
        message.ack()?;
    }
    connection.delete_exchange("announcements", DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
