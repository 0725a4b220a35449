//! The five programs, on the memory broker, on Carrot's server, on a ZeroMQ host, on RabbitMQ and
//! on ActiveMQ.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[macro_use]
mod support;

#[path = "../../../tests/activemq_page.rs"]
mod activemq_page;
mod activemq_refusals;
mod chores;
mod order_worker;
mod plumbing;
mod price_converter;
mod rates;
mod web_hooks;
