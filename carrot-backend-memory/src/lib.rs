//! An in-process message broker that behaves like RabbitMQ, for unit tests of carrot programs.
//!
//! A [`Broker`] is a handle of one broker: exchanges, queues, messages. [`Broker::connector`] makes what a carrot connection needs to
//! reach it; everything that works through a connection works on it as on RabbitMQ. Beyond that, a test can
//!
//! * turn the time by hand: [`Broker::with_clock`] and [`ManualClock::advance`];
//! * order failures: [`Broker::faults`];
//! * look inside: [`Broker::queue`], [`Broker::bindings`], [`Broker::record`], and wait until all is done: [`Broker::settled`].
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
//! let slow = Queue::new("slow").message_ttl(Duration::from_secs(1800)).dead_letter_exchange("").dead_letter_routing_key("late");
//! channel.declare(Declare::Queue(&slow))?;
//! channel.declare(Declare::Queue(&Queue::new("late")))?;
//! broker.put("slow", Content::new("", "slow", "nobody comes"))?;
//!
//! clock.advance(Duration::from_secs(1800));
//!
//! let late = channel.consume("late", &ConsumeOptions::default())?.next(Duration::ZERO)?.expect("a dead letter");
//! assert_eq!(late.content.properties.header("x-first-death-reason"), Some(&Value::from("expired")));
//! # Ok::<(), carrot::Error>(())
//! ```
//!
//! # What is modelled
//!
//! One virtual host, `/`, of RabbitMQ 3.10 with classic and quorum queues: the four exchange types and the default exchange, exchange-to-exchange
//! bindings, alternate exchanges, `CC` and `BCC`; exclusive, auto-delete, expiring, server-named queues; delivery tags, prefetch, requeue
//! to the old place, consumer priorities, exclusive and single active consumers; confirms, returns, nacks of full queues; TTLs, length
//! limits, dead-lettering with its records, priority queues; direct reply-to; the user-id check. What RabbitMQ refuses is refused with
//! the same kind of error, and closes the channel or the connection in the same way.
//!
//! A quorum queue is a durable queue with the rules of its type: what it takes as arguments, where requeued messages go, delivery limits
//! and the `x-delivery-count` header, no priorities, no conditional deletion.
//!
//! # What is not
//!
//! * Stream queues: declaring one is refused with [`Error::PreconditionFailed`](carrot_core::Error::PreconditionFailed).
//! * What makes a quorum queue replicated: groups, leaders, and that it takes longer. With `x-overflow=reject-publish`, RabbitMQ lets a few
//!   messages too many into one, and then refuses until a fifth of it is free; here it is refused exactly what does not fit. Its
//!   dead letters arrive at most once, whatever its `x-dead-letter-strategy`.
//! * A blocked connection: RabbitMQ reads nothing more from one, this broker only no publications; see [`Faults::block_publishers`].
//! * Passwords, permissions, policies: any user may do anything, under any password.
//! * Persistence: a broker goes with its last handle. Durability is kept only to compare declarations.
//! * The flow between broker and client: a delivery is with its consumer at once. On RabbitMQ, an unconfirmed publication or a dead letter
//!   may take a moment to be seen; here it never does.
//! * Who is served first among consumers of one channel after an acknowledgement of several messages: RabbitMQ goes by the random tags
//!   of the consumers, this broker by their age.
//! * After the single active consumer of a queue is cancelled, RabbitMQ 3.10 may leave its successor waiting until something else
//!   happens to the queue. Here the successor is served at once.
//!
//! # Threads and time
//!
//! Everything is done by the thread that calls, under short locks: publishing routes under a read lock of the topology, unless the
//! channel's last message went the same way, and each queue has a lock of its own. A queue without limits, expiry and priorities puts off
//! what nobody can see the difference of: messages that find others ready, and acknowledgements of its only consumer as long as that has
//! messages at hand. Whoever looks at the queue, or runs out of messages, has it catch up first. Waiting is on condition variables, never by polling. A broker has no thread, but for one that watches the clock:
//! it starts with the first TTL or expiry on a broker with the real clock, and ends with the broker. A broker with a [`ManualClock`] never
//! has one.
//!
//! # Log levels
//!
//! `debug`: a dead letter that is lost because its exchange is missing, or dropped because it went in a circle. `warn`: the thread that
//! watches the clock could not be started. Nothing else, and never a body.

mod arguments;
mod arrivals;
mod backend;
mod broker;
mod channel;
mod clock;
mod connection;
mod connector;
mod consumers;
mod dead_letter;
mod declare;
mod exchange;
mod fault_plan;
mod faults;
mod handle;
mod headers;
mod inspect;
mod observers;
mod pattern;
mod publishing;
mod queue;
mod queue_state;
mod ready;
mod recording;
mod refusal;
mod reply_to;
mod routes;
mod routing;
mod stream;
mod subscription;
mod sync;
mod throttle;
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
