//! The broker, and the queues in it.

use std::error::Error;

use carrot::backend::DeleteIf;
use carrot::{Codec, Connection, ConnectionOptions, Publisher};
use carrot_bench::order::Order;

use crate::peers::{Peer, Ran};
use crate::works::{Fill, Work};

pub struct Broker {
    connection: Connection,
    port: u16,
    tls_port: u16,
    authority: String,
    pub version: String,
}

fn port(variable: &str) -> Result<u16, Box<dyn Error>> {
    let url = std::env::var(variable).map_err(|_| format!("{variable} is not set; scripts/bench sets it"))?;
    let options: ConnectionOptions = url.replace("amqps:", "amqp:").parse()?;
    options.hosts.first().and_then(|host| host.port).ok_or_else(|| format!("{variable} names no port").into())
}

impl Broker {
    pub fn from_env() -> Result<Broker, Box<dyn Error>> {
        let (port, tls_port) = (port("CARROT_TEST_AMQP_URL")?, port("CARROT_TEST_AMQPS_URL")?);
        let connection = carrot::connect(std::env::var("CARROT_TEST_AMQP_URL")?.as_str())?;
        let version = std::env::var("RABBITMQ_VERSION").unwrap_or_else(|_| "?".into());
        Ok(Broker { connection, port, tls_port, authority: std::env::var("CARROT_TEST_CA_FILE")?, version })
    }

    /// Has a peer do the work on a fresh queue.
    pub fn run(&self, peer: &Peer, work: &Work, messages: usize) -> Result<Ran, Box<dyn Error>> {
        let queue = format!("bench.{}.{}", work.name, peer.name);
        let in_broker = !work.kind.starts_with("memory");
        if in_broker {
            self.connection.declare_queue(&*queue)?;
            self.fill(&queue, work, messages)?;
        }
        let port = if work.tls { self.tls_port } else { self.port };
        let arguments = [
            ("work", work.kind.to_string()),
            ("messages", messages.to_string()),
            ("size", work.size.to_string()),
            ("threads", work.threads.to_string()),
            ("prefetch", work.prefetch.to_string()),
            ("window", work.window.to_string()),
            ("codec", work.codec.to_string()),
            ("tls", u8::from(work.tls).to_string()),
            ("ca", self.authority.clone()),
            ("port", port.to_string()),
            ("queue", queue.clone()),
        ];
        let ran = peer.run(&arguments.map(|(name, value)| format!("{name}={value}")));
        if in_broker {
            self.connection.delete_queue(&queue, DeleteIf::ALWAYS)?;
        }
        ran
    }

    fn fill(&self, queue: &str, work: &Work, messages: usize) -> carrot::Result<()> {
        let publisher = || self.connection.publisher().routing_key(queue).transient();
        match work.fill {
            Fill::Nothing => Ok(()),
            Fill::Bodies => {
                let publisher: Publisher = publisher().build()?;
                let body = vec![b'x'; work.size];
                for _ in 0..messages {
                    drop(publisher.message().publish_bytes(body.as_slice())?);
                }
                publisher.close()
            }
            Fill::Orders => {
                let codec = if work.codec == "bincode" { Codec::bincode() } else { Codec::json() };
                let publisher = publisher().codec(codec).build()?;
                publisher.send_all((0..messages as u64).map(Order::typical))?;
                publisher.close()
            }
        }
    }
}
