//! Reads and writes AMQP 0-9-1 as RabbitMQ implements it: frames, methods, properties and tables.
//!
//! The crate does no I/O and starts no thread. Clients and brokers use the same types.
//!
//! * A [`FrameReader`] splits octets from a peer into frames, in any cut.
//! * [`Method::read`] and [`ContentHeader::read`] read the payload of a frame.
//! * A [`FrameWriter`] appends methods and messages to a buffer.
//! * [`PropertyForwarding`] keeps the octets of properties, and [`forwarded`] returns them.
//!
//! ```
//! use carrot_amqp_wire::{BasicGet, FramePart, FrameReader, FrameWriter, Method};
//!
//! let mut sent = Vec::new();
//! let get = BasicGet { queue: "jobs".into(), no_ack: true };
//! FrameWriter::new(&mut sent, 7, 131_072).method(&get.into())?;
//!
//! let mut reader = FrameReader::for_client(131_072);
//! let mut received = &sent[..];
//! let Some(FramePart::Frame(frame)) = reader.read(&mut received)? else { unreachable!() };
//! assert_eq!(frame.channel, 7);
//! assert_eq!(Method::read(frame.payload)?, Method::BasicGet(get));
//! # Ok::<(), carrot_amqp_wire::WireError>(())
//! ```
//!
//! # Octets
//!
//! AMQP strings are octets, and peers send octets that are not UTF-8. Reading keeps them. A
//! [`ShortStr`] borrows any octets. A long string that is not UTF-8 converts to
//! [`Value::Bytes`](carrot_core::Value::Bytes).
//!
//! # Memory
//!
//! Methods, properties and tables borrow from the octets that were read. Announced sizes are
//! compared with the octets that have arrived, and never reserve memory. A [`RawTable`] keeps
//! headers in the size in which they arrived.
//!
//! # Malformed input
//!
//! Every octet is accounted for. A payload that is longer or shorter than its fields is refused.
//! Unknown flags, types and methods are refused, too. No input causes a panic. Nested tables are
//! limited to [`MAX_DEPTH`] levels.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![warn(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unreachable)]

mod arguments;
mod content_header;
mod cursor;
mod error;
mod field;
mod field_writer;
mod forwarding;
mod frame;
mod frame_reader;
mod frame_writer;
mod methods;
mod properties;
mod raw_table;
mod strings;
mod table;
#[cfg(test)]
mod testing;

pub use arguments::Arguments;
pub use content_header::ContentHeader;
pub use error::WireError;
pub use forwarding::{PropertyForwarding, forwarded};
pub use frame::{
    FRAME_END, FRAME_HEAD, FRAME_OVERHEAD, FrameHead, FrameKind, HEARTBEAT, ProtocolHeader,
};
pub use frame_reader::{BodyPart, Frame, FramePart, FrameReader};
pub use frame_writer::FrameWriter;
pub use methods::*;
pub use properties::PropertiesRef;
pub use raw_table::RawTable;
pub use strings::{LongStr, SecretStr, ShortStr};
pub use table::{ArrayIter, ArrayRef, MAX_DEPTH, RawValue, TableIter, TableRef};
