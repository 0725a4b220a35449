//! The shared code of the programs of this package: their jobs and their measurement.
//!
//! Each peer is a program that runs one job from its `name=value` arguments, and prints one line of
//! JSON.

pub mod job;
pub mod meter;
pub mod order;
pub mod payload;
pub mod recorder;
