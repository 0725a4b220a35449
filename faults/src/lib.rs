//! Breaks brokers and networks under Carrot, and checks that nothing is lost and nobody hangs.
//!
//! | to | use |
//! |---|---|
//! | start, kill, freeze, alarm and restart a private RabbitMQ | [`Node`], three of them in a [`Cluster`] |
//! | cut, delay, throttle, swallow and refuse connections | [`Proxy`] |
//! | know what became of every message and call | [`Ledger`] |
//! | know what this process uses | [`Watch`] |
//! | keep messages flowing meanwhile | [`Load`] |
//!
//! The [`scenarios`] put them together. `./scripts/faults` runs these at full size and prints a table; `./scripts/test` runs each at a small
//! size.
//!
//! A node ends with its owner, whichever way that ends: a small process beside it waits for the owner's death.

mod certificates;
mod cluster;
pub mod failing_worker;
mod guardian;
mod ledger;
mod load;
mod node;
mod outcome;
mod proxy;
pub mod scenarios;
mod wait;
mod watch;
pub mod worker;

pub use certificates::{Authority, Issued};
pub use cluster::Cluster;
pub use ledger::{Audit, Fate, Ledger, SlowestCall};
pub use load::{Load, LoadOptions};
pub use node::{Node, Result};
pub use outcome::{Outcome, Table};
pub use proxy::{Direction, Flow, Proxy, Statistics};
pub use wait::{eventually, unique};
pub use watch::{Usage, Watch};
