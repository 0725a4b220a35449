//! TLS sessions.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::sync::lock;

/// A TLS session, which the reader and the writer of a connection share. Does no I/O after the
/// handshake, so that its lock is never held for long.
pub(crate) struct TlsSession(Mutex<ClientConnection>);

impl TlsSession {
    /// Performs the handshake.
    ///
    /// Blocks at most until `deadline`.
    pub(crate) fn connect(
        socket: &mut TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> io::Result<TlsSession> {
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        loop {
            while session.wants_write() {
                socket.set_write_timeout(Some(time_left(deadline)?))?;
                match session.write_tls(socket) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    result => result?,
                };
            }
            if !session.is_handshaking() {
                return Ok(TlsSession(Mutex::new(session)));
            }
            socket.set_read_timeout(Some(time_left(deadline)?))?;
            match session.read_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if let Err(error) = session.process_new_packets() {
                // The alert holds the reason.
                let _ = session.write_tls(socket);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    /// Accepts ciphertext from the socket. Returns the octets of ciphertext that were accepted, and
    /// the octets of plaintext that were written to `buffer`. Returns no plaintext if more
    /// ciphertext is needed.
    pub(crate) fn receive(
        &self,
        mut ciphertext: &[u8],
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<usize>)> {
        let whole = ciphertext.len();
        let mut session = lock(&self.0);
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
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
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Appends the records of some octets at the start of `plaintext`, and returns their number.
    /// Records that the session has to send by itself come before them.
    pub(crate) fn seal(&self, plaintext: &[u8], records: &mut Vec<u8>) -> io::Result<usize> {
        let mut session = lock(&self.0);
        let taken = session.writer().write(plaintext)?;
        while session.wants_write() {
            session.write_tls(records)?;
        }
        Ok(taken)
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
