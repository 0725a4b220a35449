//! The TLS session of a client.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::Instant;

use carrot_tls::{IncomingRecords, OutgoingRecords, TlsConnector, TlsSession};

use super::SOON;

/// A TLS session with both of its sides.
pub(crate) struct Secured {
    session: TlsSession,
    incoming: IncomingRecords,
    outgoing: OutgoingRecords,
}

impl Secured {
    pub(crate) fn connect(connector: &TlsConnector, socket: &TcpStream) -> Secured {
        let session = connector.connect(socket, Some(Instant::now() + SOON)).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket.set_write_timeout(None).unwrap();
        let incoming = IncomingRecords::new(IncomingRecords::LONGEST);
        Secured { session, incoming, outgoing: OutgoingRecords::new() }
    }

    pub(crate) fn write_all(&mut self, socket: &TcpStream, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            let count = self.outgoing.write(&self.session, socket, octets)?;
            octets = &octets[count..];
        }
        Ok(())
    }

    pub(crate) fn read(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.incoming.read(&self.session, socket, buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
