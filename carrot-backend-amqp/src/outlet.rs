//! The way out to the broker.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use log::{debug, warn};
use mio::{Events, Poll, PollOpt, Ready, Token};

use crate::flow::Flow;
use crate::frame::{CHANNEL_CLOSE, CHANNEL_CLOSE_OK, CHANNEL_OPEN, CONNECTION_CLOSE, CONNECTION_CLOSE_OK, Head};

/// How large the buffer of what is pending may stay while nothing is.
const KEPT: usize = 1 << 20;

/// Where bytes go.
pub(crate) enum Sink {
    Plain,
    #[cfg(feature = "tls")]
    Tls(Arc<Mutex<crate::tls::TlsStream>>),
}

/// Where all bytes leave, whoever sends them: amiquip's I/O thread, and the threads that publish and settle, which do without it. Who sends
/// also writes, as far as the socket takes it at once. The rest is written by a thread that starts when that happens first.
///
/// Frames are never mixed up: whatever is sent is whole frames, and leaves in the order of sending.
pub(crate) struct Outlet {
    socket: TcpStream,
    state: Mutex<State>,
    congested: Condvar,
    pub(crate) flow: Flow,
}

struct State {
    sink: Sink,
    /// What was sent; it has left up to `left`.
    pending: Vec<u8>,
    left: usize,
    /// The channels that are open as far as the broker will know, each with the number of its opening.
    open: HashMap<u16, u64>,
    openings: u64,
    has_writer: bool,
    ended: bool,
}

/// One opening of a channel: another channel of the same number is another opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) channel: u16,
    number: u64,
}

impl Outlet {
    pub(crate) fn new(socket: TcpStream, sink: Sink) -> Outlet {
        let state = State { sink, pending: Vec::new(), left: 0, open: HashMap::new(), openings: 0, has_writer: false, ended: false };
        Outlet { socket, state: Mutex::new(state), congested: Condvar::new(), flow: Flow::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends whole frames of amiquip's. It takes them also while the socket is full: they are few, and to wait until nothing else is
    /// pending might take for ever.
    pub(crate) fn write(self: &Arc<Outlet>, bytes: &[u8]) -> io::Result<()> {
        let mut exit = Exit { outlet: self, state: self.lock() };
        exit.state.note(bytes);
        exit.try_push(bytes)
    }

    /// The latest opening of a channel; to be asked for once the channel is open.
    pub(crate) fn opening(&self, channel: u16) -> Option<Opening> {
        self.lock().open.get(&channel).map(|number| Opening { channel, number: *number })
    }

    /// Lets a channel send; `None` if it is closed. Nobody else sends until the exit is dropped.
    pub(crate) fn enter(self: &Arc<Outlet>, opening: Opening) -> Option<Exit<'_>> {
        let state = self.lock();
        let is_open = !state.ended && state.open.get(&opening.channel) == Some(&opening.number);
        is_open.then_some(Exit { outlet: self, state })
    }

    /// Says that nothing leaves any more.
    pub(crate) fn end(self: &Arc<Outlet>) {
        let mut exit = Exit { outlet: self, state: self.lock() };
        let _ = exit.flush();
        let mut state = exit.state;
        state.ended = true;
        state.open.clear();
        state.pending = Vec::new();
        state.left = 0;
        drop(state);
        self.congested.notify_all();
        self.flow.close();
    }

    /// Writes on whenever the socket takes more.
    fn write_on(self: &Arc<Outlet>, poll: &Poll) -> io::Result<()> {
        let mut events = Events::with_capacity(1);
        loop {
            let mut state = self.lock();
            while state.pending.is_empty() && !state.ended {
                state = self.congested.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.ended {
                return Ok(());
            }
            let mut exit = Exit { outlet: self, state };
            let flushed = exit.flush();
            drop(exit);
            match flushed {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => drop(poll.poll(&mut events, None)?),
                result => result?,
            }
        }
    }

    fn start_writer(self: &Arc<Outlet>) -> io::Result<()> {
        let socket = mio::net::TcpStream::from_stream(self.socket.try_clone()?)?;
        let poll = Poll::new()?;
        poll.register(&socket, Token(0), Ready::writable(), PollOpt::edge())?;
        let outlet = Arc::clone(self);
        thread::Builder::new().name("carrot-writer".to_string()).spawn(move || {
            let _registered = socket;
            if let Err(error) = outlet.write_on(&poll) {
                debug!("writing to the socket failed: {error}");
                outlet.end();
            }
        })?;
        Ok(())
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let waiting = state.pending.len() - state.left;
        formatter.debug_struct("Outlet").field("waiting", &waiting).field("ended", &state.ended).finish_non_exhaustive()
    }
}

impl State {
    /// Takes note of the channels that amiquip opens and closes.
    fn note(&mut self, mut bytes: &[u8]) {
        while let Some(head) = Head::parse(bytes) {
            match head.method {
                Some(CHANNEL_OPEN) => {
                    self.openings += 1;
                    self.open.insert(head.channel, self.openings);
                }
                Some(CHANNEL_CLOSE | CHANNEL_CLOSE_OK) => drop(self.open.remove(&head.channel)),
                Some(CONNECTION_CLOSE | CONNECTION_CLOSE_OK) => self.open.clear(),
                _ => {}
            }
            bytes = bytes.get(head.whole()..).unwrap_or_default();
        }
    }

    /// Keeps bytes until the socket takes them, in place of those that have left.
    fn keep(&mut self, bytes: &[u8]) {
        if self.left > self.pending.len() / 2 {
            self.pending.drain(..self.left);
            self.left = 0;
        }
        self.pending.extend_from_slice(bytes);
    }
}

/// The right to send, for whole frames.
pub(crate) struct Exit<'a> {
    outlet: &'a Arc<Outlet>,
    state: MutexGuard<'a, State>,
}

impl Exit<'_> {
    /// Sends bytes. If the connection turns out to be dead they are dropped: everybody will hear of that.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_push(bytes) {
            debug!("writing to the socket failed: {error}");
            self.state.ended = true;
        }
    }

    fn try_push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.state.pending.is_empty() && !bytes.is_empty() {
            match self.write_some(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if !bytes.is_empty() {
            self.state.keep(bytes);
            if !self.state.has_writer {
                self.state.has_writer = true;
                self.outlet.start_writer().inspect_err(|error| warn!("no thread could be started that writes: {error}"))?;
            }
            self.outlet.congested.notify_one();
        }
        Ok(())
    }

    /// Writes what is pending; an error if it does not all leave.
    fn flush(&mut self) -> io::Result<()> {
        while self.state.left < self.state.pending.len() {
            let pending = std::mem::take(&mut self.state.pending);
            let result = self.write_some(&pending[self.state.left..]);
            self.state.pending = pending;
            self.state.left += result?;
        }
        self.state.left = 0;
        self.state.pending.clear();
        if self.state.pending.capacity() > KEPT {
            self.state.pending = Vec::new();
        }
        Ok(())
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = match &self.state.sink {
            Sink::Plain => (&self.outlet.socket).write(bytes),
            #[cfg(feature = "tls")]
            Sink::Tls(stream) => stream.lock().unwrap_or_else(PoisonError::into_inner).write(bytes),
        };
        match result {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                self.outlet.flow.left(written);
                Ok(written)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::io::Read;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::frame::{self, CONTENT_BODY, METHOD};

    /// An outlet, and the other end of its socket.
    fn connected() -> (Arc<Outlet>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let peer = listener.accept().unwrap().0;
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (Arc::new(Outlet::new(socket, Sink::Plain)), peer)
    }

    fn opened(outlet: &Arc<Outlet>, channel: u16) -> Opening {
        outlet.write(&frame::method(channel, CHANNEL_OPEN, b"\0")).unwrap();
        outlet.opening(channel).unwrap()
    }

    /// Reads whole frames until there are so many, and gives the heads and the payloads.
    fn read_frames(peer: &mut TcpStream, count: usize) -> Vec<(Head, Vec<u8>)> {
        let (mut bytes, mut frames) = (Vec::new(), Vec::new());
        let mut buffer = vec![0; 1 << 16];
        while frames.len() < count {
            let length = peer.read(&mut buffer).unwrap();
            assert!(length > 0, "the other side has hung up after {} frames", frames.len());
            bytes.extend_from_slice(&buffer[..length]);
            while let Some(head) = Head::parse(&bytes).filter(|head| head.whole() <= bytes.len()) {
                assert_eq!(bytes[head.whole() - 1], frame::END);
                frames.push((head, head.payload_of(&bytes).to_vec()));
                bytes.drain(..head.whole());
            }
        }
        assert!(bytes.is_empty());
        frames
    }

    #[test]
    fn only_an_open_channel_sends_and_only_as_it_was_opened() {
        let (outlet, _peer) = connected();
        assert_eq!(outlet.opening(1), None);
        let first = opened(&outlet, 1);
        assert!(outlet.enter(first).is_some());
        outlet.write(&[frame::method(2, CHANNEL_OPEN, b""), frame::method(1, CHANNEL_CLOSE_OK, b"")].concat()).unwrap();
        assert!(outlet.enter(first).is_none());
        let second = opened(&outlet, 1);
        assert!(outlet.enter(first).is_none() && outlet.enter(second).is_some());
        outlet.write(&frame::method(1, CHANNEL_CLOSE, b"")).unwrap();
        assert!(outlet.enter(second).is_none());
        let other = outlet.opening(2).unwrap();
        outlet.write(&frame::method(0, CONNECTION_CLOSE, b"")).unwrap();
        assert!(outlet.enter(other).is_none());
    }

    #[test]
    fn what_many_threads_send_to_a_full_socket_leaves_whole_and_in_order() {
        const THREADS: u16 = 4;
        const EACH: u32 = 500;
        let (outlet, mut peer) = connected();
        let frames = thread::scope(|scope| {
            for channel in 1..=THREADS {
                let (outlet, opening) = (&outlet, opened(&outlet, channel));
                scope.spawn(move || {
                    for number in 0..EACH {
                        let mut payload = vec![channel as u8; 10_000];
                        payload[..4].copy_from_slice(&number.to_be_bytes());
                        let mut exit = outlet.enter(opening).unwrap();
                        // In pieces, as large bodies are.
                        let whole = frame::whole(CONTENT_BODY, channel, &payload);
                        whole.chunks(3_000).for_each(|piece| exit.push(piece));
                    }
                });
            }
            // amiquip's own frames.
            let heartbeats = &outlet;
            scope.spawn(move || (0..EACH).for_each(|_| heartbeats.write(&frame::whole(8, 0, b"")).unwrap()));
            read_frames(&mut peer, usize::from(THREADS) + (usize::from(THREADS) + 1) * EACH as usize)
        });
        let mut next = [0; THREADS as usize + 1];
        for (head, payload) in frames.iter().filter(|(head, _)| head.kind == CONTENT_BODY) {
            let number = &mut next[usize::from(head.channel)];
            assert_eq!(payload[..4], u32::to_be_bytes(*number), "of channel {}", head.channel);
            assert!(payload[4..].iter().all(|byte| u16::from(*byte) == head.channel));
            *number += 1;
        }
        assert_eq!(next[1..], [EACH; THREADS as usize]);
        assert_eq!(frames.iter().filter(|(head, _)| head.kind == METHOD).count(), usize::from(THREADS));
        outlet.end();
    }

    #[test]
    fn what_has_left_takes_no_room() {
        let (outlet, _peer) = connected();
        let mut state = outlet.lock();
        let mut most = 0;
        for _ in 0..1_000 {
            state.keep(&[0; 1_000]);
            state.left = state.pending.len().saturating_sub(1_500);
            most = most.max(state.pending.len());
        }
        assert!(most < 10_000, "{most}");
    }

    #[test]
    fn a_dead_socket_ends_it() {
        let (outlet, peer) = connected();
        let opening = opened(&outlet, 1);
        drop(peer);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while let Some(mut exit) = outlet.enter(opening) {
            assert!(std::time::Instant::now() < deadline);
            exit.push(&frame::whole(8, 0, b""));
        }
        assert_eq!(outlet.opening(1), Some(opening), "nobody has closed it");
        outlet.end();
        assert_eq!(outlet.opening(1), None);
    }
}
