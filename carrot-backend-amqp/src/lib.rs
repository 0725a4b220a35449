//! RabbitMQ, and other brokers that speak AMQP 0-9-1.
//!
//! [`AmqpConnector`] implements the contract of [`carrot::backend`](carrot_core::backend). It is
//! the only name here. Programs use it through the crate `carrot`, which creates one for each
//! `amqp://` and `amqps://` URL.
//!
//! # Connections
//!
//! A connector holds one connection for publishing and one for consuming. Each opens when it is
//! first needed, and again after it was lost. The connector tries all addresses of all hosts, each
//! within its share of the one deadline. Sockets have `TCP_NODELAY` and keep-alive set. The name of
//! a connection in the management pages of RabbitMQ is
//! [`ConnectionOptions::name`](carrot_core::ConnectionOptions::name) with its purpose.
//!
//! amiquip keeps channel 0: the handshake, heartbeats and the orderly close. This crate serves all
//! other channels itself, with the codec `carrot-amqp-wire`.
//!
//! # Deadlines
//!
//! Every call ends by its deadline, regardless of the broker. A call that has sent something and
//! gets no answer fails with [`Error::Timeout`](carrot_core::Error::Timeout), and its channel is
//! closed; other channels are not affected. While the broker reports an alarm,
//! [`Error::Blocked`](carrot_core::Error::Blocked) replaces the timeout. The number of a channel
//! that was closed in this way is used again after the broker has answered. If half of all numbers
//! wait for such an answer, the connection is closed.
//!
//! Dropping a connector, a channel or a subscription never blocks. What must be sent to the broker
//! is sent in the background, within the call timeout.
//!
//! # Threads
//!
//! | thread | number | runs |
//! |---|---|---|
//! | `carrot-reader` | 1 for each connection | reads the socket while no other thread does, and wakes the threads that wait |
//! | `amiquip-io`, and a timer thread | 1 of each for each connection | channel 0 |
//! | `carrot-writer` | 1 for each connection whose socket was full once | writes while the socket is full |
//! | `carrot-supervisor` | 1 for the connector, ends after 10 idle seconds | sends delayed acknowledgements and answers of the reader |
//! | `carrot-dial`, `carrot-close` | while a connection opens or closes | |
//! | `carrot-events` | while an observer is called | |
//!
//! The timer thread has the name of the thread that started it, `carrot-dial`.
//!
//! The caller's thread publishes, settles and waits: it writes to the socket itself, in calls that
//! do not block. A thread that is the only one to wait on its connection reads the socket itself,
//! for all. No idle thread polls.
//!
//! # Memory
//!
//! At most 512 KiB of messages, and one more, wait for the socket of a connection; `publish` waits
//! for room. A frame larger than the negotiated `frame_max` is refused before memory is taken for
//! it, and no memory is taken for a body because its size was announced.
//!
//! What a broker sends is bounded as follows. A broker that exceeds a limit loses the connection,
//! with [`Error::Disconnected`](carrot_core::Error::Disconnected).
//!
//! | limit | of |
//! |---|---|
//! | twice the prefetch, and 10 | deliveries that wait for a consumer |
//! | 4 GiB | one body |
//! | 4 MiB | answers that the broker does not read |
//! | 256 KiB | frames of channel 0 that wait for amiquip |
//! | 5 minutes | one frame, from its first octet to its last |
//!
//! A body over 512 MiB, the largest that RabbitMQ can be configured to accept, is not kept. Its
//! delivery is [`unreadable`](carrot_core::backend::Delivery::unreadable).
//!
//! A consumer with automatic acknowledgement, or with prefetch 0, has no limit: the broker sends as
//! fast as the connection allows, and what waits is kept in memory.
//!
//! Headers wait as octets, and are converted when a delivery is returned. The converted form takes
//! up to 60 times the memory of the octets, if they hold very many small values.
//!
//! # Acknowledgements
//!
//! On a consuming channel, an acknowledgement waits at most half a millisecond for others while
//! deliveries wait for their workers; together they leave as one frame. A full batch leaves at
//! once. `Extent::UpTo` covers the deliveries that the caller has received, and no others.
//!
//! # Messages of other clients
//!
//! Strings that are not UTF-8 are kept as they are: a routing key or property as a
//! [`ShortString`](carrot_core::backend::ShortString) of octets, a header as
//! [`Value::Bytes`](carrot_core::Value::Bytes). A message that cannot be read whole does not affect
//! the connection; see [`Delivery`](carrot_core::backend::Delivery).
//!
//! # Hard errors
//!
//! The driver compares the method that connection.close names with the calls and messages in
//! flight; see [`carrot::backend`](carrot_core::backend). For ten seconds after a close that
//! several calls may have caused, calls of that method are made one at a time on each of the two
//! connections. A channel without confirms counts as one message without an answer, once it has
//! published.
//!
//! # Log levels
//!
//! - `info`: connections opened and closed, publishing unblocked.
//! - `warn`: connections lost, with the cause; publishing blocked; messages that cannot be read.
//! - `debug`: each address that failed.
//!
//! No level shows a password: amiquip itself, which logs its handshake at `debug`, never sees it.
//! The log target of amiquip is `amiquip`; the filter `info,amiquip=off` silences it.
//!
//! # Limits
//!
//! - A method, or the properties of a message, that are larger than a frame are refused with
//!   [`Error::Invalid`](carrot_core::Error::Invalid).
//! - A delivery whose properties are malformed, or whose headers have more than 128 levels of
//!   nested tables and arrays, has no properties and is
//!   [`unreadable`](carrot_core::backend::Delivery::unreadable). The connection is kept.
//! - No transactions, no global prefetch, no consumer tags of the caller's choice.
//! - A broker that closes the socket right after it saw the credentials cannot be distinguished
//!   from one that refused them, unless it accepted them before.
//! - A process that forks must open its connections after the fork: a child shares the socket of
//!   its parent, but not the threads that serve it.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod channel;
mod connection;
mod connector;
mod dedicated_connections;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod role_connection;
mod sync;
mod time;

pub use connector::AmqpConnector;
