//! The harness against real nodes, and every scenario at a small size.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

mod nodes;
mod small;
