//! One piece of work, as arguments of the form `name=value`.

use std::collections::HashMap;
use std::str::FromStr;

use crate::order::Order;
use crate::payload::Payload;

/// What travels as the message id of peers that make none up.
pub const MESSAGE_ID: &str = "0123456789abcdefghijkl";

/// What a peer is asked to do.
#[derive(Debug, Clone)]
pub struct Job {
    values: HashMap<String, String>,
}

impl Job {
    /// The job in this program's arguments.
    pub fn from_arguments() -> Job {
        let pairs = std::env::args().skip(1).filter_map(|argument| {
            let (name, value) = argument.split_once('=')?;
            Some((name.to_string(), value.to_string()))
        });
        Job { values: pairs.collect() }
    }

    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    fn number<T: FromStr + Default>(&self, name: &str) -> T {
        self.text(name).parse().unwrap_or_default()
    }

    pub fn work(&self) -> &str {
        self.text("work")
    }

    pub fn queue(&self) -> &str {
        self.text("queue")
    }

    pub fn messages(&self) -> usize {
        self.number("messages")
    }

    pub fn body(&self) -> Vec<u8> {
        vec![b'x'; self.number("size")]
    }

    pub fn payload(&self) -> Payload {
        match self.text("codec") {
            "json" => Payload::Json(Order::typical(1)),
            "bincode" => Payload::Bincode(Order::typical(1)),
            _ => Payload::Bytes(self.body()),
        }
    }

    pub fn threads(&self) -> usize {
        self.number::<usize>("threads").max(1)
    }

    pub fn prefetch(&self) -> u16 {
        self.number("prefetch")
    }

    pub fn window(&self) -> usize {
        self.number::<usize>("window").max(1)
    }

    pub fn port(&self) -> u16 {
        self.number("port")
    }

    pub fn is_tls(&self) -> bool {
        self.text("tls") == "1"
    }

    /// The broker's address as most clients take it.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls() { "amqps" } else { "amqp" };
        format!("{scheme}://guest:guest@localhost:{}/%2f", self.port())
    }

    /// Says that this peer cannot do the job.
    pub fn unsupported(&self) -> ! {
        println!("{{\"unsupported\":true}}");
        std::process::exit(0)
    }
}
