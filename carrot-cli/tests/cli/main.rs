//! Runs the command on hosted brokers, over AMQP and over ZeroMQ, and on RabbitMQ.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

#[cfg(feature = "management")]
mod http_stub;
mod support;

mod bench;
mod calls;
mod consume;
mod copies;
mod doctor;
mod doctor_advice;
mod failures;
mod listings;
#[cfg(feature = "management")]
mod management;
mod moves;
mod output;
#[cfg(unix)]
mod page;
mod publish;
mod serve;
#[cfg(unix)]
mod terminal;
mod topology;
#[cfg(feature = "management")]
mod virtual_hosts;
