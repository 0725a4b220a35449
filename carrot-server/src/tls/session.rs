//! TLS sessions.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;

use rustls::ServerConnection;

use crate::sync::lock;

/// The octets of plaintext that are sealed at once.
const CHUNK: usize = 16 << 10;

/// A TLS session, which the reader and the writer of a connection share. Does no I/O, so that its
/// lock is never held for long.
pub(crate) struct ServerTlsSession {
    session: Mutex<ServerConnection>,
    /// The name in the certificate of the client; `None` without a certificate.
    common_name: Option<Option<String>>,
}

/// The incoming side of a TLS session, for the reader.
pub(crate) struct TlsIncoming<'s> {
    session: &'s ServerTlsSession,
    ciphertext: Vec<u8>,
    /// The octets of `ciphertext` that the session has not taken.
    taken: usize,
    filled: usize,
}

impl ServerTlsSession {
    pub(crate) fn new(
        session: ServerConnection,
        common_name: Option<Option<String>>,
    ) -> ServerTlsSession {
        ServerTlsSession { session: Mutex::new(session), common_name }
    }

    /// Whether the client has shown a certificate, which an authority has signed.
    pub(crate) fn has_client_certificate(&self) -> bool {
        self.common_name.is_some()
    }

    /// Returns the common name in the certificate of the client.
    pub(crate) fn common_name(&self) -> Option<&str> {
        self.common_name.as_ref()?.as_deref()
    }

    /// Returns the incoming side.
    pub(crate) fn incoming(&self) -> TlsIncoming<'_> {
        TlsIncoming { session: self, ciphertext: Vec::new(), taken: 0, filled: 0 }
    }

    /// Seals octets, and passes the records to `send` in chunks, without the lock of the session.
    /// One thread seals at a time.
    pub(crate) fn write(
        &self,
        mut plaintext: &[u8],
        mut send: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut records = Vec::new();
        while !plaintext.is_empty() {
            let (chunk, _) = plaintext.split_at(plaintext.len().min(CHUNK));
            let mut session = lock(&self.session);
            let taken = session.writer().write(chunk)?;
            take_records(&mut session, &mut records)?;
            drop(session);
            send(&records)?;
            records.clear();
            plaintext = plaintext.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Passes the record to `send` that ends the session.
    pub(crate) fn close(&self, send: impl FnOnce(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut records = Vec::new();
        let mut session = lock(&self.session);
        session.send_close_notify();
        take_records(&mut session, &mut records)?;
        drop(session);
        send(&records)
    }

    /// Accepts ciphertext. Returns the octets of ciphertext that were accepted, and the octets of
    /// plaintext that were written to `buffer`; `None` if more ciphertext is needed.
    fn receive(
        &self,
        mut ciphertext: &[u8],
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<usize>)> {
        let whole = ciphertext.len();
        let mut session = lock(&self.session);
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok((whole, Some(0)));
                }
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
}

fn take_records(session: &mut ServerConnection, records: &mut Vec<u8>) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(records)?;
    }
    Ok(())
}

impl TlsIncoming<'_> {
    /// The room for ciphertext: two records of the largest size.
    const ROOM: usize = 2 * (16_384 + 256);

    /// Reads ciphertext without the lock of the session, and plaintext under it. Returns 0 at the
    /// end of the stream.
    ///
    /// Fails with [`Interrupted`](ErrorKind::Interrupted) after ciphertext that holds no plaintext,
    /// so that the caller sees its deadline between two reads.
    pub(crate) fn read(&mut self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(read) = self.take_plaintext(buffer)? {
            return Ok(read);
        }
        self.ciphertext.resize(TlsIncoming::ROOM, 0);
        (self.taken, self.filled) = (0, 0);
        self.filled = socket.read(&mut self.ciphertext)?;
        if self.filled == 0 {
            return Ok(0);
        }
        self.take_plaintext(buffer)?.ok_or_else(|| ErrorKind::Interrupted.into())
    }

    fn take_plaintext(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let waiting = self.ciphertext.get(self.taken..self.filled).unwrap_or_default();
            let (taken, read) = self.session.receive(waiting, buffer)?;
            self.taken += taken;
            if read.is_some() {
                return Ok(read);
            }
            if taken == 0 {
                return Ok(None);
            }
        }
    }
}

impl fmt::Debug for ServerTlsSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServerTlsSession")
            .field("common_name", &self.common_name())
            .finish_non_exhaustive()
    }
}
