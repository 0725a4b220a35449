//! Brokers that break the protocol, and brokers that send more than was asked for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod broken_input;
mod cancelled;
mod counts;
mod flood;
mod scripted;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;
mod table;
mod table_notices;
mod transactions;
