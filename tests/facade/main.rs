//! The public API, on all backends.
//!
//! Every test of [`on_both_backends`] runs in five places: on the in-process broker, over ZeroMQ's
//! wire protocol on a host, with the AMQP driver on a `carrot-server` of its own, on the RabbitMQ
//! node that `CARROT_TEST_AMQP_URL` names, and on the ActiveMQ broker that
//! `CARROT_TEST_ACTIVEMQ_URL` names. `./scripts/test` starts both. A test that does not pass on
//! ActiveMQ names its reason in an attribute, and the reason is tested.
//!
//! A test that runs on RabbitMQ only names its reason.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

#[macro_use]
mod breakable;
#[macro_use]
mod on_activemq;
#[macro_use]
mod remote_broker;
#[macro_use]
mod support;

#[path = "../activemq_page.rs"]
mod activemq_page;
mod batches;
mod calls;
mod changing_secrets;
mod compression;
mod connection;
mod consumer;
mod deadlines;
mod delayed_retry;
mod delays;
mod examples;
mod failures;
mod first_contact;
mod handlers;
mod hard_errors;
mod held_bytes;
mod layers;
mod limits;
mod load;
mod message;
mod observing;
mod ordered;
mod outages;
mod publisher;
mod queue_types;
mod recovery;
mod refusals;
mod refused_operations;
mod router;
mod send_progress;
mod statistics;
mod streams;
mod topology;
mod unattended_confirms;
mod workers;
