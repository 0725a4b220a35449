//! Carrot and other clients, in both directions, on Carrot's server, on RabbitMQ and on ActiveMQ.

#![allow(clippy::unwrap_used, reason = "tests")]

#[macro_use]
mod support;

mod java;
mod node;
mod program;
mod python;
mod values;
