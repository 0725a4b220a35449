//! RabbitMQ for Carrot, and other brokers that speak AMQP 0-9-1, through amiquip.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod channel;
mod confirms;
mod connection;
mod connector;
mod convert;
mod core;
mod desk;
mod dial;
mod error;
mod flow;
mod ledger;
mod lending;
mod limits;
mod owner;
mod ranges;
mod start;
mod stream;
mod subscription;
mod time;
#[cfg(feature = "tls")]
mod tls;
mod watchdog;

pub use connector::AmqpConnector;
