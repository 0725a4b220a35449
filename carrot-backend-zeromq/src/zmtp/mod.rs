//! ZMTP 3.1, the wire protocol of ZeroMQ, without I/O.
//!
//! <https://rfc.zeromq.org/spec/37/> defines the protocol. Octets go in, frames come out; nothing
//! here reads or writes a socket.

pub(crate) mod command;
pub(crate) mod frame;
pub(crate) mod greeting;
pub(crate) mod handshake;
