//! Carrot's in-process broker for other processes, over ZeroMQ's wire protocol.
//!
//! ZeroMQ has no broker. A program hosts one with a [`BrokerHost`], and others reach it with
//! `carrot::connect("zmq://host:port")`. Everything else in them stays the same.
//!
//! ```
//! use std::time::Duration;
//! use carrot::memory::Broker;
//! use carrot::zeromq::BrokerHost;
//!
//! let broker = Broker::new();
//! let host = BrokerHost::bind("127.0.0.1:0", &broker)?;
//!
//! // In another process:
//! let connection = carrot::connect(host.url())?;
//! let consumer = connection.consumer("jobs").build()?;
//! connection.publisher().routing_key("jobs").build()?.send("hello")?;
//! let message = consumer.fetch()?.expect("a message");
//! assert_eq!(message.decode::<String>()?, "hello");
//! message.ack()?;
//!
//! host.stop(Duration::from_secs(5))?;
//! # Ok::<(), carrot::Error>(())
//! ```
//!
//! The page [ZeroMQ](https://docs.rs/carrot/latest/carrot/guide/zeromq/) of the guide says when to
//! use it, and when RabbitMQ. The protocol is documented, so that programs in other languages join
//! with any library of ZeroMQ.
//!
//! # What a host keeps
//!
//! The messages are in the memory of the process that hosts the broker, and end with it. A
//! connection that is lost returns its unacknowledged messages to their queues at once.
//!
//! # Trust
//!
//! A host listens on the loopback interface, or at a socket of the file system, unless
//! [`BrokerHostBuilder::allow_other_machines`] permits more. Users log in with the mechanism PLAIN.
//! [`BrokerHostBuilder::tls`] encrypts the connections of Carrot's clients, which then begin with
//! `zmqs://`. Such a client always verifies the certificate of the host, for the name in its URL.
//! Libraries of ZeroMQ have no TLS, and CURVE is not offered: their connections are not encrypted.
//! Memory is taken for octets that have arrived, never for announced sizes. A client that does not
//! read stops only its own connection.
//!
//! # Not supported yet
//!
//! * Encryption for clients other than Carrot's, and logins with a certificate in place of a
//!   password.
//! * Several virtual hosts: a host has one broker.
//! * Headers of more than 128 levels: a host closes the channel that publishes them. A message that
//!   has them, of a server of the same broker, is unreadable for clients.
//! * A header whose name occurs twice: the host forwards the first one only.
//!
//! # Threads
//!
//! A host has one thread that accepts connections, one that unblocks publishers, and two for each
//! connection: one reads and does the work, the other writes. A connector has two threads for each
//! of its connections, one for each role in use, and one while an observer is called.
//!
//! # Log levels
//!
//! * `debug`: connections that are lost, refused or closed, with the reason.
//! * `info`: the address of a host.
//! * `warn`: wrong credentials; connections that the host cannot accept; failed TLS handshakes;
//!   clients that speak another protocol.
//!
//! No log line contains a password or a body.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![warn(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unreachable)]

mod calls;
mod client;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod heartbeat;
mod host;
mod sending;
mod stream_listener;
mod zmtp;

#[doc(inline)]
pub use carrot_listener::ServerTls;
pub use client::connector::ZeroMqConnector;
pub use host::builder::BrokerHostBuilder;
pub use host::running::BrokerHost;
