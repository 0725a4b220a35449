//! The parts that the servers of Carrot share, for any protocol.
//!
//! * A [`ConnectionRegistry`] admits connections up to a limit, and ends them with the server.
//! * [`ServerThreads`] starts and ends the threads of a server. One of them accepts connections.
//! * A [`ListenerWaker`] wakes the thread that accepts connections.
//! * [`check_addresses`] refuses addresses that other machines reach, unless the program permits
//!   them.
//! * [`Users`] compares passwords in a time that does not depend on them.
//! * A [`MemoryBudget`] bounds what has not arrived completely, over all connections.
//! * [`ServerTls`] are the TLS options of a server, and [`PeerTls`] is the session of a connection.
//! * A [`PeerStream`] is the socket of a connection, with or without TLS.
//! * An [`OutgoingQueue`] holds what waits for the writer of a connection, and is bounded. With a
//!   [`WriteTurn`], a thread writes its item itself. A [`PeerWriter`] gathers octets, and writes
//!   them. An [`IntervalTimer`] says when a heartbeat is due.
//!
//! The drivers use the last two points, too. The crate knows no protocol, and opens no socket.
//! Programs do not use it.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod accepting;
mod addresses;
mod interval_timer;
mod listener_waker;
mod memory_budget;
mod outgoing_queue;
mod peer_stream;
mod peer_writer;
mod registry;
mod server_threads;
mod server_tls;
mod sync;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod users;

pub use accepting::{AcceptSettings, Acceptor};
pub use addresses::{check_addresses, reachable};
pub use interval_timer::IntervalTimer;
pub use listener_waker::ListenerWaker;
pub use memory_budget::{BudgetShare, MemoryBudget};
pub use outgoing_queue::{
    DELIVERY_ROOM, MOST_UNREAD, MOST_WAITING, OutgoingItem, OutgoingQueue, WriteBatch, WriteTurn,
    WriterTask,
};
pub use peer_stream::PeerStream;
pub use peer_writer::PeerWriter;
pub use registry::{ConnectionRegistry, Registration, ServedConnection};
pub use server_threads::{ServedBroker, ServerThreads, ThreadSettings};
pub use server_tls::ServerTls;
pub use sync::{lock, wait, wait_until};
pub use tls::{PeerTls, ServerTlsAcceptor, TlsIncoming, TlsOutgoing};
pub use users::Users;
