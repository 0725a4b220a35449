//! The socket as amiquip sees it.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use mio::net::TcpStream;
use mio::{Evented, Poll, PollOpt, Ready, Token};

use crate::flow::Flow;
use crate::start::Handshake;

/// The first octet of every broker's greeting.
const METHOD_FRAME: u8 = 1;

/// What the two ends of a [`Stream`], the driver's I/O thread and everyone else, know in common.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    pub(crate) flow: Flow,
    frame_max: AtomicU32,
    ended_by_peer: AtomicBool,
}

impl Wire {
    /// The largest frame, as negotiated; zero before that.
    pub(crate) fn frame_max(&self) -> usize {
        self.frame_max.load(Ordering::Acquire) as usize
    }

    /// Whether the other side has closed the socket or reset it.
    pub(crate) fn ended_by_peer(&self) -> bool {
        self.ended_by_peer.load(Ordering::Acquire)
    }
}

/// How a TLS server answers to who does not speak it: an alert, of any version 3.
const TLS_ALERT: [u8; 2] = [21, 3];

#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<crate::tls::TlsStream>),
}

impl Transport {
    fn socket(&self) -> &TcpStream {
        match self {
            Transport::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.socket(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.read(buffer),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.write(bytes),
        }
    }
}

/// A connected socket, with or without TLS. It completes the client's part of the handshake, which amiquip does not let one choose, and
/// counts what leaves.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: Transport,
    handshake: Option<Handshake>,
    greeted: bool,
    wire: Arc<Wire>,
}

impl Stream {
    pub(crate) fn new(transport: Transport, handshake: Handshake, wire: Arc<Wire>) -> Stream {
        Stream { transport, handshake: Some(handshake), greeted: false, wire }
    }

    /// Sends the completed form of `bytes`. Until all of it has left none of it counts as written, so that amiquip asks to be told when
    /// the socket takes more.
    fn write_handshake(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(handshake) = &mut self.handshake else { return Ok(0) };
        let accepted = handshake.accept(bytes);
        while !handshake.pending().is_empty() {
            let written = self.transport.write(handshake.pending())?;
            handshake.advance(written);
        }
        if let Some(frame_max) = handshake.frame_max() {
            self.wire.frame_max.store(frame_max, Ordering::Release);
            self.handshake = None;
        }
        Ok(accepted)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut result = self.transport.read(buffer);
        if self.handshake.is_some()
            && matches!(self.transport, Transport::Plain(_))
            && matches!(result, Ok(2..))
            && buffer.starts_with(&TLS_ALERT)
        {
            result = Err(io::Error::new(io::ErrorKind::InvalidData, "the peer speaks TLS: the URL for it is amqps://"));
        }
        let ended = match &result {
            Ok(count) => *count == 0 && !buffer.is_empty(),
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        };
        if ended {
            self.wire.ended_by_peer.store(true, Ordering::Release);
        }
        if let (false, Ok(1..)) = (self.greeted, &result) {
            self.greeted = true;
            // amiquip would take whatever this is for the head of a large frame, and wait for the rest.
            if buffer.first() != Some(&METHOD_FRAME) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer does not speak AMQP 0-9-1"));
            }
        }
        result
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.handshake.is_some() {
            return self.write_handshake(bytes);
        }
        let written = self.transport.write(bytes)?;
        self.wire.flow.left(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Evented for Stream {
    fn register(&self, poll: &Poll, token: Token, interest: Ready, options: PollOpt) -> io::Result<()> {
        self.transport.socket().register(poll, token, interest, options)
    }

    fn reregister(&self, poll: &Poll, token: Token, interest: Ready, options: PollOpt) -> io::Result<()> {
        self.transport.socket().reregister(poll, token, interest, options)
    }

    fn deregister(&self, poll: &Poll) -> io::Result<()> {
        self.transport.socket().deregister(poll)
    }
}

impl amiquip::IoStream for Stream {}
