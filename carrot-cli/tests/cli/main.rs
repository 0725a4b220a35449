//! Runs the command on hosted brokers, over AMQP and over ZeroMQ, and on RabbitMQ.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

#[cfg(feature = "management")]
mod http_stub;
mod support;

mod activemq;
#[cfg(feature = "management")]
mod all_vhosts;
mod bench;
mod calls;
mod consume;
#[cfg(feature = "management")]
mod control_failures;
#[cfg(feature = "management")]
mod controlled_broker;
mod copies;
mod doctor;
mod doctor_advice;
#[cfg(feature = "management")]
mod doctor_control;
#[cfg(feature = "management")]
mod doctor_management;
mod escaped_names;
mod failures;
#[cfg(feature = "management")]
mod hosted_control;
#[cfg(unix)]
mod interrupts;
mod listings;
#[cfg(unix)]
mod losses;
#[cfg(feature = "management")]
mod management;
mod moves;
mod output;
#[cfg(unix)]
mod page;
#[cfg(feature = "management")]
mod private_authority;
mod publish;
mod serve;
#[cfg(all(unix, feature = "management"))]
mod served_control;
#[cfg(unix)]
mod silent_broker;
mod streams;
#[cfg(unix)]
mod terminal;
mod topology;
#[cfg(feature = "management")]
mod virtual_hosts;
