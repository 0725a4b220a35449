//! TLS of an AMQP connection.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use carrot_listener::{PeerTls, ServerTlsAcceptor};

/// Performs the TLS handshake with a client.
///
/// Blocks at most until `deadline`.
pub(crate) fn accept(
    tls: &ServerTlsAcceptor,
    socket: &TcpStream,
    deadline: Option<Instant>,
) -> io::Result<PeerTls> {
    check_first_octet(socket, deadline)?;
    tls.accept(socket, deadline)
}

/// Fails if the peer begins with the header of AMQP instead of a TLS handshake.
fn check_first_octet(socket: &TcpStream, deadline: Option<Instant>) -> io::Result<()> {
    let mut first = [0];
    loop {
        socket.set_read_timeout(time_left(deadline)?)?;
        match socket.peek(&mut first) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) if first == *b"A" => {
                let reason = "the client speaks AMQP without TLS";
                return Err(io::Error::new(ErrorKind::InvalidData, reason));
            }
            result => return result.map(drop),
        }
    }
}

fn time_left(deadline: Option<Instant>) -> io::Result<Option<Duration>> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if left.is_some_and(|left| left.is_zero()) { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
