//! The incoming side of the socket, with or without TLS.

use std::io::{self, IoSliceMut, Read};
use std::net::TcpStream;
#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use carrot_tls::{IncomingRecords, TlsSession};

/// The octets from the broker. Reading never blocks.
pub(crate) enum Source {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(TlsSource),
}

impl Source {
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Source::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Source::Tls(source) => &source.socket,
        }
    }

    /// Reads octets; 0 at the end of the stream.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Plain(socket) => socket.read(buffer),
            #[cfg(feature = "tls")]
            Source::Tls(source) => source.read(buffer),
        }
    }

    /// Returns whether octets can be read to several places at once.
    pub(crate) fn is_vectored(&self) -> bool {
        matches!(self, Source::Plain(_))
    }

    /// Reads octets to the first place, and then to the second; 0 at the end of the stream.
    pub(crate) fn read_vectored(
        &mut self,
        first: &mut [u8],
        second: &mut [u8],
    ) -> io::Result<usize> {
        match self {
            Source::Plain(socket) => {
                socket.read_vectored(&mut [IoSliceMut::new(first), IoSliceMut::new(second)])
            }
            #[cfg(feature = "tls")]
            Source::Tls(source) => source.read(first),
        }
    }

    /// Returns whether octets have arrived that complete no record, since this was last asked.
    pub(crate) fn has_begun_record(&mut self) -> bool {
        match self {
            Source::Plain(_) => false,
            #[cfg(feature = "tls")]
            Source::Tls(source) => source.records.has_begun_record(),
        }
    }

    /// Returns whether a read of this length has emptied the socket, as far as can be known.
    pub(crate) fn is_drained(&self, read: usize, room: usize) -> bool {
        matches!(self, Source::Plain(_)) && read < room
    }
}

/// The incoming side of a TLS session, which the writer shares.
#[cfg(feature = "tls")]
pub(crate) struct TlsSource {
    socket: TcpStream,
    session: Arc<TlsSession>,
    records: IncomingRecords,
}

#[cfg(feature = "tls")]
impl TlsSource {
    pub(crate) fn new(socket: TcpStream, session: Arc<TlsSession>) -> TlsSource {
        TlsSource { socket, session, records: IncomingRecords::new(4 * IncomingRecords::LONGEST) }
    }

    /// Reads plaintext; 0 at the end of the stream. Fails with
    /// [`Interrupted`](io::ErrorKind::Interrupted) after octets that hold no plaintext, so that the
    /// caller sees its deadline between two reads.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.records.read(&self.session, &self.socket, buffer)
    }
}
