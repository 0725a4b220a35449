//! The sockets of both sides: TCP, with or without TLS, and sockets of the file system.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use carrot_listener::{Acceptor, PeerTls, ServerTlsAcceptor, TlsIncoming, TlsOutgoing};

/// A connected socket. Several threads may use it. One thread reads at a time, and one writes.
#[derive(Debug)]
pub(crate) struct ZmtpStream {
    socket: ZmtpSocket,
    /// The TLS session, after its handshake, if there is one.
    tls: OnceLock<PeerTls>,
}

/// The socket below a stream.
#[derive(Debug)]
enum ZmtpSocket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

macro_rules! each {
    ($socket:expr, $each:ident => $use:expr) => {
        match $socket {
            ZmtpSocket::Tcp($each) => $use,
            #[cfg(unix)]
            ZmtpSocket::Unix($each) => $use,
        }
    };
}

impl From<TcpStream> for ZmtpStream {
    fn from(socket: TcpStream) -> ZmtpStream {
        ZmtpStream { socket: ZmtpSocket::Tcp(socket), tls: OnceLock::new() }
    }
}

#[cfg(unix)]
impl From<UnixStream> for ZmtpStream {
    fn from(socket: UnixStream) -> ZmtpStream {
        ZmtpStream { socket: ZmtpSocket::Unix(socket), tls: OnceLock::new() }
    }
}

impl ZmtpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        match &self.socket {
            ZmtpSocket::Tcp(socket) => Some(socket),
            #[cfg(unix)]
            ZmtpSocket::Unix(_) => None,
        }
    }

    /// Performs the TLS handshake with a client. Without TCP there is none.
    ///
    /// Blocks at most until `deadline`. Leaves timeouts set on the socket.
    pub(crate) fn accept_tls(
        &self,
        acceptor: &ServerTlsAcceptor,
        deadline: Option<Instant>,
    ) -> io::Result<()> {
        self.secure(|socket| acceptor.accept(socket, deadline))
    }

    /// Performs a TLS handshake with a function. Without TCP there is none.
    pub(crate) fn secure(
        &self,
        handshake: impl FnOnce(&TcpStream) -> io::Result<PeerTls>,
    ) -> io::Result<()> {
        let Some(socket) = self.tcp() else { return Ok(()) };
        let session = handshake(socket)?;
        // A stream has one handshake.
        let _ = self.tls.set(session);
        Ok(())
    }

    /// Sends small messages at once.
    pub(crate) fn set_nodelay(&self) {
        if let Some(socket) = self.tcp() {
            // A failure slows the connection down at most.
            let _ = socket.set_nodelay(true);
        }
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        each!(&self.socket, socket => socket.set_read_timeout(timeout))
    }

    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        each!(&self.socket, socket => socket.set_write_timeout(timeout))
    }

    /// Reads octets; 0 at the end of the stream. Fails with
    /// [`Interrupted`](io::ErrorKind::Interrupted) after records without plaintext.
    pub(crate) fn read(&self, side: &mut TlsIncoming, octets: &mut [u8]) -> io::Result<usize> {
        match (&self.socket, self.tls.get()) {
            (ZmtpSocket::Tcp(socket), Some(tls)) => tls.read(side, socket, octets),
            (socket, _) => each!(socket, socket => (&mut &*socket).read(octets)),
        }
    }

    /// Writes some octets, and returns their number. A caller whose call fails passes the same
    /// octets again.
    pub(crate) fn write(&self, side: &mut TlsOutgoing, octets: &[u8]) -> io::Result<usize> {
        match (&self.socket, self.tls.get()) {
            (ZmtpSocket::Tcp(socket), Some(tls)) => tls.write(side, socket, octets),
            (socket, _) => each!(socket, socket => (&mut &*socket).write(octets)),
        }
    }

    /// Ends the TLS session, if there is one. A caller whose call fails may call again.
    pub(crate) fn end_tls(&self, side: &mut TlsOutgoing) -> io::Result<()> {
        match (self.tcp(), self.tls.get()) {
            (Some(socket), Some(tls)) => tls.end(side, socket),
            _ => Ok(()),
        }
    }

    /// Ends the outgoing direction. The peer reads the rest, and then the end.
    pub(crate) fn shut_down_writing(&self) {
        let _ = each!(&self.socket, socket => socket.shutdown(Shutdown::Write));
    }

    /// Ends both directions, also for threads that wait. The socket may have ended before.
    pub(crate) fn shut_down(&self) {
        let _ = each!(&self.socket, socket => socket.shutdown(Shutdown::Both));
    }

    /// Ends the outgoing direction, and discards what arrives until the peer closes the socket, or
    /// until `deadline`. Octets that are not read would reset the connection, and the peer would
    /// not receive the last ones of this side.
    pub(crate) fn linger(&self, deadline: Instant) {
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

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) enum StreamListener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Acceptor for StreamListener {
    type Socket = ZmtpStream;

    fn accept(&self) -> io::Result<ZmtpStream> {
        match self {
            StreamListener::Tcp(listener) => listener.accept().map(|(socket, _)| socket.into()),
            #[cfg(unix)]
            StreamListener::Unix(listener) => listener.accept().map(|(socket, _)| socket.into()),
        }
    }
}
