//! The socket of a connection: TCP, with or without TLS, or a socket of the file system.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::tls::{PeerTls, ServerTlsAcceptor, TlsIncoming, TlsOutgoing};

/// A connected socket. Several threads may use it. One thread reads at a time, and one writes.
#[derive(Debug)]
pub struct PeerStream {
    socket: StreamSocket,
    /// The TLS session, after its handshake, if there is one.
    tls: OnceLock<PeerTls>,
}

/// The socket below a stream.
#[derive(Debug)]
enum StreamSocket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

macro_rules! each {
    ($socket:expr, $each:ident => $use:expr) => {
        match $socket {
            StreamSocket::Tcp($each) => $use,
            #[cfg(unix)]
            StreamSocket::Unix($each) => $use,
        }
    };
}

impl From<TcpStream> for PeerStream {
    fn from(socket: TcpStream) -> PeerStream {
        PeerStream { socket: StreamSocket::Tcp(socket), tls: OnceLock::new() }
    }
}

#[cfg(unix)]
impl From<UnixStream> for PeerStream {
    fn from(socket: UnixStream) -> PeerStream {
        PeerStream { socket: StreamSocket::Unix(socket), tls: OnceLock::new() }
    }
}

impl PeerStream {
    fn tcp(&self) -> Option<&TcpStream> {
        match &self.socket {
            StreamSocket::Tcp(socket) => Some(socket),
            #[cfg(unix)]
            StreamSocket::Unix(_) => None,
        }
    }

    /// Performs the TLS handshake with a client. Without TCP there is none.
    ///
    /// Blocks at most until `deadline`. Leaves timeouts set on the socket.
    ///
    /// # Errors
    /// As [`ServerTlsAcceptor::accept`].
    pub fn accept_tls(
        &self,
        acceptor: &ServerTlsAcceptor,
        deadline: Option<Instant>,
    ) -> io::Result<()> {
        self.secure(|socket| acceptor.accept(socket, deadline))
    }

    /// Performs a TLS handshake with a function. Without TCP there is none.
    ///
    /// # Errors
    /// Those of the function.
    pub fn secure(
        &self,
        handshake: impl FnOnce(&TcpStream) -> io::Result<PeerTls>,
    ) -> io::Result<()> {
        let Some(socket) = self.tcp() else { return Ok(()) };
        let session = handshake(socket)?;
        // A stream has one handshake.
        let _ = self.tls.set(session);
        Ok(())
    }

    /// Returns whether the connection has a TLS session.
    pub fn has_tls(&self) -> bool {
        self.tls.get().is_some()
    }

    /// Returns the certificate that the peer has shown, in DER; `None` if the peer has shown none.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.tls.get().and_then(PeerTls::peer_certificate)
    }

    /// Sends small messages at once.
    pub fn set_nodelay(&self) {
        if let Some(socket) = self.tcp() {
            // A failure slows the connection down at most.
            let _ = socket.set_nodelay(true);
        }
    }

    /// Limits each read from the socket.
    ///
    /// # Errors
    /// The errors of the socket; a timeout of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        each!(&self.socket, socket => socket.set_read_timeout(timeout))
    }

    /// Limits each write to the socket.
    ///
    /// # Errors
    /// The errors of the socket; a timeout of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        each!(&self.socket, socket => socket.set_write_timeout(timeout))
    }

    /// Reads octets; 0 at the end of the stream.
    ///
    /// # Errors
    /// As [`PeerTls::read`].
    pub fn read(&self, side: &mut TlsIncoming, octets: &mut [u8]) -> io::Result<usize> {
        match (&self.socket, self.tls.get()) {
            (StreamSocket::Tcp(socket), Some(tls)) => tls.read(side, socket, octets),
            (socket, _) => each!(socket, socket => (&mut &*socket).read(octets)),
        }
    }

    /// Writes some octets, and returns their number. A caller whose call fails passes the same
    /// octets again.
    ///
    /// # Errors
    /// The errors of the socket.
    pub fn write(&self, side: &mut TlsOutgoing, octets: &[u8]) -> io::Result<usize> {
        match (&self.socket, self.tls.get()) {
            (StreamSocket::Tcp(socket), Some(tls)) => tls.write(side, socket, octets),
            (socket, _) => each!(socket, socket => (&mut &*socket).write(octets)),
        }
    }

    /// Writes the octets that the socket accepts without waiting, and returns their number. A
    /// thread that writes with the other calls meanwhile mixes its octets with these.
    ///
    /// Writes nothing in a TLS session, whose records leave in order, and on systems other than
    /// Linux and Android. [`write`](PeerStream::write) reports the errors of the socket.
    #[must_use]
    pub fn write_at_once(&self, octets: &[u8]) -> usize {
        match self.has_tls() {
            true => 0,
            false => each!(&self.socket, socket => send_at_once(socket, octets)),
        }
    }

    /// Ends the TLS session, if there is one. A caller whose call fails may call again.
    ///
    /// # Errors
    /// The errors of the socket.
    pub fn end_tls(&self, side: &mut TlsOutgoing) -> io::Result<()> {
        match (self.tcp(), self.tls.get()) {
            (Some(socket), Some(tls)) => tls.end(side, socket),
            _ => Ok(()),
        }
    }

    /// Ends the outgoing direction. The peer reads the rest, and then the end.
    pub fn shut_down_writing(&self) {
        let _ = each!(&self.socket, socket => socket.shutdown(Shutdown::Write));
    }

    /// Ends both directions, also for threads that wait. The socket may have ended before.
    pub fn shut_down(&self) {
        let _ = each!(&self.socket, socket => socket.shutdown(Shutdown::Both));
    }

    /// Ends the outgoing direction, and discards what arrives until the peer closes the socket, or
    /// until `deadline`. Octets that are not read would reset the connection, and the peer would
    /// not receive the last ones of this side.
    pub fn linger(&self, deadline: Instant) {
        self.shut_down_writing();
        let mut octets = [0; 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.set_read_timeout(Some(left)).is_err() {
                return;
            }
            let read = each!(&self.socket, socket => (&mut &*socket).read(&mut octets));
            match read {
                Ok(0) => return,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
                _ => {}
            }
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn send_at_once(socket: &impl std::os::fd::AsFd, octets: &[u8]) -> usize {
    use rustix::net::{SendFlags, send};
    send(socket, octets, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).unwrap_or(0)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn send_at_once<S>(_: &S, _: &[u8]) -> usize {
    0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::net::TcpListener;

    use super::*;

    /// Returns both ends of a connection.
    fn pair() -> (PeerStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (PeerStream::from(socket), listener.accept().unwrap().0)
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn full_socket_accepts_nothing_at_once() {
        let (stream, mut peer) = pair();
        let octets = vec![7; 1 << 20];
        let mut sent = 0;
        loop {
            match stream.write_at_once(&octets) {
                0 => break,
                count => sent += count,
            }
        }
        assert!(sent > 0);
        let mut arrived = vec![0; sent];
        peer.read_exact(&mut arrived).unwrap();
        assert!(arrived.iter().all(|octet| *octet == 7));
    }

    #[test]
    fn socket_that_is_shut_down_accepts_nothing_at_once() {
        let (stream, _peer) = pair();
        stream.shut_down();
        assert_eq!(stream.write_at_once(b"octets"), 0);
    }
}
