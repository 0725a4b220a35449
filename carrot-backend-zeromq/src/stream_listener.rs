//! The socket of a host: TCP, or a socket of the file system.

use std::io;
use std::net::TcpListener;
#[cfg(unix)]
use std::os::unix::net::UnixListener;

use carrot_listener::{Acceptor, PeerStream};

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) enum StreamListener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Acceptor for StreamListener {
    type Socket = PeerStream;

    fn accept(&self) -> io::Result<PeerStream> {
        match self {
            StreamListener::Tcp(listener) => listener.accept().map(|(socket, _)| socket.into()),
            #[cfg(unix)]
            StreamListener::Unix(listener) => listener.accept().map(|(socket, _)| socket.into()),
        }
    }
}
