//! Carrot and other clients of RabbitMQ, in both directions.

#![allow(clippy::unwrap_used, reason = "tests")]

mod node;
mod program;
mod python;
mod support;
mod values;
