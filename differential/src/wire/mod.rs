//! The comparison on the wire. Runs random sessions of raw frames on RabbitMQ and on a
//! [server](carrot_server) of a memory broker, and compares the frames that come back.
//!
//! A [`WireProgram`](program::WireProgram) is [generated](generate), [run](run()) on both, and
//! [compared](compare::WireComparator). The module [`unspecified`] contains what is not compared. A
//! difference is shrunk, and printed as frames.

pub mod compare;
pub mod difference;
pub mod frames;
pub mod generate;
pub mod observed;
pub mod program;
mod random;
pub mod regression;
mod run;
pub mod series;
mod socket;
pub mod unspecified;

pub use run::{Pace, WireLog, run};
