//! TLS of a server, and of one connection.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use carrot_core::Result;
use carrot_tls::{ClientCertificates, IncomingRecords, OutgoingRecords, TlsAcceptor, TlsSession};

use crate::server_tls::ServerTls;

/// The octets of plaintext that are sealed at once.
const CHUNK: usize = 16 << 10;

/// Accepts TLS sessions. One for each server.
#[derive(Debug)]
pub struct ServerTlsAcceptor(TlsAcceptor);

/// The TLS session of a connection, which its reader and its writer share.
#[derive(Debug)]
pub struct PeerTls(TlsSession);

/// The state of the incoming side of a session, for the reader. One thread reads at a time.
#[derive(Debug)]
pub struct TlsIncoming(IncomingRecords);

/// The state of the outgoing side of a session, for the writer. One thread writes at a time.
#[derive(Debug, Default)]
pub struct TlsOutgoing(OutgoingRecords);

impl Default for TlsIncoming {
    /// Creates the state. Takes memory with the first read of a session.
    fn default() -> TlsIncoming {
        TlsIncoming(IncomingRecords::new(2 * IncomingRecords::LONGEST))
    }
}

impl TlsOutgoing {
    /// Returns the number of octets that have left through TLS. It also grows in calls that fail,
    /// when a part of a record has left.
    pub fn octets_sent(&self) -> u64 {
        self.0.octets_sent()
    }
}

impl ServerTlsAcceptor {
    /// Reads certificates and keys.
    ///
    /// # Errors
    /// - [`Error::Config`](carrot_core::Error::Config): a file cannot be read, or holds no usable
    ///   certificate or key; a certificate is required, and no authority is named. A build without
    ///   the feature `tls` has no TLS.
    pub fn new(options: &ServerTls) -> Result<ServerTlsAcceptor> {
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
    /// Blocks at most until `deadline`. Leaves timeouts set on the socket.
    ///
    /// # Errors
    /// - [`TimedOut`](io::ErrorKind::TimedOut) or [`WouldBlock`](io::ErrorKind::WouldBlock): the
    ///   deadline has passed.
    /// - [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): the client has closed the socket.
    /// - [`InvalidData`](io::ErrorKind::InvalidData): the handshake failed. The socket may hold an
    ///   alert for the client, and octets of the client.
    /// - The errors of the socket.
    pub fn accept(&self, socket: &TcpStream, deadline: Option<Instant>) -> io::Result<PeerTls> {
        self.0.accept(socket, deadline).map(PeerTls)
    }
}

impl From<TlsSession> for PeerTls {
    fn from(session: TlsSession) -> PeerTls {
        PeerTls(session)
    }
}

impl PeerTls {
    /// Returns the certificate that the peer has shown, in DER; `None` if the peer has shown none.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.0.peer_certificate()
    }

    /// Reads plaintext; 0 at the end of the stream.
    ///
    /// # Errors
    /// - [`Interrupted`](io::ErrorKind::Interrupted): octets have arrived that hold no plaintext.
    /// - [`InvalidData`](io::ErrorKind::InvalidData): the octets are no records of the session, or
    ///   an alert of the peer.
    /// - The errors of the socket.
    pub fn read(
        &self,
        side: &mut TlsIncoming,
        socket: &TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        side.0.read(&self.0, socket, buffer)
    }

    /// Writes some octets, and returns their number. A caller whose call fails passes the same
    /// octets again.
    ///
    /// # Errors
    /// The errors of the socket.
    pub fn write(
        &self,
        side: &mut TlsOutgoing,
        socket: &TcpStream,
        octets: &[u8],
    ) -> io::Result<usize> {
        let (chunk, _) = octets.split_at(octets.len().min(CHUNK));
        side.0.write(&self.0, socket, chunk)
    }

    /// Writes the record that ends the session. A caller whose call fails may call again.
    ///
    /// # Errors
    /// The errors of the socket.
    pub fn end(&self, side: &mut TlsOutgoing, socket: &TcpStream) -> io::Result<()> {
        side.0.end(&self.0, socket)
    }
}
