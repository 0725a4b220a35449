//! An in-process message broker that behaves like RabbitMQ, for unit tests of carrot programs.
//!
//! A [`Broker`] is a handle of one broker with its exchanges, queues and messages.
//! [`Broker::connector`] returns the connector for a carrot connection, which then works as on
//! RabbitMQ. Beyond that, a test can
//!
//! * advance the time by hand: [`Broker::with_clock`] and [`ManualClock::advance`];
//! * inject faults: [`Broker::faults`];
//! * inspect the broker: [`Broker::queue`], [`Broker::bindings`], [`Broker::connections`],
//!   [`Broker::record`];
//! * wait until every message is settled: [`Broker::wait_until_idle`].
//!
//! ```
//! use std::time::Duration;
//! use carrot::memory::{Broker, ManualClock};
//! use carrot::backend::{ChannelOptions, Connector, ConsumeOptions, Content, Declare};
//! use carrot::{Queue, message::Value};
//!
//! let clock = ManualClock::new();
//! let broker = Broker::with_clock(&clock);
//! let channel = broker.connector().open(&ChannelOptions::consume(), Duration::from_secs(1))?;
//! let slow = Queue::new("slow")
//!     .message_ttl(Duration::from_secs(1800))
//!     .dead_letter_exchange("")
//!     .dead_letter_routing_key("late");
//! channel.declare(Declare::Queue(&slow), Duration::from_secs(1))?;
//! channel.declare(Declare::Queue(&Queue::new("late")), Duration::from_secs(1))?;
//! broker.put("slow", Content::new("", "slow", "not consumed in time"))?;
//!
//! clock.advance(Duration::from_secs(1800));
//!
//! let late = channel.consume("late", &ConsumeOptions::default(), Duration::from_secs(1))?;
//! let late = late.next(Duration::ZERO)?.expect("a dead letter");
//! let reason = late.content.properties.header("x-first-death-reason");
//! assert_eq!(reason, Some(&Value::from("expired")));
//! # Ok::<(), carrot::Error>(())
//! ```
//!
//! A server that translates a protocol uses [`session`] instead of a connector.
//!
//! # What is modelled
//!
//! The broker imitates RabbitMQ 4.3, or 3.10 if [`BrokerBuilder::imitate`] says so, with one
//! virtual host, `/`, and with classic and quorum queues:
//!
//! * the four exchange types and the default exchange, exchange-to-exchange bindings, alternate
//!   exchanges, `CC` and `BCC`;
//! * exclusive, auto-delete, expiring and server-named queues;
//! * delivery tags, prefetch, requeue to the old position, consumer priorities, exclusive and
//!   single active consumers;
//! * confirms, returns, and nacks of full queues;
//! * TTLs, length limits, dead-lettering with its records, priority queues;
//! * direct reply-to, and the check of the user id.
//!
//! Operations that RabbitMQ refuses fail with the same kind of error, and close the channel or the
//! connection in the same way.
//!
//! A quorum queue is a durable queue with the rules of its type: its arguments, the positions of
//! requeued messages, delivery limits, the headers `x-delivery-count` and `x-acquired-count`,
//! priorities and delayed retries with 4.3, no conditional deletion.
//! [`BrokerBuilder::quorum_by_default`] makes it the default type of queues.
//!
//! # What is not modelled
//!
//! * Stream queues. Declaring one fails with
//!   [`Error::PreconditionFailed`](carrot_core::Error::PreconditionFailed).
//! * The replication of quorum queues: groups, leaders, and the time that replication takes. With
//!   `x-overflow=reject-publish`, RabbitMQ accepts a few messages beyond the limit, and then
//!   refuses messages until a fifth of the queue is free. This broker refuses exactly the messages
//!   beyond the limit. Dead letters arrive at most once, with every `x-dead-letter-strategy`.
//! * A blocked connection. RabbitMQ reads nothing more from it, this broker only no publications;
//!   see [`Faults::block_publishers`].
//! * Passwords, permissions and policies. Every user may do everything, under any password.
//! * Consumer timeouts.
//! * The order of more than 32 headers, which RabbitMQ 4.3 does not define. This broker sorts them.
//! * Persistence. A broker ends with its last handle. Durability only matters for comparing
//!   declarations.
//! * The delay between broker and client. A message is delivered on return of the call that sent
//!   it. On RabbitMQ, an unconfirmed publication or a dead letter may be visible only later.
//! * The order of consumers of one channel after an acknowledgement of several messages. RabbitMQ
//!   orders them by their random tags, this broker by their age.
//! * After the single active consumer of a queue is cancelled, RabbitMQ 3.10 may not serve the
//!   successor until the queue changes otherwise. This broker serves the successor at once.
//!
//! # Threads and time
//!
//! The calling thread does all work, under short locks. Publishing holds a read lock of the
//! topology until the message is in its queues. Each queue and each channel has a lock of its own.
//! Waiting threads sleep on condition variables; no thread polls.
//!
//! A broker has at most one thread of its own, which watches the clock. The thread starts with the
//! first TTL or expiry on a broker with the real clock, and ends with the broker. A broker with a
//! [`ManualClock`] never has one.
//!
//! # Log levels
//!
//! * `debug`: a dead letter is lost because its exchange does not exist, or dropped because it went
//!   in a cycle.
//! * `warn`: the thread that watches the clock could not be started; an endless cycle of dead
//!   letters was broken.
//!
//! No log line contains a body.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod broker;
mod channel;
mod clock;
mod driver;
mod errors;
mod header_order;
mod queue;
mod release_rules;
mod routing;
pub mod session;
mod sync;
mod testing;
mod value_text;

pub use broker::Broker;
pub use broker::builder::BrokerBuilder;
pub use broker::fault_plan::Operation;
pub use clock::ManualClock;
pub use driver::connector::MemoryConnector;
pub use testing::counts::QueueCounts;
pub use testing::faults::Faults;
pub use testing::inspect::{ChannelView, ConnectionView, ConsumerView, QueueView, UnackedView};
pub use testing::recording::Recording;

#[cfg(test)]
mod tests;
