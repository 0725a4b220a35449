//! TLS handshakes.

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
        match connection.read_tls(&mut socket) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        };
        if let Err(error) = connection.process_new_packets() {
            // The alert holds the reason.
            let _ = connection.write_tls(&mut socket);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
    }
}

fn time_left(deadline: Option<Instant>) -> io::Result<Option<Duration>> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if left.is_some_and(|left| left.is_zero()) { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
