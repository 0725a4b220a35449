//! Hosts a broker for other processes, until Ctrl-C: at a port, or at a socket of the file system.
//!
//! ```text
//! cargo run --example zeromq_host --features zeromq
//! cargo run --example zeromq_host --features zeromq -- 127.0.0.1:6000
//! cargo run --example zeromq_host --features zeromq -- /tmp/carrot.sock
//! ```
//!
//! Any other example runs on this broker, in another terminal:
//!
//! ```text
//! CARROT_URL=zmq://127.0.0.1:5555 cargo run --example work_queue --features zeromq
//! ```
//!
//! Python programs in `examples/zeromq_python` use it, too.

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use carrot::memory::Broker;
use carrot::zeromq::BrokerHost;

fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5555".into());
    let broker = Broker::new();
    let host = start(&place, &broker)?;

    let (interrupt, interrupted) = mpsc::channel();
    ctrlc::set_handler(move || {
        // Fails only if the program ends already.
        let _ = interrupt.send(());
    })?;
    println!("hosting at {}; Ctrl-C ends it", host.url());
    interrupted.recv()?;

    // The clients are told, and have five seconds to close their connections.
    host.stop(Duration::from_secs(5))?;
    // A stop returns the deliveries of all clients to their queues.
    let queues = broker.queues();
    let queues = queues.iter().filter_map(|name| broker.queue(name));
    let messages: usize = queues.map(|queue| queue.ready.len()).sum();
    println!("stopped; {messages} messages end with this process");
    Ok(())
}

#[cfg(unix)]
fn start(place: &str, broker: &Broker) -> carrot::Result<BrokerHost> {
    match place.starts_with('/') {
        true => BrokerHost::builder(broker).bind_path(place),
        false => BrokerHost::bind(place, broker),
    }
}

#[cfg(not(unix))]
fn start(place: &str, broker: &Broker) -> carrot::Result<BrokerHost> {
    BrokerHost::bind(place, broker)
}
