//! The differential test: random programs over the [contract](carrot_core::backend) run on a memory broker and on RabbitMQ, and every
//! observation is compared.
//!
//! A [`Program`](program::Program) is [generated](generate), [run](run()) on both, and [compared](compare::Corner). What AMQP leaves open is told in
//! [`open`], and nowhere else. A divergence is [shrunk](shrink()) to a minimal program, [printed](code) as code, and kept among the
//! [regressions](regression).

pub mod campaign;
pub mod code;
pub mod compare;
pub mod coverage;
pub mod generate;
pub mod names;
pub mod open;
mod perform;
pub mod program;
pub mod regression;
mod run;
mod shrink;
pub mod side;
mod text;

pub use run::{Log, Made, Step, run, watch};
pub use shrink::shrink;
