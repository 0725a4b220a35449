//! Prints the memory of a message: ready in a queue, and delivered but not settled.
#![allow(missing_docs, reason = "a bench has no readers of its API")]

mod support;

use carrot_backend_memory::Broker;
use carrot_core::Queue;
use carrot_core::backend::ConsumeOptions;

use support::{Address, SOON, declare, open};

const MESSAGES: u64 = 1_000_000;

/// Returns the memory of this process in bytes, if the system reports it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn report(what: &str, before: Option<u64>) {
    match before.zip(resident()) {
        Some((before, after)) => println!(
            "{what}: {} bytes per message of 100 bytes",
            after.saturating_sub(before) / MESSAGES
        ),
        None => println!("{what}: not reported by this system"),
    }
}

fn main() {
    let broker = Broker::new();
    let channel = open(&broker);
    declare(&*channel, &Queue::new("q"));
    let address = Address::new("", "q");
    let before = resident();
    (0..MESSAGES).for_each(|_| address.publish(&*channel));
    report("ready", before);
    let _subscription =
        channel.consume("q", &ConsumeOptions::with_prefetch(0), SOON).expect("a consumer");
    report("delivered and unsettled", before);
}
