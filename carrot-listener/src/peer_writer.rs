//! Writes to a socket: many small messages in one write, and large ones without a copy.

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use crate::peer_stream::PeerStream;
use crate::tls::TlsOutgoing;

/// Octets are written once this number has gathered. As many at once are not copied.
const CHUNK: usize = 64 << 10;

/// Gathers octets, and writes them in chunks. One thread writes to a socket at a time.
pub struct PeerWriter<'s> {
    stream: &'s PeerStream,
    records: TlsOutgoing,
    octets: Vec<u8>,
    /// Whether a write that makes no progress is given up.
    gives_up: &'s dyn Fn() -> bool,
    /// Whether a peer is given up that has read nothing for this time.
    is_stalled: &'s dyn Fn(Duration) -> bool,
}

impl<'s> PeerWriter<'s> {
    /// Creates a writer. `gives_up` returns whether to give up a write that makes no progress, and
    /// is asked after each timeout of the socket.
    pub fn new(stream: &'s PeerStream, gives_up: &'s dyn Fn() -> bool) -> PeerWriter<'s> {
        let (records, octets) = (TlsOutgoing::default(), Vec::new());
        PeerWriter { stream, records, octets, gives_up, is_stalled: &|_| false }
    }

    /// Ends a write to a peer that has read nothing for a time which `is_stalled` accepts.
    #[must_use]
    pub fn with_stall(mut self, is_stalled: &'s dyn Fn(Duration) -> bool) -> PeerWriter<'s> {
        self.is_stalled = is_stalled;
        self
    }

    /// Adds octets.
    ///
    /// # Errors
    /// As [`flush`](PeerWriter::flush).
    pub fn add(&mut self, octets: &[u8]) -> io::Result<()> {
        if octets.len() >= CHUNK {
            self.flush()?;
            return self.write_all(octets);
        }
        self.append(|out| out.extend_from_slice(octets))
    }

    /// Adds octets that `write` appends.
    ///
    /// # Errors
    /// As [`flush`](PeerWriter::flush).
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.try_append(|out| {
            write(out);
            Ok(())
        })
    }

    /// Adds octets that `write` appends, unless it fails. The writer is of no use then.
    ///
    /// # Errors
    /// The error of `write`, or as [`flush`](PeerWriter::flush).
    pub fn try_append(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        write(&mut self.octets)?;
        if self.octets.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    /// Returns what has gathered, instead of writing it.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.octets)
    }

    /// Writes what has gathered.
    ///
    /// Blocks until the peer has read enough, and while neither function of the writer gives up.
    ///
    /// # Errors
    /// The errors of the socket.
    pub fn flush(&mut self) -> io::Result<()> {
        let octets = std::mem::take(&mut self.octets);
        let written = self.write_all(&octets);
        self.octets = octets;
        self.octets.clear();
        written
    }

    /// Writes what has gathered, and ends the TLS session, if there is one.
    ///
    /// # Errors
    /// As [`flush`](PeerWriter::flush).
    pub fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        self.retry(|stream, records| stream.end_tls(records))
    }

    /// Writes octets past those that have gathered.
    ///
    /// # Errors
    /// As [`flush`](PeerWriter::flush).
    pub fn write_all(&mut self, mut octets: &[u8]) -> io::Result<()> {
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
        mut write: impl FnMut(&PeerStream, &mut TlsOutgoing) -> io::Result<T>,
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

/// Shows no octets: they may hold a password.
impl fmt::Debug for PeerWriter<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PeerWriter").field("stream", self.stream).finish_non_exhaustive()
    }
}
