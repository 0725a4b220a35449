//! The way out to the broker.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use log::{debug, warn};
use mio::{Events, Poll, PollOpt, Ready, Token};

use crate::flow::Flow;
use crate::frame::{CHANNEL_CLOSE, CHANNEL_CLOSE_OK, CHANNEL_OPEN, CONNECTION_CLOSE, CONNECTION_CLOSE_OK, Head};
use crate::frames::Frames;

/// How often a thread that sends writes what others have sent meanwhile, before it leaves that to the writer.
const ROUNDS: usize = 16;
/// How long the writer waits for the socket before it looks whether the outlet has ended.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Where bytes go.
pub(crate) enum Sink {
    Plain,
    #[cfg(feature = "tls")]
    Tls(Arc<Mutex<crate::tls::TlsStream>>),
}

/// Where all bytes leave, whoever sends them: amiquip's I/O thread, and the threads that publish and settle, which do without it. Who sends
/// also writes, as far as the socket takes it at once, and with it what others send meanwhile. The rest is written by a thread that starts
/// when that happens first.
///
/// Frames are never mixed up: whatever is sent is whole frames, and leaves in the order of sending.
pub(crate) struct Outlet {
    socket: TcpStream,
    sink: Sink,
    state: Mutex<State>,
    congested: Condvar,
    pub(crate) flow: Flow,
}

#[derive(Default)]
struct State {
    /// What was sent and nobody has begun to write, or what the socket did not take.
    pending: Frames,
    /// Whether somebody is writing, and will see to what is pending.
    writing: bool,
    /// Whether that is the writer.
    congested: bool,
    has_writer: bool,
    /// The channels that are open as far as the broker will know, each with the number of its opening.
    open: HashMap<u16, u64>,
    openings: u64,
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
        Outlet { socket, sink, state: Mutex::default(), congested: Condvar::new(), flow: Flow::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends whole frames of amiquip's. It takes them also while the socket is full: they are few, and to wait until nothing else is
    /// pending might take for ever.
    pub(crate) fn write(self: &Arc<Outlet>, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        if state.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.note(bytes);
        self.dispatch(state, Frames::from(bytes.to_vec()))
    }

    /// The latest opening of a channel; to be asked for once the channel is open.
    pub(crate) fn opening(&self, channel: u16) -> Option<Opening> {
        self.lock().open.get(&channel).map(|number| Opening { channel, number: *number })
    }

    /// Sends whole frames of a channel, which `make` makes in the order of leaving; `None` if the channel is closed. If the connection turns
    /// out to be dead they are dropped: everybody will hear of that.
    pub(crate) fn send<T>(self: &Arc<Outlet>, opening: Opening, make: impl FnOnce() -> (Frames, T)) -> Option<T> {
        let state = self.lock();
        if state.ended || state.open.get(&opening.channel) != Some(&opening.number) {
            return None;
        }
        let (frames, made) = make();
        if let Err(error) = self.dispatch(state, frames) {
            debug!("writing to the socket failed: {error}");
        }
        Some(made)
    }

    /// Says that nothing is sent any more. What the socket takes at once still leaves.
    pub(crate) fn end(self: &Arc<Outlet>) {
        let mut state = self.lock();
        state.ended = true;
        state.open.clear();
        if !state.writing {
            state.writing = true;
            drop(state);
            let _ = self.write_for_all(Frames::default());
        } else {
            drop(state);
        }
        self.congested.notify_all();
        self.flow.close();
    }

    /// Writes what others send while `work` is done as one, right after it. To be done where threads are woken that are likely to send.
    pub(crate) fn gather(self: &Arc<Outlet>, work: impl FnOnce()) {
        let others_write = mem::replace(&mut self.lock().writing, true);
        work();
        if !others_write && let Err(error) = self.write_for_all(Frames::default()) {
            debug!("writing to the socket failed: {error}");
        }
    }

    fn dispatch(self: &Arc<Outlet>, mut state: MutexGuard<'_, State>, frames: Frames) -> io::Result<()> {
        if state.writing {
            state.pending.append(frames);
            return Ok(());
        }
        if frames.is_empty() {
            return Ok(());
        }
        state.writing = true;
        drop(state);
        self.write_for_all(frames)
    }

    /// Writes frames, and then what is pending, until nothing is, or the writer has to go on.
    fn write_for_all(self: &Arc<Outlet>, mut frames: Frames) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let result = self.write_out(&mut frames);
            let mut state = self.lock();
            match result {
                Ok(()) if state.pending.is_empty() => {
                    state.writing = false;
                    return Ok(());
                }
                Ok(()) => frames = mem::take(&mut state.pending),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    drop(state);
                    self.give_up();
                    return Err(error);
                }
            }
        }
        self.leave_to_writer(frames)
    }

    fn leave_to_writer(self: &Arc<Outlet>, frames: Frames) -> io::Result<()> {
        let mut state = self.lock();
        state.keep_before(frames);
        if state.ended {
            drop(state);
            self.give_up();
            return Ok(());
        }
        state.congested = true;
        let has_writer = mem::replace(&mut state.has_writer, true);
        drop(state);
        if has_writer {
            self.congested.notify_one();
            return Ok(());
        }
        self.start_writer().inspect_err(|error| {
            warn!("no thread could be started that writes: {error}");
            self.give_up();
        })
    }

    /// Writes on whenever the socket takes more.
    fn write_on(self: &Arc<Outlet>, poll: &Poll) -> io::Result<()> {
        let mut events = Events::with_capacity(1);
        loop {
            let mut state = self.lock();
            while !state.congested && !state.ended {
                state = self.congested.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !state.congested {
                return Ok(());
            }
            if state.pending.is_empty() {
                (state.congested, state.writing) = (false, false);
                continue;
            }
            let mut frames = mem::take(&mut state.pending);
            drop(state);
            let result = self.write_out(&mut frames);
            let mut state = self.lock();
            state.keep_before(frames);
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !state.ended => {
                    drop(state);
                    poll.poll(&mut events, Some(LOOK_UP))?;
                }
                result => result?,
            }
        }
    }

    /// Drops what is pending, and hangs up, so that everybody hears of it.
    fn give_up(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.writing = false;
        state.congested = false;
        let dropped = mem::take(&mut state.pending);
        drop(state);
        drop(dropped);
        let _ = self.socket.shutdown(Shutdown::Both);
        self.flow.close();
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
                outlet.give_up();
            }
        })?;
        Ok(())
    }

    /// Writes until all has left; an error if that is not at once.
    fn write_out(&self, frames: &mut Frames) -> io::Result<()> {
        while !frames.is_empty() {
            let result = match &self.sink {
                Sink::Plain if frames.is_one_piece() => (&self.socket).write(frames.foremost()),
                Sink::Plain => {
                    let (slices, count) = frames.slices();
                    (&self.socket).write_vectored(&slices[..count])
                }
                #[cfg(feature = "tls")]
                Sink::Tls(stream) => stream.lock().unwrap_or_else(PoisonError::into_inner).write(frames.foremost()),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    frames.advance(written);
                    self.flow.left(written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        formatter.debug_struct("Outlet").field("pending", &state.pending.len()).field("ended", &state.ended).finish_non_exhaustive()
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

    /// Keeps what was not written, before what was sent after it.
    fn keep_before(&mut self, mut frames: Frames) {
        frames.append(mem::take(&mut self.pending));
        self.pending = frames;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::io::Read;
    use std::net::TcpListener;
    use std::time::Duration;

    use carrot_core::backend::Content;

    use super::*;
    use crate::frame::{self, CONTENT_BODY, METHOD};
    use crate::frames::Piece;

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
        let is_let_through = |opening| outlet.send(opening, || (Frames::default(), ())).is_some();
        assert!(is_let_through(first));
        outlet.write(&[frame::method(2, CHANNEL_OPEN, b""), frame::method(1, CHANNEL_CLOSE_OK, b"")].concat()).unwrap();
        assert!(!is_let_through(first));
        let second = opened(&outlet, 1);
        assert!(!is_let_through(first) && is_let_through(second));
        outlet.write(&frame::method(1, CHANNEL_CLOSE, b"")).unwrap();
        assert!(!is_let_through(second));
        let other = outlet.opening(2).unwrap();
        outlet.write(&frame::method(0, CONNECTION_CLOSE, b"")).unwrap();
        assert!(!is_let_through(other));
    }

    /// A frame in pieces, as large bodies are.
    fn in_pieces(channel: u16, payload: Vec<u8>) -> Frames {
        let (mut prefix, length) = (Vec::new(), payload.len());
        frame::prefix(&mut prefix, CONTENT_BODY, channel, length);
        let mut frames = Frames::from(prefix);
        frames.push(Piece::Body(Arc::new(Content::new("", "", payload)), 0..length));
        frames.push(Piece::Bytes(vec![frame::END]));
        frames
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
                        outlet.send(opening, || (in_pieces(channel, payload), ())).unwrap();
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
    fn what_is_sent_meanwhile_leaves_after_the_work() {
        let (outlet, mut peer) = connected();
        let opening = opened(&outlet, 1);
        read_frames(&mut peer, 1);
        peer.set_nonblocking(true).unwrap();
        outlet.gather(|| {
            for channel in [1, 0] {
                outlet.send(opening, || (Frames::from(frame::whole(8, channel, b"")), ())).unwrap();
            }
            assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        });
        peer.set_nonblocking(false).unwrap();
        let channels: Vec<_> = read_frames(&mut peer, 2).iter().map(|(head, _)| head.channel).collect();
        assert_eq!(channels, [1, 0]);
    }

    #[test]
    fn a_dead_socket_ends_it() {
        let (outlet, peer) = connected();
        let opening = opened(&outlet, 1);
        drop(peer);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while outlet.send(opening, || (Frames::from(frame::whole(8, 0, b"")), ())).is_some() {
            assert!(std::time::Instant::now() < deadline);
        }
        assert_eq!(outlet.opening(1), Some(opening), "nobody has closed it");
        outlet.end();
        assert_eq!(outlet.opening(1), None);
    }
}
