//! Carrot's backend for Apache ActiveMQ Classic, over OpenWire.
//!
//! ```no_run
//! let connection = carrot::connect("activemq://shop:s3cret@mq.example")?;
//! let consumer = connection.consumer("jobs").build()?;
//! connection.publisher().routing_key("jobs").build()?.send("hello")?;
//! let message = consumer.fetch()?.expect("a message");
//! message.ack()?;
//! # Ok::<(), carrot::Error>(())
//! ```
//!
//! The broker has to be ActiveMQ 5.12 or later, with its advisories, which are on by default. The
//! backend learns from them which queues exist. The user needs the permission to read the topic
//! `ActiveMQ.Advisory.Queue`.
//!
//! # What works
//!
//! Durable queues, through the default exchange: declaring, deleting, purging, publishing with
//! confirms, fetching, consuming with a prefetch, acknowledging, requeueing and discarding.
//!
//! * A message is persistent unless its delivery mode is transient. A confirm is the receipt of the
//!   broker, which a persistent message has after the write to the journal.
//! * The name of a queue keeps letters, digits, `.`, `-` and `_`. Each other octet is written as
//!   `%` and two digits, because ActiveMQ reads lists, wildcards and options from names. A queue of
//!   another client whose name has such a character cannot be named.
//! * Properties that JMS has are written as such: the correlation id, the type, the expiration, the
//!   timestamp, the reply queue, and headers that are numbers, booleans or texts. The property
//!   `carrot` holds all properties exactly. The priority is only there: messages of every priority
//!   keep their order. Text and octets of other clients are read. Other bodies of JMS, and
//!   compressed ones, are unreadable.
//! * A message that expires goes where the policy of the broker says, by default to the queue
//!   `ActiveMQ.DLQ`.
//!
//! # What differs from RabbitMQ
//!
//! * The broker returns a message only when it removes its consumer. A subscription therefore has
//!   one consumer at the broker, a *slot*, for each message of its prefetch, and 256 at most. The
//!   number of consumers of a queue counts slots.
//! * A requeued message returns to the head of its queue, also past messages that were before it.
//! * The numbers of ready messages and consumers come from the statistics plug-in of the broker
//!   (`<statisticsBrokerPlugin/>`). Without it, both are 0, and a deletion on the condition that
//!   the queue is empty is refused.
//! * A queue with consumers of other programs cannot be deleted, on any condition.
//! * A queue that another program deletes at the same moment may be created again by a message.
//! * After a lost connection, all messages that consumers had or would have received next are
//!   marked as redelivered.
//!
//! # Not supported yet
//!
//! Each of these is refused with an error that names the argument:
//!
//! * exchanges and bindings, the headers `CC` and `BCC`;
//! * queues named by the broker, exclusive, auto-delete and transient queues;
//! * dead-letter exchanges, time to live and length limits of queues, priorities of consumers,
//!   exclusive consumers and single active consumers;
//! * delayed messages.
//!
//! # Limits
//!
//! A command of the broker may have 1 MiB more than
//! [`max_message_size`](carrot_core::ConnectionOptions::max_message_size); a longer one ends the
//! connection. Memory is taken for octets that have arrived, never for announced sizes. A message
//! that is larger than the `maxFrameSize` of the broker is refused before it is sent.
//!
//! # Threads
//!
//! A connector has two threads for each of its connections, one for each role in use, and one while
//! an observer is called.
//!
//! # Log levels
//!
//! * `debug`: connections that are lost or refused, and messages that the broker refuses, with the
//!   reason.
//! * `warn`: errors of the broker that belong to no call.
//!
//! No log line contains a password or a body.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![warn(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unreachable)]

mod channel;
mod connection;
mod content;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod wire;

pub use channel::connector::ActiveMqConnector;
