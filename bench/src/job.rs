//! The job of a peer, as arguments of the form `name=value`.

use std::collections::HashMap;
use std::str::FromStr;

use crate::order::SampleOrder;
use crate::payload::JobPayload;

/// The message id for peers that generate none.
pub const MESSAGE_ID: &str = "0123456789abcdefghijkl";

/// A workload with its parameters, which a peer runs once.
#[derive(Debug, Clone)]
pub struct PeerJob {
    values: HashMap<String, String>,
}

impl PeerJob {
    /// Parses the arguments of this program.
    pub fn from_arguments() -> PeerJob {
        let pairs = std::env::args().skip(1).filter_map(|argument| {
            let (name, value) = argument.split_once('=')?;
            Some((name.to_string(), value.to_string()))
        });
        PeerJob { values: pairs.collect() }
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

    pub fn payload(&self) -> JobPayload {
        match self.text("codec") {
            "json" => JobPayload::Json(SampleOrder::typical(1)),
            "bincode" => JobPayload::Bincode(SampleOrder::typical(1)),
            _ => JobPayload::Bytes(self.body()),
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

    /// Returns the URL of the broker. A URL with a password is in the variable of the environment
    /// that `url=$NAME` names, because every user of the machine can list arguments.
    pub fn url(&self) -> String {
        let url = self.text("url");
        if let Some(variable) = url.strip_prefix('$') {
            return std::env::var(variable).unwrap_or_default();
        }
        if !url.is_empty() {
            return url.to_string();
        }
        let scheme = if self.is_tls() { "amqps" } else { "amqp" };
        format!("{scheme}://guest:guest@localhost:{}/%2f", self.port())
    }

    /// Reports that this peer does not support the job, and ends the process.
    pub fn unsupported(&self) -> ! {
        println!("{{\"unsupported\":true}}");
        std::process::exit(0)
    }
}
