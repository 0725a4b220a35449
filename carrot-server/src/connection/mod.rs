//! One connection of a peer: its socket, its threads, its stages.

pub(crate) mod authentication;
pub(crate) mod handshake;
pub(crate) mod peer;
pub(crate) mod reader;
pub(crate) mod running;
pub(crate) mod writer;
