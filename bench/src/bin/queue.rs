//! Declares a queue with `MESSAGES` messages of 100 bytes, on the broker at `CARROT_TEST_AMQP_URL`:
//! `queue NAME MESSAGES`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(messages)) = (arguments.next(), arguments.next()) else { return Err("usage: queue NAME MESSAGES".into()) };
    let connection = carrot::connect(std::env::var("CARROT_TEST_AMQP_URL")?.as_str())?;
    connection.declare_queue(&*name)?;
    let publisher = connection.publisher().routing_key(name).transient().build()?;
    for _ in 0..messages.parse::<usize>()? {
        drop(publisher.message().publish_bytes([b'x'; 100])?);
    }
    Ok(publisher.close()?)
}
