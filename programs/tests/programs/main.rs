//! The five programs, on the memory broker, on Carrot's server, on a ZeroMQ host and on RabbitMQ.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[macro_use]
mod support;

mod chores;
mod order_worker;
mod plumbing;
mod price_converter;
mod rates;
mod web_hooks;
