//! The sockets of both sides: TCP, and sockets of the file system.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use carrot_listener::Acceptor;

/// A connected socket. Several threads may use it.
#[derive(Debug)]
pub(crate) enum ZmtpStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

macro_rules! each {
    ($stream:expr, $socket:ident => $use:expr) => {
        match $stream {
            ZmtpStream::Tcp($socket) => $use,
            #[cfg(unix)]
            ZmtpStream::Unix($socket) => $use,
        }
    };
}

impl ZmtpStream {
    /// Sends small messages at once.
    pub(crate) fn set_nodelay(&self) {
        if let ZmtpStream::Tcp(socket) = self {
            // A failure slows the connection down at most.
            let _ = socket.set_nodelay(true);
        }
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        each!(self, socket => socket.set_read_timeout(timeout))
    }

    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        each!(self, socket => socket.set_write_timeout(timeout))
    }

    /// Ends the outgoing direction. The peer reads the rest, and then the end.
    pub(crate) fn shut_down_writing(&self) {
        let _ = each!(self, socket => socket.shutdown(Shutdown::Write));
    }

    /// Ends both directions, also for threads that wait. The socket may have ended before.
    pub(crate) fn shut_down(&self) {
        let _ = each!(self, socket => socket.shutdown(Shutdown::Both));
    }
}

impl Read for &ZmtpStream {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        each!(self, socket => (&mut &*socket).read(octets))
    }
}

impl Write for &ZmtpStream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        each!(self, socket => (&mut &*socket).write(octets))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
            StreamListener::Tcp(listener) => {
                listener.accept().map(|(socket, _)| ZmtpStream::Tcp(socket))
            }
            #[cfg(unix)]
            StreamListener::Unix(listener) => {
                listener.accept().map(|(socket, _)| ZmtpStream::Unix(socket))
            }
        }
    }
}
