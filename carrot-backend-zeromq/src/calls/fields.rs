//! The fields of a message: numbers, strings and tables.

use std::fmt;

use carrot_amqp_wire::{Arguments, TableRef};
use carrot_core::Headers;
use carrot_core::backend::ShortString;

/// The first fields of every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageStart {
    pub(crate) kind: u8,
    /// The channel; 0 for the connection.
    pub(crate) channel: u32,
    /// The number of the call, or of the consumer.
    pub(crate) number: u32,
}

/// The reason why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallError {
    /// The field.
    pub(crate) field: &'static str,
    pub(crate) problem: &'static str,
}

impl fmt::Display for CallError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "malformed message: the field {:?} {}", self.field, self.problem)
    }
}

impl std::error::Error for CallError {}

/// Takes fields from the front of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldReader<'a>(&'a [u8]);

impl<'a> FieldReader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> FieldReader<'a> {
        FieldReader(octets)
    }

    pub(crate) fn start(&mut self) -> Result<MessageStart, CallError> {
        Ok(MessageStart {
            kind: self.u8("kind")?,
            channel: self.u32("channel")?,
            number: self.u32("number")?,
        })
    }

    fn array<const LENGTH: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; LENGTH], CallError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(truncated(field))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn octets<const LENGTH: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; LENGTH], CallError> {
        self.array(field)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, CallError> {
        self.array(field).map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, CallError> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, CallError> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, CallError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Takes bits, of which only those in `known` may be set.
    pub(crate) fn flags(&mut self, known: u8) -> Result<u8, CallError> {
        let flags = self.u8("flags")?;
        if flags & !known != 0 {
            return Err(CallError { field: "flags", problem: "has bits without a meaning" });
        }
        Ok(flags)
    }

    fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], CallError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(truncated(field))?;
        self.0 = rest;
        Ok(taken)
    }

    /// Takes the octets that follow a length of one octet.
    pub(crate) fn short(&mut self, field: &'static str) -> Result<&'a [u8], CallError> {
        let length = self.u8(field)?;
        self.take(length.into(), field)
    }

    /// Takes a short string of any octets.
    pub(crate) fn short_string(&mut self, field: &'static str) -> Result<ShortString, CallError> {
        self.short(field).map(ShortString::from_octets)
    }

    /// Takes a short string of UTF-8.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str, CallError> {
        utf8(self.short(field)?, field)
    }

    /// Takes the octets that follow a length of four octets.
    fn long(&mut self, field: &'static str) -> Result<&'a [u8], CallError> {
        let length = usize::try_from(self.u32(field)?).map_err(|_| truncated(field))?;
        self.take(length, field)
    }

    /// Takes a long string of UTF-8.
    pub(crate) fn long_text(&mut self, field: &'static str) -> Result<&'a str, CallError> {
        utf8(self.long(field)?, field)
    }

    /// Takes a table, encoded as in AMQP 0-9-1.
    pub(crate) fn table(&mut self, field: &'static str) -> Result<Headers, CallError> {
        let octets = self.long(field)?;
        let table = TableRef::new(octets)
            .map_err(|_| CallError { field, problem: "is no table of AMQP 0-9-1" })?;
        Ok(table.to_headers())
    }

    /// Takes all octets that are left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses octets after the last field.
    pub(crate) fn finish(self) -> Result<(), CallError> {
        match self.0 {
            [] => Ok(()),
            _ => Err(CallError { field: "end", problem: "is not where the message ends" }),
        }
    }
}

fn truncated(field: &'static str) -> CallError {
    CallError { field, problem: "is missing or too short" }
}

fn utf8<'a>(octets: &'a [u8], field: &'static str) -> Result<&'a str, CallError> {
    std::str::from_utf8(octets).map_err(|_| CallError { field, problem: "is not UTF-8" })
}

pub(crate) fn put_start(out: &mut Vec<u8>, start: MessageStart) {
    out.push(start.kind);
    out.extend_from_slice(&start.channel.to_be_bytes());
    out.extend_from_slice(&start.number.to_be_bytes());
}

/// Appends at most 255 octets behind their length in one octet. Callers have checked the length.
pub(crate) fn put_short(out: &mut Vec<u8>, octets: &[u8]) {
    let cut = octets.get(..octets.len().min(255)).unwrap_or_default();
    out.push(cut.len() as u8);
    out.extend_from_slice(cut);
}

/// Appends text behind its length in four octets.
pub(crate) fn put_long(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends a table. Callers have checked its names and its depth.
pub(crate) fn put_table(out: &mut Vec<u8>, table: &Headers) {
    let raw = Arguments::from(table).to_raw().unwrap_or_default();
    let octets = raw.as_table().as_bytes();
    out.extend_from_slice(&(octets.len() as u32).to_be_bytes());
    out.extend_from_slice(octets);
}
