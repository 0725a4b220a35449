//! The driver that leaves channel 0 to amiquip, and serves all other channels itself.
//!
//! Layers: `connection <- channel <- connector`. The modules move up once today's driver is
//! removed.

mod channel;
mod connection;
mod connector;

pub(crate) use connector::NextConnector;
