//! Carrot and other clients, in both directions, on Carrot's server and on RabbitMQ.

#![allow(clippy::unwrap_used, reason = "tests")]

#[macro_use]
mod support;

mod node;
mod program;
mod python;
mod values;
