//! The socket of a connection: TCP, with or without TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use carrot_listener::{PeerTls, TlsIncoming, TlsOutgoing};

/// A connected socket. Several threads may use it. One thread reads at a time, and one writes.
#[derive(Debug)]
pub(crate) struct BrokerStream {
    socket: TcpStream,
    tls: Option<PeerTls>,
}

impl BrokerStream {
    pub(crate) fn new(socket: TcpStream, tls: Option<PeerTls>) -> BrokerStream {
        BrokerStream { socket, tls }
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_write_timeout(timeout)
    }

    /// Reads octets; 0 at the end of the stream. Fails with
    /// [`Interrupted`](io::ErrorKind::Interrupted) after records without plaintext.
    pub(crate) fn read(&self, side: &mut TlsIncoming, octets: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            Some(tls) => tls.read(side, &self.socket, octets),
            None => (&self.socket).read(octets),
        }
    }

    /// Writes some octets, and returns their number. A caller whose call fails passes the same
    /// octets again.
    pub(crate) fn write(&self, side: &mut TlsOutgoing, octets: &[u8]) -> io::Result<usize> {
        match &self.tls {
            Some(tls) => tls.write(side, &self.socket, octets),
            None => (&self.socket).write(octets),
        }
    }

    /// Ends the TLS session, if there is one. A caller whose call fails may call again.
    pub(crate) fn end_tls(&self, side: &mut TlsOutgoing) -> io::Result<()> {
        match &self.tls {
            Some(tls) => tls.end(side, &self.socket),
            None => Ok(()),
        }
    }

    /// Ends the outgoing direction. The peer reads the rest, and then the end.
    pub(crate) fn shut_down_writing(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends both directions, also for threads that wait. The socket may have ended before.
    pub(crate) fn shut_down(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
