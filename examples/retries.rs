//! More than a day of retries without waiting: a handler that always fails, on the in-process
//! broker, with a clock that this program advances.
//!
//! ```text
//! cargo run --example retries
//! ```

use std::error::Error;
use std::time::Duration;

use carrot::memory::{Broker, ManualClock};
use carrot::{Connection, Message, Queue, consume::Retry};

fn main() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::new();
    let broker = Broker::with_clock(&clock);
    let connection = Connection::new(broker.connector());

    // Ten attempts, with pauses that double from four minutes to eighteen hours. Then the message
    // is parked.
    let retry = Retry::exponential(Duration::from_secs(256), Duration::from_secs(65_536))
        .attempts(10)
        .without_jitter();
    let mut consumer = connection.consumer("orders").retry(retry).park("orders.failed").build()?;
    let watch = clock.clone();
    consumer.register_callback(move |order: String, message: &Message| {
        println!("{}  attempt {} at {order}", time(watch.elapsed()), message.attempt());
        Err::<(), _>("the payment service is away")
    });

    connection.publisher().routing_key("orders").build()?.send("order 17")?;
    for _ in 0..10 {
        consumer.handle_next(1)?; // one attempt
        clock.advance_to_next(); // to the end of the pause
    }

    let parked = connection.consumer(Queue::existing("orders.failed")).build()?;
    for message in parked.fetch_all() {
        let message = message?;
        println!("{}  parked: {}", time(clock.elapsed()), message.decode::<String>()?);
        for (name, value) in message.headers().into_iter().flat_map(|headers| headers.iter()) {
            println!("    {name}: {value:?}");
        }
        message.ack()?; // or message.forward()?, which sends it back for ten further attempts
    }
    Ok(())
}

fn time(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
