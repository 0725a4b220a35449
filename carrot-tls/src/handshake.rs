//! TLS handshakes.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::Connection;

use crate::session::TlsSession;

/// Performs the handshake of a connection.
///
/// Blocks at most until `deadline`. Leaves timeouts set on the socket.
pub(crate) fn perform(
    mut connection: Connection,
    mut socket: &TcpStream,
    deadline: Option<Instant>,
) -> io::Result<TlsSession> {
    let mut speaks_tls = None;
    loop {
        while connection.wants_write() {
            socket.set_write_timeout(time_left(deadline)?)?;
            match connection.write_tls(&mut socket) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            };
        }
        if !connection.is_handshaking() {
            return Ok(TlsSession::new(connection));
        }
        socket.set_read_timeout(time_left(deadline)?)?;
        if speaks_tls.is_none() {
            speaks_tls = begins_with_tls(socket)?;
        }
        match connection.read_tls(&mut socket) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        };
        if let Err(error) = connection.process_new_packets() {
            // The alert holds the reason.
            let _ = connection.write_tls(&mut socket);
            let error: Box<dyn Error + Send + Sync> = match speaks_tls {
                Some(false) => format!("the peer speaks no TLS: {error}").into(),
                _ => error.into(),
            };
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
    }
}

/// Returns whether the first octet of the peer is that of a record of a handshake, or of an alert;
/// `None` if none has arrived.
fn begins_with_tls(socket: &TcpStream) -> io::Result<Option<bool>> {
    const ALERT: u8 = 0x15;
    const HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    match socket.peek(&mut first) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(matches!(first[0], ALERT | HANDSHAKE))),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

fn time_left(deadline: Option<Instant>) -> io::Result<Option<Duration>> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if left.is_some_and(|left| left.is_zero()) { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
