//! TLS of a server.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use carrot_core::Result;
use carrot_tls::{ClientCertificates, IncomingRecords, OutgoingRecords, TlsAcceptor, TlsSession};

use crate::certificate::common_name;
use crate::server_tls::ServerTls;

/// The octets of plaintext that are sealed at once.
const CHUNK: usize = 16 << 10;

/// Accepts TLS sessions. One for each server.
#[derive(Debug)]
pub(crate) struct ServerTlsAcceptor(TlsAcceptor);

/// A TLS session, which the reader and the writer of a connection share.
#[derive(Debug)]
pub(crate) struct ServerTlsSession {
    session: TlsSession,
    /// The name in the certificate of the client, if there is one.
    common_name: Option<String>,
}

/// The incoming side of a TLS session, for the reader.
pub(crate) struct TlsIncoming<'s> {
    session: &'s TlsSession,
    records: IncomingRecords,
}

/// The outgoing side of a TLS session, for the writer.
#[derive(Debug, Default)]
pub(crate) struct TlsOutgoing(OutgoingRecords);

impl ServerTlsAcceptor {
    /// Reads certificates and keys.
    pub(crate) fn new(options: &ServerTls) -> Result<ServerTlsAcceptor> {
        let authorities = &*options.client_authorities;
        let clients = match options.needs_client_certificate {
            true => ClientCertificates::Required(authorities),
            false if authorities.is_empty() => ClientCertificates::NotAsked,
            false => ClientCertificates::Optional(authorities),
        };
        TlsAcceptor::new(&options.certificates, &options.key, clients).map(ServerTlsAcceptor)
    }

    /// Performs the handshake.
    ///
    /// Blocks at most until `deadline`.
    pub(crate) fn accept(
        &self,
        socket: &TcpStream,
        deadline: Option<Instant>,
    ) -> io::Result<ServerTlsSession> {
        check_first_octet(socket, deadline)?;
        let session = self.0.accept(socket, deadline)?;
        let common_name = session.peer_certificate().and_then(common_name);
        Ok(ServerTlsSession { session, common_name })
    }
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

impl ServerTlsSession {
    /// Whether the client has shown a certificate, which an authority has signed.
    pub(crate) fn has_client_certificate(&self) -> bool {
        self.session.peer_certificate().is_some()
    }

    /// Returns the common name in the certificate of the client.
    pub(crate) fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// Returns the incoming side.
    pub(crate) fn incoming(&self) -> TlsIncoming<'_> {
        let records = IncomingRecords::new(2 * IncomingRecords::LONGEST);
        TlsIncoming { session: &self.session, records }
    }

    /// Writes some octets, and returns their number. A caller whose call fails passes the same
    /// octets again.
    pub(crate) fn write(
        &self,
        side: &mut TlsOutgoing,
        socket: &TcpStream,
        octets: &[u8],
    ) -> io::Result<usize> {
        let (chunk, _) = octets.split_at(octets.len().min(CHUNK));
        side.0.write(&self.session, socket, chunk)
    }

    /// Writes the record that ends the session.
    pub(crate) fn end(&self, side: &mut TlsOutgoing, socket: &TcpStream) -> io::Result<()> {
        side.0.end(&self.session, socket)
    }
}

impl TlsIncoming<'_> {
    /// Reads plaintext; 0 at the end of the stream. Fails with
    /// [`Interrupted`](ErrorKind::Interrupted) after octets that hold no plaintext.
    pub(crate) fn read(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        self.records.read(self.session, socket, buffer)
    }
}
