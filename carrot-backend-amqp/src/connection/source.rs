//! The incoming side of the socket, with or without TLS.

use std::io::{self, IoSliceMut, Read};
use std::net::TcpStream;
#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use super::tls::TlsSession;

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
            Source::Tls(source) => std::mem::take(&mut source.has_begun_record),
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
    ciphertext: Vec<u8>,
    /// The octets of `ciphertext` that the session has not taken.
    taken: usize,
    filled: usize,
    /// Whether ciphertext has arrived since plaintext was read.
    has_begun_record: bool,
}

#[cfg(feature = "tls")]
impl TlsSource {
    /// The room for ciphertext: four records of the largest size.
    const ROOM: usize = 4 * (16_384 + 256);

    pub(crate) fn new(socket: TcpStream, session: Arc<TlsSession>) -> TlsSource {
        TlsSource {
            socket,
            session,
            ciphertext: vec![0; TlsSource::ROOM],
            taken: 0,
            filled: 0,
            has_begun_record: false,
        }
    }

    /// Reads ciphertext without the lock of the session, and plaintext under it.
    ///
    /// Fails with [`Interrupted`](io::ErrorKind::Interrupted) after ciphertext that holds no
    /// plaintext, so that the caller sees its deadline between two reads.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(read) = self.take_plaintext(buffer)? {
            return Ok(read);
        }
        self.taken = 0;
        self.filled = 0;
        self.filled = self.socket.read(&mut self.ciphertext)?;
        if self.filled == 0 {
            return Ok(0);
        }
        self.has_begun_record = true;
        self.take_plaintext(buffer)?.ok_or_else(|| io::ErrorKind::Interrupted.into())
    }

    /// Passes buffered ciphertext to the session. Returns the length of the plaintext in it; `None`
    /// if more ciphertext is needed.
    fn take_plaintext(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let waiting = self.ciphertext.get(self.taken..self.filled).unwrap_or_default();
            let (taken, read) = self.session.receive(waiting, buffer)?;
            self.taken += taken;
            if read.is_some() {
                self.has_begun_record = false;
                return Ok(read);
            }
            if taken == 0 {
                return Ok(None);
            }
        }
    }
}
