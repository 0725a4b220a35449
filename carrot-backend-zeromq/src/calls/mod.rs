//! The calls of a client, and the answers and events of a host: octets of messages, without I/O.
//!
//! `docs/zeromq-protocol.md` defines the encoding.

pub(crate) mod entity;
pub(crate) mod error_code;
pub(crate) mod event;
pub(crate) mod fields;
pub(crate) mod put_request;
pub(crate) mod request;
