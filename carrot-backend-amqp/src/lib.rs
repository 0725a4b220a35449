//! RabbitMQ for Carrot, and other brokers that speak AMQP 0-9-1, through amiquip.
//!
//! [`AmqpConnector`] implements the contract of [`carrot::backend`](carrot_core::backend); it is the only name here. Programs use it through the crate
//! `carrot`, which makes one for every `amqp://` and `amqps://` URL.
//!
//! # Connections
//!
//! A connector holds one connection for publishing and one for consuming, each made when it is first needed and made anew after it was
//! lost. All addresses of all hosts are tried, each within its share of the one deadline. Sockets have `TCP_NODELAY` and keep-alive set.
//! The name of a connection in RabbitMQ's management pages is [`ConnectionOptions::name`](carrot_core::ConnectionOptions::name) with its
//! purpose.
//!
//! # Deadlines
//!
//! Every call ends by its deadline, whatever the broker does. amiquip's calls have none, so a watchdog shuts the socket down under a call
//! that overruns: the call gives [`Error::Timeout`](carrot_core::Error::Timeout), and **all** channels of that connection are lost with
//! [`Error::Disconnected`](carrot_core::Error::Disconnected), which says so. Waiting for a confirm, for a delivery, for the way to the
//! broker, for a channel to open or to close costs nobody anything. While the broker has told of an alarm,
//! [`Error::Blocked`](carrot_core::Error::Blocked) stands for the timeout.
//!
//! Dropping a connector, a channel or a subscription never waits: what there is to say to the broker is said in the background.
//!
//! # Threads
//!
//! | thread | of | does |
//! |---|---|---|
//! | `amiquip-io` and a timer (named after its parent, `carrot-dial`) | each connection | amiquip's: what the broker sends, calls, and heartbeats |
//! | `carrot-writer` | each connection whose socket was full once | writes on when there is room again |
//! | `carrot-keeper` | each connection | sleeps until a deadline, an alarm or the end |
//! | `carrot-channel` | each channel with a consumer | owns the channel; sends acknowledgements that have waited for others |
//! | `carrot-dial`, `carrot-open`, `carrot-close` | | while a connection or channel is opened or closed |
//! | `carrot-events` | the connector | while observers are told of something |
//!
//! Publishing, and waiting for confirms and deliveries, happens on the threads that ask for it: who publishes writes to the socket, in calls
//! that do not wait. None of the threads polls.
//!
//! # Memory
//!
//! Less than 512 KiB of messages, and one more, wait for the socket of one connection; `publish` waits for room. What a
//! consumer has not handed out is bounded by its prefetch, and by nothing if that is zero or acknowledgement is automatic.
//!
//! # Acknowledgements
//!
//! On a consuming channel acknowledgements may wait up to half a millisecond for others, while deliveries wait for their workers, and then
//! leave as one; those that make up a batch leave at once. `Extent::UpTo` covers what was handed out, and never what only the driver has seen.
//!
//! # Hard errors
//!
//! The driver reads connection.close itself, and compares the method that the broker names with the calls and messages in flight; see
//! [`carrot::backend`](carrot_core::backend). For ten seconds after a close that several calls may have caused, calls of that method are made one at a time
//! on each of the two connections. A channel without confirms counts as one message without an answer, once it has published.
//!
//! # Log levels
//!
//! `info`: connections made and closed, publishing unblocked. `warn`: connections lost, with the cause; calls cut; publishing blocked.
//! `debug`: each address that failed. No level holds a password: amiquip itself,
//! which logs its handshake at `debug`, never gets to see it. amiquip has a target of its own, `amiquip`; at `trace` it logs whole
//! messages. A filter such as `info,amiquip=off` silences it.
//!
//! # Limits
//!
//! * A delivery whose routing key or other short string is not UTF-8 ends the connection with
//!   [`Error::Unreadable`](carrot_core::Error::Unreadable), and again at each redelivery. A header value that is not UTF-8 is dropped,
//!   with the headers after it.
//! * A delivery whose headers are nested over 128 deep, or whose body is over 512 MiB, ends the connection in the same way: amiquip would
//!   take the process down with it.
//! * A method or the properties of a message larger than a frame are refused with [`Error::Invalid`](carrot_core::Error::Invalid).
//! * No transactions, no global prefetch, no chosen consumer tags.
//! * The I/O thread can panic when the broker closes a connection at an unlucky moment. That is a lost connection like any other, but its
//!   message goes to standard error.
//! * A broker that goes away just after it saw the credentials cannot be told from one that refused them.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod channel;
mod connection;
mod connector;
mod error;
mod role_connection;
mod time;

pub use connector::AmqpConnector;
