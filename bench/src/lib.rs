//! What the programs of this package have in common: the job they are given, and how they measure it.
//!
//! Each peer is a program that does one piece of work once, told by `name=value` arguments, and prints one line of JSON.

pub mod job;
pub mod meter;
pub mod order;
pub mod payload;
