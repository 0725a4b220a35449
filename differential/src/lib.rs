//! The differential test. Runs random programs over the [contract](carrot_core::backend) on a
//! memory broker and on RabbitMQ, and compares all observations.
//!
//! A [`Program`](program::Program) is [generated](generate), [run](run()) on both brokers, and
//! [compared](compare::Comparator). The module [`unspecified`] contains the behaviour that AMQP
//! does not specify. A divergence is [shrunk](shrink()) to a minimal program, [printed](code) as
//! code, and kept as a [regression].
//!
//! The module [`hosted`] compares programs on a memory broker with those over ZeroMQ, and needs no
//! RabbitMQ. The module [`wire`] compares sessions of raw frames, on a server of the memory broker.

pub mod broker;
pub mod code;
pub mod compare;
pub mod coverage;
pub mod generate;
pub mod hosted;
pub mod names;
pub mod program;
pub mod regression;
mod runner;
pub mod series;
pub(crate) mod shrink;
pub mod specs;
mod text;
pub mod unspecified;
mod virtual_hosts;
pub mod wire;

pub use runner::{CreatedEntities, RunLog, StepLog, record, run};
pub use shrink::shrink;
