//! TLS sessions after their handshake.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::Connection;

/// A TLS session, which the reader and the writer of a connection share. Does no I/O, so that its
/// lock is never held for long.
pub struct TlsSession {
    session: Mutex<Connection>,
    peer_certificate: Option<Vec<u8>>,
}

impl TlsSession {
    /// Creates a session whose handshake is complete.
    pub(crate) fn new(session: Connection) -> TlsSession {
        let peer_certificate = session
            .peer_certificates()
            .and_then(|certificates| certificates.first())
            .map(|certificate| certificate.to_vec());
        TlsSession { session: Mutex::new(session), peer_certificate }
    }

    /// Returns the certificate that the peer has shown, in DER; `None` if the peer has shown none.
    /// The handshake has verified the certificate.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.peer_certificate.as_deref()
    }

    /// Accepts octets that have arrived. Returns their number, and the octets of plaintext that
    /// were written to `buffer`: `None` if more has to arrive, and 0 at the end of the stream.
    pub(crate) fn receive(
        &self,
        mut ciphertext: &[u8],
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<usize>)> {
        let whole = ciphertext.len();
        let mut session = self.lock();
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(read) => return Ok((whole - ciphertext.len(), Some(read))),
                Err(error) => return Err(error),
            }
            if ciphertext.is_empty() {
                return Ok((whole, None));
            }
            if session.read_tls(&mut ciphertext)? == 0 {
                return Ok((whole - ciphertext.len(), Some(0)));
            }
            session
                .process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    /// Appends the records of some octets at the start of `plaintext`, and returns their number.
    /// Records that the session has to send by itself come before them.
    pub(crate) fn seal(&self, plaintext: &[u8], records: &mut Vec<u8>) -> io::Result<usize> {
        let mut session = self.lock();
        let taken = session.writer().write(plaintext)?;
        take_records(&mut session, records)?;
        Ok(taken)
    }

    /// Appends the record that ends the session, unless it was appended before.
    pub(crate) fn seal_end(&self, records: &mut Vec<u8>) -> io::Result<()> {
        let mut session = self.lock();
        session.send_close_notify();
        take_records(&mut session, records)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_records(session: &mut Connection, records: &mut Vec<u8>) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(records)?;
    }
    Ok(())
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsSession").finish_non_exhaustive()
    }
}
