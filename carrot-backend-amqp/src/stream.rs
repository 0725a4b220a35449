//! The socket as amiquip sees it.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
#[cfg(feature = "tls")]
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Evented, Poll, PollOpt, Ready, Token};

use crate::calls::Calls;
use crate::connection_close::ConnectionClose;
use crate::frame;
use crate::inboxes::Inboxes;
use crate::incoming::{Destination, Incoming};
use crate::outlet::Outlet;
use crate::start::Handshake;

/// What the two ends of a [`Stream`], the driver's I/O thread and everyone else, know in common.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) outlet: Arc<Outlet>,
    pub(crate) inboxes: Inboxes,
    pub(crate) calls: Calls,
    frame_max: AtomicU32,
    ended_by_peer: AtomicBool,
}

impl Wire {
    pub(crate) fn new(outlet: Outlet) -> Wire {
        Wire {
            outlet: Arc::new(outlet),
            inboxes: Inboxes::default(),
            calls: Calls::default(),
            frame_max: AtomicU32::new(0),
            ended_by_peer: AtomicBool::new(false),
        }
    }

    /// The largest frame, as negotiated; zero before that.
    pub(crate) fn frame_max(&self) -> usize {
        self.frame_max.load(Ordering::Acquire) as usize
    }

    /// Whether the other side has closed the socket or reset it.
    pub(crate) fn ended_by_peer(&self) -> bool {
        self.ended_by_peer.load(Ordering::Acquire)
    }
}

/// How much is read at once.
const INPUT: usize = 128 << 10;
/// How often amiquip is shown that the broker lives; at least twice within the shortest heartbeat, of a second.
const SIGN_OF_LIFE: Duration = Duration::from_millis(400);
/// How a TLS server answers to who does not speak it: an alert, of any version 3.
const TLS_ALERT: [u8; 2] = [21, 3];

/// Where bytes come from.
#[derive(Debug)]
pub(crate) enum Source {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls {
        socket: TcpStream,
        stream: Arc<Mutex<crate::tls::TlsStream>>,
    },
}

impl Source {
    fn socket(&self) -> &TcpStream {
        match self {
            Source::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Source::Tls { socket, .. } => socket,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Plain(socket) => socket.read(buffer),
            #[cfg(feature = "tls")]
            Source::Tls { stream, .. } => {
                stream.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
            }
        }
    }
}

/// A connected socket, with or without TLS. It completes the client's part of the handshake, which amiquip does not let one choose, mends
/// what comes and goes when the broker closes a channel, and keeps from amiquip what goes around it.
#[derive(Debug)]
pub(crate) struct Stream {
    source: Source,
    handshake: Option<Handshake>,
    greeted: bool,
    /// Where bytes are read to.
    input: Vec<u8>,
    incoming: Incoming,
    /// What amiquip may have of what was read, and how much of it it has been given.
    output: Vec<u8>,
    given: usize,
    /// When amiquip was last shown that the broker lives, though what came was not for it.
    sign_of_life: Option<Instant>,
    wire: Arc<Wire>,
}

impl Stream {
    pub(crate) fn new(source: Source, handshake: Handshake, wire: Arc<Wire>) -> Stream {
        Stream {
            source,
            handshake: Some(handshake),
            greeted: false,
            input: vec![0; INPUT],
            incoming: Incoming::default(),
            output: Vec::new(),
            given: 0,
            sign_of_life: None,
            wire,
        }
    }

    /// Reads from the socket, and takes in what has come; `false` at its end.
    fn read_source(&mut self) -> io::Result<bool> {
        let (result, is_in_place) = match self.incoming.destination() {
            Destination::Body(room) => (self.source.read(room), true),
            Destination::Buffer(most) => {
                (self.source.read(&mut self.input[..most.min(INPUT)]), false)
            }
        };
        let ended = match &result {
            Ok(count) => *count == 0,
            Err(error) => {
                !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
            }
        };
        if ended {
            self.wire.ended_by_peer.store(true, Ordering::Release);
        }
        let count = result?;
        if is_in_place {
            self.incoming.read(count);
        } else {
            self.meet(count)?;
            let passed = self.incoming.pass(&self.input[..count], &mut self.output);
            passed.map_err(|refused| io::Error::new(io::ErrorKind::InvalidData, refused))?;
        }
        Ok(count > 0)
    }

    /// Finds out from what was read first whether the peer speaks AMQP at all.
    fn meet(&mut self, count: usize) -> io::Result<()> {
        let first = &self.input[..count];
        let is_plain = matches!(self.source, Source::Plain(_));
        if self.handshake.is_some() && is_plain && first.starts_with(&TLS_ALERT) {
            self.wire.ended_by_peer.store(true, Ordering::Release);
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the peer speaks TLS: the URL for it is amqps://",
            ));
        }
        if !self.greeted && !first.is_empty() {
            self.greeted = true;
            // amiquip would take whatever this is for the head of a large frame, and wait for the rest.
            if first.first() != Some(&frame::METHOD) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the peer does not speak AMQP 0-9-1",
                ));
            }
        }
        Ok(())
    }

    /// Notes why the broker closes the connection, before anybody can hear that it does. Messages that were answered just before are not
    /// among those that may be the reason.
    fn note(&mut self, connection_close: &ConnectionClose) {
        let news = self.incoming.news();
        if !news.has_returns() {
            self.wire.inboxes.tell(news);
        }
        self.wire.calls.closed_by_broker(connection_close, &self.wire.inboxes.unconfirmed());
    }

    /// Whether amiquip is to be given a heartbeat in place of what was not for it, since it has had none for a while. It is between two frames:
    /// it has got every byte of the last one that was for it.
    fn is_to_show_life(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.sign_of_life.is_none_or(|last| now - last > SIGN_OF_LIFE);
        if is_due {
            self.sign_of_life = Some(now);
        }
        is_due
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.output.len() {
            // By now amiquip has done with all that it was given before.
            let news = self.incoming.news();
            if news.concerns_publishers() {
                self.wire.outlet.gather(|| self.wire.inboxes.tell(news));
            }
            self.output.clear();
            self.given = 0;
            if !self.read_source()? {
                return Ok(0);
            }
            self.wire.inboxes.put(self.incoming.news());
            if let Some(connection_close) = self.incoming.news().connection_close.take() {
                self.note(&connection_close);
            }
            if self.output.is_empty() && self.is_to_show_life() {
                self.output.extend_from_slice(&frame::HEARTBEAT);
            }
        }
        let next = &self.output[self.given..];
        let length = next.len().min(buffer.len());
        buffer[..length].copy_from_slice(&next[..length]);
        self.given += length;
        Ok(length)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.handshake {
            None => self.wire.outlet.write(bytes)?,
            Some(handshake) => {
                self.wire.outlet.write(&handshake.complete(bytes))?;
                if let Some(frame_max) = handshake.frame_max() {
                    self.wire.frame_max.store(frame_max, Ordering::Release);
                    self.handshake = None;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // What is still to be told stays untold: amiquip may not have got the returns that came before it.
        self.wire.outlet.end();
        self.wire.inboxes.end();
    }
}

impl Evented for Stream {
    fn register(
        &self,
        poll: &Poll,
        token: Token,
        interest: Ready,
        options: PollOpt,
    ) -> io::Result<()> {
        self.source.socket().register(poll, token, interest, options)
    }

    fn reregister(
        &self,
        poll: &Poll,
        token: Token,
        interest: Ready,
        options: PollOpt,
    ) -> io::Result<()> {
        self.source.socket().reregister(poll, token, interest, options)
    }

    fn deregister(&self, poll: &Poll) -> io::Result<()> {
        self.source.socket().deregister(poll)
    }
}

impl amiquip::IoStream for Stream {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::net::{TcpListener, TcpStream};

    use carrot_core::Credentials;
    use carrot_core::backend::{Content, Outcome};

    use super::*;
    use crate::confirms::NoOutcome;
    use crate::frame::{
        BASIC_ACK, BASIC_RETURN, CHANNEL_OPEN_OK, CONNECTION_CLOSE, CONTENT_HEADER,
    };
    use crate::inboxes::Inbox;
    use crate::outlet::Sink;

    /// A stream, the other end of its socket, and the inbox of a channel on which one message was published.
    fn connected() -> (Stream, TcpStream, Arc<Inbox>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = listener.accept().unwrap().0;
        let wire = Arc::new(Wire::new(Outlet::new(socket.try_clone().unwrap(), Sink::Plain)));
        let inbox = Arc::new(Inbox::new(
            crate::calls::Calls::default().party(),
            true,
            crossbeam_channel::unbounded().1,
        ));
        wire.inboxes.add(1, &inbox);
        assert_eq!(inbox.confirms.issue(&Arc::new(Content::new("", "", "")), false), 1);
        let source = Source::Plain(mio::net::TcpStream::from_stream(socket).unwrap());
        (Stream::new(source, Handshake::new(&Credentials::default(), ""), wire), peer, inbox)
    }

    fn read(stream: &mut Stream) -> io::Result<usize> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match stream.read(&mut [0; 4096]) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {}
                result => return result,
            }
        }
    }

    fn ack() -> Vec<u8> {
        frame::method(1, BASIC_ACK, &[0, 0, 0, 0, 0, 0, 0, 1, 0])
    }

    #[test]
    fn an_answer_is_told_once_amiquip_has_done_with_what_came_before() {
        let (mut stream, mut peer, inbox) = connected();
        let opened = frame::method(2, CHANNEL_OPEN_OK, b"\0\0\0\0");
        peer.write_all(&[&opened[..], &ack()].concat()).unwrap();
        assert_eq!(read(&mut stream).unwrap(), opened.len());
        assert_eq!(inbox.confirms.wait(1, Instant::now()), Err(NoOutcome::Late));
        peer.write_all(&frame::HEARTBEAT).unwrap();
        read(&mut stream).unwrap();
        assert_eq!(inbox.confirms.wait(1, Instant::now()), Ok(Outcome::Accepted));
    }

    #[test]
    fn an_answer_is_not_told_if_amiquip_never_got_the_return_before_it() {
        let (mut stream, mut peer, inbox) = connected();
        let absurd = frame::whole(
            CONTENT_HEADER,
            2,
            &[&[0, 60, 0, 0][..], &u64::MAX.to_be_bytes(), &[0, 0]].concat(),
        );
        peer.write_all(&[&frame::method(1, BASIC_RETURN, b"words")[..], &ack(), &absurd].concat())
            .unwrap();
        assert_eq!(read(&mut stream).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(stream);
        assert_eq!(inbox.confirms.wait(1, Instant::now()), Err(NoOutcome::ChannelGone));
    }

    #[test]
    fn an_answer_before_the_end_counts_before_the_reason_is_looked_for() {
        let (mut stream, mut peer, inbox) = connected();
        assert_eq!(inbox.confirms.issue(&Arc::new(Content::new("", "", "")), false), 2);
        let close = frame::method(0, CONNECTION_CLOSE, b"\x02\x1d\x05WORDS\0\x3c\0\x28");
        peer.write_all(&[&ack()[..], &close].concat()).unwrap();
        read(&mut stream).unwrap();
        assert_eq!(inbox.confirms.wait(1, Instant::now()), Ok(Outcome::Accepted));
        let error =
            stream.wire.calls.first_error(inbox.party, carrot_core::Error::disconnected("lost"));
        assert!(
            matches!(&error, carrot_core::Error::HardError { code: 541, reason } if reason == "WORDS"),
            "{error:?}"
        );
    }

    #[test]
    fn amiquip_sees_a_sign_of_life_though_nothing_is_for_it() {
        let (mut stream, mut peer, _inbox) = connected();
        peer.write_all(&ack()).unwrap();
        assert_eq!(read(&mut stream).unwrap(), frame::HEARTBEAT.len());
    }
}
