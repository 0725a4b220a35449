//! Hosts of ZeroMQ in processes of their own, which are killed, started again, and frozen, under
//! load.

#![cfg(unix)]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

mod calls;
mod frozen;
mod killed;
mod load;
mod process;
