//! Brokers that are killed, frozen, full or cut off, in processes of their own.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod frozen;
mod full;
mod killed;
mod network;
mod process;
mod traffic;
