//! Reads the socket of a connection.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use amiquip::Error as AmqpError;
use carrot_amqp_wire::{ConnectionClose as CloseMethod, FrameReader};
use carrot_core::Error;
use log::{debug, warn};
use mio::{Events, Poll, PollOpt, Ready, Token};

use super::channels::Violation;
use super::demux::Demux;
use super::handshake::{self, Handshake, UNTUNED_FRAME_MAX};
use super::leadership::Reading;
use super::read_end::{HandshakeEnd, ReadEnd};
use super::source::Source;
use super::state::ConnectionState;

/// The number of octets that are read at once.
const ROOM: usize = 128 << 10;
/// The maximum time for which the broker may keep the socket open after connection.close.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// How a TLS server answers a client that does not speak TLS: an alert, of any version 3.
const TLS_ALERT: [u8; 2] = [21, 3];
const METHOD: u8 = 1;
const READABLE: Token = Token(0);
const INTERRUPTED: Token = Token(1);

/// Reads for the thread that has it. Blocks only in `wait`.
pub(crate) struct SocketReader {
    source: Source,
    poll: Poll,
    events: Events,
    /// Registered with `poll`.
    _socket: mio::net::TcpStream,
    buffer: Vec<u8>,
    /// Whether the last read has emptied the socket.
    is_drained: bool,
    frames: FrameReader,
    demux: Demux,
    /// Whether the first octets have arrived.
    is_greeted: bool,
    /// The time at which the reader gives up waiting for the end.
    ends_at: Option<Instant>,
}

/// Starts the stand-by, the thread that reads while no other does.
pub(crate) fn start(
    source: Source,
    state: Arc<ConnectionState>,
    handshake: Handshake,
) -> io::Result<JoinHandle<HandshakeEnd>> {
    let socket = mio::net::TcpStream::from_stream(source.socket().try_clone()?)?;
    let poll = Poll::new()?;
    poll.register(&socket, READABLE, Ready::readable(), PollOpt::level())?;
    let interrupts = state.leadership.interrupts();
    poll.register(interrupts, INTERRUPTED, Ready::readable(), PollOpt::level())?;
    let reader = SocketReader {
        source,
        poll,
        events: Events::with_capacity(2),
        _socket: socket,
        buffer: vec![0; ROOM],
        is_drained: false,
        frames: FrameReader::for_client(UNTUNED_FRAME_MAX),
        demux: Demux::new(Arc::clone(&state), handshake),
        is_greeted: false,
        ends_at: None,
    };
    thread::Builder::new()
        .name("carrot-reader".to_string())
        .spawn(move || state.leadership.stand_by(Box::new(reader)))
}

impl Reading for SocketReader {
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ReadEnd> {
        self.wait_for_room(deadline)?;
        if !self.is_drained {
            return Ok(());
        }
        let now = Instant::now();
        if self.ends_at.is_some_and(|at| at <= now) {
            return Err(ReadEnd::Eof);
        }
        let until = deadline.into_iter().chain(self.ends_at).min();
        let timeout = until.map(|until| until.saturating_duration_since(now));
        self.poll.poll(&mut self.events, timeout).map_err(ReadEnd::Io)?;
        if self.events.iter().any(|event| event.token() == INTERRUPTED) {
            self.demux.state().leadership.interrupted();
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), ReadEnd> {
        let SocketReader { source, buffer, frames, demux, .. } = self;
        let place = if source.is_vectored() { demux.lend_place(frames) } else { None };
        let (result, placed, room) = match place {
            None => (source.read(buffer), 0, buffer.len()),
            Some(mut place) => {
                let octets = place.octets();
                let room = octets.len();
                let result = source.read_vectored(octets, buffer);
                let placed = result.as_ref().map_or(0, |count| room.min(*count));
                demux.return_place(frames, place, placed)?;
                (result, placed, room + buffer.len())
            }
        };
        match result {
            Ok(0) => Err(ReadEnd::Eof),
            Ok(count) => {
                if count > placed {
                    self.take(count - placed)?;
                }
                self.is_drained = self.source.is_drained(count, room);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.is_drained = false;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.source.has_begun_record() {
                    self.demux.show_alive()?;
                }
                self.is_drained = true;
                Ok(())
            }
            Err(error) => Err(ReadEnd::Io(error)),
        }
    }

    fn finish(mut self: Box<Self>, end: ReadEnd) -> HandshakeEnd {
        let step = self.demux.step();
        let state = Arc::clone(self.demux.state());
        debug!("{}: reading from {} ended: {end:?}", state.name, state.endpoint);
        let end = match self.demux.take_close() {
            Some(close) => ReadEnd::Closed(close),
            None => end,
        };
        if let ReadEnd::Broken(violation) = &end {
            state.writer.seal();
            state.writer.hand_over(close_frame(violation));
        }
        // The writer never blocks, because the socket does not.
        state.writer.flush();
        let cause = state.control.cause();
        state.lose(explain(&end, cause));
        state.writer.end();
        state.writer.shut_down();
        (end, step)
    }
}

impl SocketReader {
    /// Waits while too much waits for the program, at most until `deadline`. amiquip is shown signs
    /// of life meanwhile, because those of the broker are not read.
    fn wait_for_room(&mut self, deadline: Option<Instant>) -> Result<(), ReadEnd> {
        let state = Arc::clone(self.demux.state());
        loop {
            let interval = self.demux.show_interval();
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let is_last = left.is_some_and(|left| left <= interval);
            if state.read_limit.wait_for_room(left.unwrap_or(interval).min(interval)) || is_last {
                return Ok(());
            }
            self.demux.paused()?;
        }
    }

    /// Takes the octets at the start of the buffer.
    fn take(&mut self, count: usize) -> Result<(), ReadEnd> {
        let SocketReader { buffer, frames, demux, is_greeted, source, .. } = self;
        let octets = buffer.get(..count).unwrap_or_default();
        if !*is_greeted {
            *is_greeted = true;
            greet(octets, matches!(source, Source::Plain(_)))?;
        }
        demux.read(frames, octets)?;
        if demux.is_closed() && self.ends_at.is_none() {
            self.ends_at = Some(Instant::now() + CLOSE_GRACE);
        }
        Ok(())
    }
}

/// Checks the first octets, because a peer of another protocol is a common mistake.
fn greet(octets: &[u8], is_plain: bool) -> Result<(), ReadEnd> {
    let alien = |text: &str| Err(Violation { code: 501, text: text.to_string() }.into());
    if is_plain && octets.starts_with(&TLS_ALERT) {
        return alien("the peer speaks TLS: the URL for it is amqps://");
    }
    match octets.first() {
        Some(&METHOD) => Ok(()),
        _ => alien("the peer does not speak AMQP 0-9-1"),
    }
}

/// Returns connection.close over a violation.
fn close_frame(violation: &Violation) -> Vec<u8> {
    warn!("closing the connection: {} {}", violation.code, violation.text);
    let text: String = violation.text.chars().filter(char::is_ascii).take(255).collect();
    let close = CloseMethod {
        reply_code: violation.code,
        reply_text: (&text).into(),
        ..Default::default()
    };
    handshake::frame(&close.into()).unwrap_or_default()
}

/// Returns the error of all channels.
fn explain(end: &ReadEnd, cause: Option<Result<(), AmqpError>>) -> Error {
    match (end, cause) {
        (ReadEnd::Broken(violation), _) => {
            Error::disconnected(format!("the broker broke the protocol: {}", violation.text))
        }
        (ReadEnd::Closed(close), _) => Error::disconnected(close.to_string()),
        (ReadEnd::Refused(refusal), _) => Error::disconnected(refusal.to_string()),
        (_, Some(Err(AmqpError::MissedServerHeartbeats))) => {
            Error::disconnected("no octet has arrived from the broker for two heartbeat intervals")
        }
        (_, Some(Err(AmqpError::IoThreadPanic))) => {
            Error::disconnected("the I/O thread of amiquip panicked")
        }
        (ReadEnd::Eof, _) => Error::disconnected("the broker closed the socket without a word"),
        (ReadEnd::Io(error), _) => {
            let reason = format!("reading from the socket failed: {error}");
            let source = io::Error::new(error.kind(), error.to_string());
            Error::Disconnected { reason, source: Some(Arc::new(source)) }
        }
    }
}
