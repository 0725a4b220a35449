//! The other side of a connection, with or without TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use carrot_tls::{IncomingRecords, OutgoingRecords, TlsSession};

pub(super) enum PeerSocket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

/// The other side, to which octets are sent, perhaps through TLS.
pub(super) struct CheckedPeer {
    socket: PeerSocket,
    tls: Option<(TlsSession, IncomingRecords, OutgoingRecords)>,
}

impl CheckedPeer {
    pub(super) fn new(socket: PeerSocket, session: Option<TlsSession>) -> CheckedPeer {
        let records = |session| {
            let incoming = IncomingRecords::new(4 * IncomingRecords::LONGEST);
            (session, incoming, OutgoingRecords::new())
        };
        CheckedPeer { socket, tls: session.map(records) }
    }

    /// Sends octets. Blocks at most until the deadline.
    pub(super) fn send(&mut self, octets: &[u8], deadline: Instant) -> io::Result<()> {
        self.limit(deadline)?;
        match (&self.socket, &mut self.tls) {
            (PeerSocket::Tcp(socket), Some((session, _, outgoing))) => {
                outgoing.write(session, socket, octets).map(|_| ())
            }
            (PeerSocket::Tcp(socket), None) => (&mut &*socket).write_all(octets),
            #[cfg(unix)]
            (PeerSocket::Unix(socket), _) => (&mut &*socket).write_all(octets),
        }
    }

    /// Receives octets; 0 at the end of the stream. Blocks at most until the deadline.
    pub(super) fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            self.limit(deadline)?;
            let received = match (&self.socket, &mut self.tls) {
                (PeerSocket::Tcp(socket), Some((session, incoming, _))) => {
                    incoming.read(session, socket, buffer)
                }
                (PeerSocket::Tcp(socket), None) => (&mut &*socket).read(buffer),
                #[cfg(unix)]
                (PeerSocket::Unix(socket), _) => (&mut &*socket).read(buffer),
            };
            match received {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => return received,
            }
        }
    }

    /// Sets the time limit of the next call.
    fn limit(&self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match &self.socket {
            PeerSocket::Tcp(socket) => {
                socket.set_nonblocking(false)?;
                socket.set_read_timeout(Some(left))?;
                socket.set_write_timeout(Some(left))
            }
            #[cfg(unix)]
            PeerSocket::Unix(socket) => {
                socket.set_read_timeout(Some(left))?;
                socket.set_write_timeout(Some(left))
            }
        }
    }
}
