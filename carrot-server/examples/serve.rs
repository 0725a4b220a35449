//! Serves a broker until its standard input ends.
//!
//!     cargo run -p carrot-server --example serve -- 127.0.0.1:5672 3.10

use std::io::{self, Read};
use std::time::Duration;

use carrot::config::RabbitMqRelease;
use carrot::memory::Broker;
use carrot::server::Server;

fn main() -> carrot::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let release = match arguments.next().as_deref() {
        Some("3.10") => RabbitMqRelease::V3_10,
        _ => RabbitMqRelease::default(),
    };
    let broker = Broker::builder().imitate(release).build();
    let server = Server::bind(address, &broker)?;
    println!("{}", server.url());
    // The end of the input is the signal to stop. Errors are an end, too.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    server.stop(Duration::from_secs(5))
}
