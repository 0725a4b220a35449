//! The broker, and its queues.

use std::error::Error;

use carrot::backend::DeleteIf;
use carrot::{Codec, Connection, ConnectionOptions, Publisher};
use carrot_bench::order::SampleOrder;

use crate::peers::{PeerClient, PeerOutcome};
use crate::workloads::{Preload, Workload};

pub struct BenchBroker {
    connection: Connection,
    /// The URL for Carrot, if it is not `amqp://` with the port.
    url: String,
    port: u16,
    tls_port: u16,
    authority: String,
    pub version: String,
}

fn port(variable: &str) -> Result<u16, Box<dyn Error>> {
    let url = std::env::var(variable).map_err(|_| format!("{variable} is not set; scripts/bench sets it"))?;
    let options: ConnectionOptions = url.replace("amqps:", "amqp:").parse()?;
    options.hosts.first().and_then(|host| host.port).ok_or_else(|| format!("{variable} contains no port").into())
}

impl BenchBroker {
    pub fn from_env() -> Result<BenchBroker, Box<dyn Error>> {
        let (port, tls_port) = (port("CARROT_TEST_AMQP_URL")?, port("CARROT_TEST_AMQPS_URL")?);
        let connection = carrot::connect(std::env::var("CARROT_TEST_AMQP_URL")?.as_str())?;
        let version = format!("RabbitMQ {}", std::env::var("RABBITMQ_VERSION").unwrap_or_else(|_| "?".into()));
        let authority = std::env::var("CARROT_TEST_CA_FILE")?;
        Ok(BenchBroker { connection, url: String::new(), port, tls_port, authority, version })
    }

    /// Connects to a broker that is called `version`, and has no TLS here.
    pub fn at(url: &str, version: &str) -> Result<BenchBroker, Box<dyn Error>> {
        let options: ConnectionOptions = url.parse()?;
        let port = options.hosts.first().and_then(|host| host.port).ok_or("the URL contains no port")?;
        let (connection, version) = (carrot::connect(url)?, version.to_string());
        let url = if url.starts_with("amqp:") { String::new() } else { url.to_string() };
        Ok(BenchBroker { connection, url, port, tls_port: port, authority: String::new(), version })
    }

    /// Connects to the ActiveMQ broker whose URL is in the environment.
    pub fn activemq() -> Result<BenchBroker, Box<dyn Error>> {
        const URL: &str = "CARROT_TEST_ACTIVEMQ_URL";
        let version = std::env::var("CARROT_TEST_ACTIVEMQ_VERSION").unwrap_or_else(|_| "?".into());
        let port = port(URL)?;
        let connection = carrot::connect(std::env::var(URL)?.as_str())?;
        let (url, version) = (format!("${URL}"), format!("ActiveMQ {version}"));
        Ok(BenchBroker { connection, url, port, tls_port: port, authority: String::new(), version })
    }

    /// Runs a workload with a peer, on a new queue.
    pub fn run(&self, peer: &PeerClient, workload: &Workload, messages: usize) -> Result<PeerOutcome, Box<dyn Error>> {
        let queue = format!("bench.{}.{}", workload.name, peer.name);
        let in_broker = !workload.kind.starts_with("memory");
        if in_broker {
            self.connection.declare_queue(&*queue)?;
            self.preload(&queue, workload, messages)?;
        }
        let port = if workload.tls { self.tls_port } else { self.port };
        let mut arguments = workload.arguments(messages);
        arguments.extend([
            format!("tls={}", u8::from(workload.tls)),
            format!("ca={}", self.authority),
            format!("port={port}"),
            format!("url={}", self.url),
            format!("queue={queue}"),
        ]);
        let ran = peer.run(&arguments);
        if in_broker {
            self.connection.delete_queue(&queue, DeleteIf::ALWAYS)?;
        }
        ran
    }

    fn preload(&self, queue: &str, workload: &Workload, messages: usize) -> carrot::Result<()> {
        let publisher = || self.connection.publisher().routing_key(queue).transient();
        match workload.preload {
            Preload::Nothing => Ok(()),
            Preload::Bodies => {
                let publisher: Publisher = publisher().build()?;
                let body = vec![b'x'; workload.size];
                for _ in 0..messages {
                    drop(publisher.message().publish_bytes(body.as_slice())?);
                }
                publisher.close()
            }
            Preload::Orders => {
                let codec = if workload.codec == "bincode" { Codec::bincode() } else { Codec::json() };
                let publisher = publisher().codec(codec).build()?;
                publisher.send_all((0..messages as u64).map(SampleOrder::typical))?;
                publisher.close()
            }
        }
    }
}
