//! Carrot and other clients of RabbitMQ, in both directions.

#![allow(clippy::unwrap_used, reason = "tests")]

mod python;
