//! Connections to brokers: sockets, logins, threads, and answers to commands.

pub(crate) mod awaited_answer;
mod barrier_calls;
pub(crate) mod broker_link;
pub(crate) mod connecting;
mod dispatch_barrier;
mod foreign_peer;
mod handshake;
mod keep_alive;
mod known_table;
pub(crate) mod link_handle;
mod link_ids;
pub(crate) mod link_reader;
mod link_writer;
pub(crate) mod linked_channel;
pub(crate) mod outgoing_frame;
mod queue_creation;
pub(crate) mod queue_directory;
pub(crate) mod random_number;
pub(crate) mod scheduler;
pub(crate) mod statistics;
pub(crate) mod table_arrivals;
pub(crate) mod table_change;
mod table_consumers;
mod table_notices;
pub(crate) mod table_port;
mod table_taking;
pub(crate) mod table_writing;
