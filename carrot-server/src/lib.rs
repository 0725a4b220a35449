//! Carrot's in-process broker on a socket, for any AMQP 0-9-1 client.
//!
//! A [`Server`] offers a [`Broker`](carrot_backend_memory::Broker) to programs in any language. A
//! test starts one in less than a millisecond, and each test can have its own. Because the program
//! hosts the broker, it can also advance the clock, inject faults and look into queues, while
//! clients in other languages are connected.
//!
//! ```
//! use std::time::Duration;
//! use carrot::memory::{Broker, ManualClock};
//! use carrot::server::Server;
//!
//! let clock = ManualClock::new();
//! let broker = Broker::with_clock(&clock);
//! let server = Server::bind("127.0.0.1:0", &broker)?;
//! // A client in any language connects to `server.url()`, and declares a queue with a TTL.
//! clock.advance(Duration::from_secs(3600)); // its messages expire now
//! broker.faults().drop_connections(); // its connection is lost
//! server.stop(Duration::from_secs(5))?;
//! # Ok::<(), carrot::Error>(())
//! ```
//!
//! A test in another process or another language reaches the same through the control interface, a
//! small HTTP interface that [`ServerBuilder::control`] asks for. See [`ControlInterface`].
//!
//! # What is served
//!
//! All of AMQP 0-9-1 that RabbitMQ speaks: exchanges, queues and bindings; publishing with
//! confirms, transactions and returns; consumers with tags of the client's choice; a prefetch of
//! each consumer, and of a channel where the imitated release has one (3.10); `basic.get`,
//! `basic.recover`, `basic.nack`; PLAIN, AMQPLAIN and EXTERNAL; `connection.blocked`,
//! `connection.update-secret`; TLS, with the feature `tls`. Errors have RabbitMQ's codes and words.
//! The broker imitates a release of RabbitMQ, and the server announces its version.
//!
//! # Not supported yet
//!
//! * Permissions: every user may do everything.
//! * The management API and the other plug-ins of RabbitMQ, streams, and AMQP 1.0.
//! * The end of a connection without a close, after a process of RabbitMQ has crashed: over a
//!   method without a known number, or a malformed table in a method. The server sends
//!   `COMMAND_INVALID` (503) or `FRAME_ERROR` (501). The words about malformed octets are the
//!   server's own.
//! * The type `U` of values, which RabbitMQ refuses and the server reads.
//! * All that the [memory broker](carrot_backend_memory) does not model.
//!
//! # Trust
//!
//! A server is for tests and for programs on one machine. It listens on the loopback interface,
//! unless [`ServerBuilder::allow_other_machines`] permits more. [`ServerBuilder::tls`] encrypts, by
//! rustls. Clients have one deadline for the handshakes of TLS and AMQP. Memory is taken for octets
//! that have arrived, never for announced sizes.
//!
//! A client that does not read stops only its own connection. Its deliveries stay in their queues.
//! The server reads no more from the client once 4 MiB of answers wait. Direct replies have no
//! queue to stay in. RabbitMQ keeps them in memory, until its memory alarm blocks all publishers.
//! The server closes the connection of the client instead, with `RESOURCE_ERROR` (506), once 64 MiB
//! of direct replies wait. They are lost then, as direct replies to any lost connection are.
//!
//! Two limits bound the memory of messages: [`ServerBuilder::max_unfinished_bytes`] those that have
//! not arrived completely, and [`ServerBuilder::memory_limit`] those in queues. Over the first, a
//! connection is closed. Over the second, publishers are blocked as by RabbitMQ's memory alarm. A
//! connection itself takes up to 5 MiB and one message, and 64 MiB more for direct replies.
//!
//! # Threads
//!
//! One thread accepts connections. Each connection has two threads: one reads and does the work,
//! the other writes. Deliveries wait in their queues while a client does not read. One more thread
//! sleeps until blocked publishers can be unblocked. A control interface has one thread, and one
//! for each of its requests.
//!
//! # Log levels
//!
//! * `debug`: connections and control requests that are lost, refused or closed, with the reason.
//! * `info`: the addresses of the server and of its control interface; publishers that are
//!   unblocked.
//! * `warn`: wrong credentials; connections that the server cannot accept; failed TLS handshakes;
//!   clients that speak TLS to a server without, or AMQP without TLS to a server with TLS; clients
//!   that are closed because they do not read; publishers that are blocked.
//!
//! No log line contains a password, a token or a body.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod builder;
mod certificate;
mod channel;
mod close;
mod connection;
mod control;
mod encode;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod outgoing;
mod server;
mod settings;
mod sync;
mod tls;

pub use builder::ServerBuilder;
#[doc(inline)]
pub use carrot_listener::ServerTls;
pub use control::ControlInterface;
pub use server::Server;
