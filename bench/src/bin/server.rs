//! Hosts the memory broker on a free port of the loopback interface, until its standard input ends.
//! Prints the URL.

use std::io::Read;
use std::time::Duration;

use carrot::memory::Broker;
use carrot::server::Server;

fn main() -> carrot::Result<()> {
    // The works with large bodies fill their queues with more than the default limit.
    let server = Server::builder(&Broker::new()).memory_limit(4 << 30).bind("127.0.0.1:0")?;
    println!("{}", server.url());
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
    server.stop(Duration::from_secs(10))
}
