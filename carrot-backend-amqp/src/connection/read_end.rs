//! The end of reading.

use super::channels::Violation;
use super::close_method::ConnectionClose;
use super::handshake::{HandshakeRefusal, HandshakeStep};

/// The reason why nothing more is read.
#[derive(Debug)]
pub(crate) enum ReadEnd {
    /// The broker closed the socket.
    Eof,
    Io(std::io::Error),
    /// The broker closed the connection with connection.close.
    Closed(ConnectionClose),
    /// The broker broke the protocol.
    Broken(Violation),
    /// This side ended the handshake.
    Refused(HandshakeRefusal),
}

impl From<Violation> for ReadEnd {
    fn from(violation: Violation) -> ReadEnd {
        ReadEnd::Broken(violation)
    }
}

/// The end of reading, and the step of the handshake that the broker did not make.
pub(crate) type HandshakeEnd = (ReadEnd, HandshakeStep);
