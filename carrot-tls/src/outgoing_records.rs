//! Plaintext to a stream of records.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use crate::session::TlsSession;

/// The outgoing side of a [`TlsSession`]: the records that were sealed and have not left. One
/// thread writes at a time.
#[derive(Default)]
pub struct OutgoingRecords {
    octets: Vec<u8>,
    /// The octets at the start that have left.
    sent: usize,
    /// The octets of plaintext that the records hold.
    plaintext: usize,
    /// The octets that have left since the start.
    total: u64,
}

impl OutgoingRecords {
    /// Creates the side without records.
    pub fn new() -> OutgoingRecords {
        OutgoingRecords::default()
    }

    /// Seals some octets at the start of `plaintext` under the lock of the session, and writes the
    /// records without it. Returns the number of octets when their last record has left. Up to 64
    /// KiB are sealed at once.
    ///
    /// A caller whose call fails may pass the same octets again. The records are then continued
    /// where the sink has stopped, because a record must not be sealed twice.
    ///
    /// # Errors
    /// - [`WriteZero`](ErrorKind::WriteZero): the sink accepts nothing more.
    /// - The errors of `sink`.
    pub fn write(
        &mut self,
        session: &TlsSession,
        sink: impl Write,
        plaintext: &[u8],
    ) -> io::Result<usize> {
        if self.plaintext == 0 {
            self.plaintext = session.seal(plaintext, &mut self.octets)?;
        }
        self.flush(sink)?;
        Ok(std::mem::take(&mut self.plaintext))
    }

    /// Writes the record that ends the session. A caller whose call fails may call again.
    ///
    /// # Errors
    /// As [`write`](OutgoingRecords::write).
    pub fn end(&mut self, session: &TlsSession, sink: impl Write) -> io::Result<()> {
        session.seal_end(&mut self.octets)?;
        self.flush(sink)
    }

    /// Returns the number of octets of records that have left since the start. It also grows in
    /// calls that fail, when a part of a record has left.
    pub fn octets_sent(&self) -> u64 {
        self.total
    }

    fn flush(&mut self, mut sink: impl Write) -> io::Result<()> {
        while let Some(rest) = self.octets.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match sink.write(rest)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                written => {
                    self.sent += written;
                    self.total = self.total.wrapping_add(written as u64);
                }
            }
        }
        self.octets.clear();
        self.sent = 0;
        Ok(())
    }
}

impl fmt::Debug for OutgoingRecords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OutgoingRecords").finish_non_exhaustive()
    }
}
