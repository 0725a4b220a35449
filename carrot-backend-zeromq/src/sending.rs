//! Writes messages to a socket: many small ones in one write, and large bodies without a copy.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use carrot_amqp_wire::{PropertiesRef, WireError, forwarded};
use carrot_core::Properties;
use carrot_listener::TlsOutgoing;

use crate::stream::ZmtpStream;
use crate::zmtp::frame::{framed, message, start_message};

/// Octets are written once this number has gathered. A body of this size is not copied.
const CHUNK: usize = 64 << 10;

/// Returns the octets of properties whose headers have too many levels, with what the broker has
/// changed since. A server of AMQP 0-9-1 keeps them, and shows no headers. The peer reports the
/// message as unreadable.
fn unread_octets(properties: &Properties) -> Option<Cow<'_, [u8]>> {
    let octets = properties.wire_octets()?;
    match PropertiesRef::read(octets) {
        Err(WireError::TooDeep { .. }) => forwarded(properties),
        _ => None,
    }
}

/// Gathers messages, and writes them in chunks.
pub(crate) struct MessageWriter<'s> {
    stream: &'s ZmtpStream,
    records: TlsOutgoing,
    octets: Vec<u8>,
    /// Whether a write that makes no progress is given up.
    gives_up: &'s dyn Fn() -> bool,
    /// Whether a peer is given up that has read nothing for this time.
    is_stalled: &'s dyn Fn(Duration) -> bool,
}

impl<'s> MessageWriter<'s> {
    pub(crate) fn new(stream: &'s ZmtpStream, gives_up: &'s dyn Fn() -> bool) -> MessageWriter<'s> {
        let (records, octets) = (TlsOutgoing::default(), Vec::new());
        MessageWriter { stream, records, octets, gives_up, is_stalled: &|_| false }
    }

    /// Ends a write to a peer that has read nothing for a time which `is_stalled` accepts.
    pub(crate) fn with_stall(
        mut self,
        is_stalled: &'s dyn Fn(Duration) -> bool,
    ) -> MessageWriter<'s> {
        self.is_stalled = is_stalled;
        self
    }

    /// Adds octets that are whole frames.
    pub(crate) fn frames(&mut self, octets: &[u8]) -> io::Result<()> {
        self.octets.extend_from_slice(octets);
        self.flush_if(CHUNK)
    }

    /// Adds frames that `write` appends.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.octets);
        self.flush_if(CHUNK)
    }

    /// Adds a message without a body.
    pub(crate) fn message(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        message(&mut self.octets, write);
        self.flush_if(CHUNK)
    }

    /// Adds a message with a body. The properties follow what `write` appends.
    pub(crate) fn content(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>),
        properties: &Properties,
        body: &[u8],
    ) -> io::Result<()> {
        let mut written = Ok(());
        framed(&mut self.octets, true, |out| {
            write(out);
            written = match unread_octets(properties) {
                Some(octets) => {
                    out.extend_from_slice(&octets);
                    Ok(())
                }
                None => PropertiesRef::from(properties).write(out),
            };
        });
        written.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        start_message(&mut self.octets, body.len(), false);
        if body.len() >= CHUNK {
            self.flush()?;
            return self.write_all(body);
        }
        self.octets.extend_from_slice(body);
        self.flush_if(CHUNK)
    }

    fn flush_if(&mut self, least: usize) -> io::Result<()> {
        if self.octets.len() >= least { self.flush() } else { Ok(()) }
    }

    /// Returns what has gathered, instead of writing it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.octets)
    }

    /// Writes what has gathered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let octets = std::mem::take(&mut self.octets);
        let written = self.write_all(&octets);
        self.octets = octets;
        self.octets.clear();
        written
    }

    /// Writes what has gathered, and ends the TLS session, if there is one.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        self.retry(|stream, records| stream.end_tls(records))
    }

    fn write_all(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            match self.retry(|stream, records| stream.write(records, octets))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => octets = octets.get(count..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// Writes until that succeeds. A peer that does not read is waited for as long as the
    /// connection is open, and the peer has not stalled.
    fn retry<T>(
        &mut self,
        mut write: impl FnMut(&ZmtpStream, &mut TlsOutgoing) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut started = Instant::now();
        let mut sent = self.records.octets_sent();
        loop {
            match write(self.stream, &mut self.records) {
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut if !(self.gives_up)() => {
                        // A part of a record has left.
                        if self.records.octets_sent() != sent {
                            sent = self.records.octets_sent();
                            started = Instant::now();
                        }
                        let stall = started.elapsed();
                        if (self.is_stalled)(stall) {
                            let reason = format!("the peer has read nothing for {stall:.1?}");
                            return Err(io::Error::new(ErrorKind::TimedOut, reason));
                        }
                    }
                    _ => return Err(error),
                },
                written => return written,
            }
        }
    }
}
