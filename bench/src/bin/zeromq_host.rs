//! Hosts the memory broker for `zmq://` on a free port of the loopback interface, until its standard
//! input ends. Prints the URL.

use std::io::Read;
use std::time::Duration;

use carrot::memory::Broker;
use carrot::zeromq::BrokerHost;

fn main() -> carrot::Result<()> {
    let host = BrokerHost::bind("127.0.0.1:0", &Broker::new())?;
    println!("{}", host.url());
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
    host.stop(Duration::from_secs(10))
}
