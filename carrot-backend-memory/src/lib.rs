//! An in-process message broker that behaves like RabbitMQ, for unit tests of carrot programs.
#![doc = "Make a [`Broker`], and open channels to it with [`Broker::connector`]."]

mod arguments;
mod backend;
mod broker;
mod channel;
mod clock;
mod connection;
mod connector;
mod consumers;
mod dead_letter;
mod exchange;
mod faults;
mod headers;
mod inspect;
mod pattern;
mod queue;
mod ready;
mod recording;
mod refusal;
mod reply_to;
mod routing;
mod sync;
mod topology;
mod unacked;

pub use broker::Broker;
pub use clock::ManualClock;
pub use connector::MemoryConnector;
pub use faults::{Faults, Operation};
pub use inspect::{ConsumerView, QueueView, UnackedView};
pub use recording::Recording;

#[cfg(test)]
mod tests;
