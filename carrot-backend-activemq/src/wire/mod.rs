//! OpenWire, version 12: the wire protocol of Apache ActiveMQ Classic, in its loose encoding.
//!
//! A frame is a size of four octets, the octet of a type, and the fields of a command one after
//! another. Both sides first send a wire format. This client announces neither the tight encoding
//! nor the cache of objects. Numbers are big-endian, and strings are modified UTF-8.

pub(crate) mod broker_error;
pub(crate) mod command;
pub(crate) mod delivery_commands;
pub(crate) mod destination;
pub(crate) mod error;
pub(crate) mod frame_reader;
pub(crate) mod ids;
mod macros;
pub(crate) mod message;
pub(crate) mod modified_utf8;
pub(crate) mod property_map;
pub(crate) mod setup_commands;
pub(crate) mod wire_field;
pub(crate) mod wire_format;
pub(crate) mod wire_reader;

#[cfg(test)]
pub(crate) mod recorded_tests;
