//! Checks the rules of the driver against a broker that each test plays frame by frame: one that
//! stops to read, stops to write, sends an octet at a time, or breaks the protocol.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod calls;
mod client;
mod closing;
mod contents;
mod credentials;
mod form;
mod handshake;
mod leading;
#[cfg(target_os = "linux")]
mod memory;
mod peer;
mod read_limit;
mod reading;
mod writing;

use std::time::Duration;

const FRAME_MAX: u32 = 131_072;
const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(1);
