//! The outgoing side of the socket, with or without TLS.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
#[cfg(feature = "tls")]
use std::sync::{Arc, Mutex};

#[cfg(feature = "tls")]
use carrot_tls::{OutgoingRecords, TlsSession};

use super::outgoing::OutgoingFrames;
#[cfg(feature = "tls")]
use crate::sync::lock;

/// The octets to the broker. Writing never blocks.
pub(crate) enum Sink {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(TlsSink),
}

impl Sink {
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Sink::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Sink::Tls(sink) => &sink.socket,
        }
    }

    /// Writes some octets at the start of the frames, and returns their number. One thread writes
    /// at a time.
    pub(crate) fn write(&self, frames: &OutgoingFrames) -> io::Result<usize> {
        match self {
            Sink::Plain(socket) if frames.is_one_piece() => (&*socket).write(frames.foremost()),
            Sink::Plain(socket) => {
                let (slices, count) = frames.slices();
                write_vectored(socket, &slices[..count])
            }
            #[cfg(feature = "tls")]
            Sink::Tls(sink) => sink.write(frames.foremost()),
        }
    }
}

/// Writes several pieces at once. The standard library would omit the flag by which a dead socket
/// causes an error instead of a signal that ends the process.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn write_vectored(socket: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    const MSG_NOSIGNAL: i32 = 0x4000;
    socket2::SockRef::from(socket).send_vectored_with_flags(pieces, MSG_NOSIGNAL)
}

/// Writes the first of several pieces.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn write_vectored(mut socket: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    socket.write(pieces.first().map_or(&[], |first| &**first))
}

/// The outgoing side of a TLS session, which the reader shares.
#[cfg(feature = "tls")]
pub(crate) struct TlsSink {
    socket: TcpStream,
    session: Arc<TlsSession>,
    /// Never contended, because one thread writes at a time.
    records: Mutex<OutgoingRecords>,
}

#[cfg(feature = "tls")]
impl TlsSink {
    pub(crate) fn new(socket: TcpStream, session: Arc<TlsSession>) -> TlsSink {
        TlsSink { socket, session, records: Mutex::default() }
    }

    /// Seals octets under the lock of the session, and writes the records without any lock.
    fn write(&self, octets: &[u8]) -> io::Result<usize> {
        let mut taken = std::mem::take(&mut *lock(&self.records));
        let written = taken.write(&self.session, &self.socket, octets);
        *lock(&self.records) = taken;
        written
    }
}
