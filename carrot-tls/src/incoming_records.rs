//! Plaintext from a stream of records.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use crate::session::TlsSession;

/// The incoming side of a [`TlsSession`], for the thread that reads.
pub struct IncomingRecords {
    ciphertext: Vec<u8>,
    room: usize,
    /// The octets of `ciphertext` that the session has not taken.
    taken: usize,
    filled: usize,
    has_begun_record: bool,
}

impl IncomingRecords {
    /// The size of the largest record, in bytes.
    pub const LONGEST: usize = 16_384 + 256;

    /// Creates the side with a buffer of `room` bytes, at least 1. The buffer is allocated at the
    /// first read.
    pub fn new(room: usize) -> IncomingRecords {
        IncomingRecords {
            ciphertext: Vec::new(),
            room: room.max(1),
            taken: 0,
            filled: 0,
            has_begun_record: false,
        }
    }

    /// Reads records without the lock of the session, and plaintext under it. Returns the octets of
    /// plaintext that were written to `buffer`, and 0 at the end of the stream.
    ///
    /// Blocks as `source` does, and reads it at most once.
    ///
    /// # Errors
    /// - [`Interrupted`](ErrorKind::Interrupted): octets have arrived that hold no plaintext, so
    ///   that the caller sees its deadline between two reads.
    /// - [`InvalidData`](ErrorKind::InvalidData): the octets are no records of the session.
    /// - The errors of `source`. The caller may read again.
    pub fn read(
        &mut self,
        session: &TlsSession,
        mut source: impl Read,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        if let Some(read) = self.take_plaintext(session, buffer)? {
            return Ok(read);
        }
        self.ciphertext.resize(self.room, 0);
        (self.taken, self.filled) = (0, 0);
        self.filled = source.read(&mut self.ciphertext)?;
        if self.filled == 0 {
            return Ok(0);
        }
        self.has_begun_record = true;
        self.take_plaintext(session, buffer)?.ok_or_else(|| ErrorKind::Interrupted.into())
    }

    /// Returns whether octets have arrived that complete no record, since this was last asked.
    pub fn has_begun_record(&mut self) -> bool {
        std::mem::take(&mut self.has_begun_record)
    }

    /// Passes buffered octets to the session. Returns the length of the plaintext in them; `None`
    /// if more has to arrive.
    fn take_plaintext(
        &mut self,
        session: &TlsSession,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        loop {
            let waiting = self.ciphertext.get(self.taken..self.filled).unwrap_or_default();
            let (taken, read) = session.receive(waiting, buffer)?;
            self.taken += taken;
            if read.is_some() {
                self.has_begun_record = false;
                return Ok(read);
            }
            if taken == 0 {
                return Ok(None);
            }
        }
    }
}

impl fmt::Debug for IncomingRecords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IncomingRecords").finish_non_exhaustive()
    }
}
