//! Breaks brokers and networks under Carrot, and checks that no message is lost and no call hangs.
//!
//! | task | type |
//! |---|---|
//! | start, kill, freeze and restart a private RabbitMQ node, raise its memory alarm | [`BrokerNode`], three of them in a [`Cluster`] |
//! | cut, delay, throttle, discard and refuse connections | [`Proxy`] |
//! | account for every message and call | [`Accounting`] |
//! | measure the memory, threads and open files of this process | [`ResourceMonitor`] |
//! | keep messages flowing during a fault | [`Load`] |
//!
//! The [`scenarios`] combine these types. `./scripts/faults` runs the scenarios at full size and
//! prints a table. `./scripts/test` runs each of them at a small size.
//!
//! A node ends when its owner ends, also if the owner is killed. A small process beside the node
//! waits for the end of the owner.

mod accounting;
mod audit;
mod authority;
mod call_times;
mod cleanup;
mod cluster;
mod error;
pub mod failing_worker;
mod load;
mod monitor;
mod node;
mod outcome;
mod proxy;
pub mod scenarios;
mod wait;
pub mod worker;

pub use accounting::{Accounting, SendOutcome};
pub use audit::Audit;
pub use authority::{CertificateAuthority, IssuedCertificate};
pub use call_times::TimedCall;
pub use cluster::Cluster;
pub use error::Result;
pub use load::{Load, LoadOptions};
pub use monitor::{ResourceMonitor, ResourceUsage};
pub use node::BrokerNode;
pub use outcome::{OutcomeTable, ScenarioOutcome};
pub use proxy::{Direction, Forwarding, Proxy, ProxyStatistics};
pub use wait::{eventually, unique};
