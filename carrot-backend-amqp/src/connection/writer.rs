//! The way out to the broker.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSlice, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use log::{debug, warn};
use mio::{Events, Poll, PollOpt, Ready, Token};

use super::backpressure::SendBufferLimit;
use super::outgoing::OutgoingFrames;
use super::write_coalescing::WriteCoalescing;

/// How often a thread that sends writes what others have sent meanwhile, before it leaves that to the writer.
const ROUNDS: usize = 16;
/// How long what was sent waits for what is likely to follow. Most often a fifth of it is enough.
const LONGEST_WAIT: Duration = Duration::from_micros(100);
/// How long the writer waits for the socket before it looks whether the writer has ended.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Where bytes go.
pub(crate) enum Sink {
    Plain,
    #[cfg(feature = "tls")]
    Tls(Arc<Mutex<super::tls::TlsStream>>),
}

/// Where all bytes leave, whoever sends them: amiquip's I/O thread, and the threads that publish and settle, which do without it. Who sends
/// also writes, as far as the socket takes it at once, and with it what others send meanwhile. The rest is written by a thread that starts
/// when that happens first.
///
/// OutgoingFrames are never mixed up: whatever is sent is whole frames, and leaves in the order of sending.
pub(crate) struct SocketWriter {
    socket: TcpStream,
    sink: Sink,
    state: Mutex<State>,
    congested: Condvar,
    coalescing: WriteCoalescing,
    pub(crate) send_buffer: SendBufferLimit,
}

#[derive(Default)]
struct State {
    /// What was sent and nobody has begun to write, or what the socket did not take.
    pending: OutgoingFrames,
    /// Whether somebody is writing, and will see to what is pending.
    writing: bool,
    /// Whether that is the writer.
    congested: bool,
    has_writer: bool,
    /// The channels that are open as far as the broker will know, each with the number of its opening.
    open: HashMap<u16, u64>,
    openings: u64,
    /// Whether no channel may be opened any more.
    sealed: bool,
    ended: bool,
}

/// One opening of a channel: another channel of the same number is another opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) channel: u16,
    number: u64,
}

impl SocketWriter {
    pub(crate) fn new(socket: TcpStream, sink: Sink) -> SocketWriter {
        SocketWriter {
            socket,
            sink,
            state: Mutex::default(),
            congested: Condvar::new(),
            coalescing: WriteCoalescing::default(),
            send_buffer: SendBufferLimit::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends whole frames of amiquip's. It takes them also while the socket is full: they are few, and to wait until nothing else is
    /// pending might take for ever.
    pub(crate) fn write(self: &Arc<SocketWriter>, bytes: &[u8]) -> io::Result<()> {
        let state = self.lock();
        if state.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.dispatch(state, OutgoingFrames::from(bytes.to_vec()))
    }

    /// Sends whole frames of a channel, which `make` makes in the order of leaving; `None` if the channel is closed. If the connection isolation
    /// out to be dead they are dropped: everybody will hear of that.
    pub(crate) fn send<T>(
        self: &Arc<SocketWriter>,
        opening: Opening,
        make: impl FnOnce() -> (OutgoingFrames, T),
    ) -> Option<T> {
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

    /// Sends frames as [`send`](SocketWriter::send) does that were let in by the send_buffer, as so many bytes. If they do not leave they no longer count.
    pub(crate) fn send_counted<T>(
        self: &Arc<SocketWriter>,
        opening: Opening,
        bytes: usize,
        make: impl FnOnce() -> (OutgoingFrames, T),
    ) -> Option<T> {
        let made = self.send(opening, make);
        if made.is_none() {
            self.send_buffer.left(bytes);
        }
        made
    }

    /// Sends the last frames of a channel as [`send`](SocketWriter::send) does. Returns whether the channel was open.
    pub(crate) fn send_last(
        self: &Arc<SocketWriter>,
        opening: Opening,
        make: impl FnOnce() -> Vec<u8>,
    ) -> bool {
        let mut state = self.lock();
        if state.ended || state.open.get(&opening.channel) != Some(&opening.number) {
            return false;
        }
        state.open.remove(&opening.channel);
        if let Err(error) = self.dispatch(state, OutgoingFrames::from(make())) {
            debug!("writing to the socket failed: {error}");
        }
        true
    }

    /// Opens a channel with these frames. Returns `None` if the connection has ended or is sealed.
    pub(crate) fn open(self: &Arc<SocketWriter>, channel: u16, frames: Vec<u8>) -> Option<Opening> {
        let mut state = self.lock();
        if state.ended || state.sealed {
            return None;
        }
        state.openings += 1;
        let opening = Opening { channel, number: state.openings };
        state.open.insert(channel, opening.number);
        if let Err(error) = self.dispatch(state, OutgoingFrames::from(frames)) {
            debug!("writing to the socket failed: {error}");
        }
        Some(opening)
    }

    /// Takes whole frames without writing them. The caller has [`flush`](SocketWriter::flush) called on another thread.
    pub(crate) fn hand_over(&self, bytes: Vec<u8>) {
        let mut state = self.lock();
        if !state.ended {
            state.pending.append(OutgoingFrames::from(bytes));
        }
    }

    /// Takes frames of a channel as [`hand_over`](SocketWriter::hand_over) does. Returns whether the channel is open.
    pub(crate) fn hand_over_on(&self, opening: Opening, bytes: Vec<u8>) -> bool {
        let mut state = self.lock();
        let is_open = !state.ended && state.open.get(&opening.channel) == Some(&opening.number);
        if is_open {
            state.pending.append(OutgoingFrames::from(bytes));
        }
        is_open
    }

    /// Takes the last frame of a channel as [`hand_over`](SocketWriter::hand_over) does. Returns whether the channel was open.
    pub(crate) fn hand_over_last(&self, channel: u16, bytes: Vec<u8>) -> bool {
        let mut state = self.lock();
        let was_open = state.open.remove(&channel).is_some();
        if !state.ended {
            state.pending.append(OutgoingFrames::from(bytes));
        }
        was_open
    }

    /// Writes what was handed over, unless another thread writes already.
    pub(crate) fn flush(self: &Arc<SocketWriter>) {
        let mut state = self.lock();
        if state.writing || state.ended || state.pending.is_empty() {
            return;
        }
        state.writing = true;
        drop(state);
        if let Err(error) = self.write_for_all(OutgoingFrames::default()) {
            debug!("writing to the socket failed: {error}");
        }
    }

    /// Lets channels send nothing more. OutgoingFrames of the connection still leave.
    pub(crate) fn seal(&self) {
        let mut state = self.lock();
        state.sealed = true;
        state.open.clear();
        drop(state);
        self.send_buffer.close();
    }

    /// Says that nothing is sent any more. What the socket takes at once still leaves.
    pub(crate) fn end(self: &Arc<SocketWriter>) {
        let mut state = self.lock();
        state.ended = true;
        state.open.clear();
        if !state.writing {
            state.writing = true;
            drop(state);
            let _ = self.write_for_all(OutgoingFrames::default());
        } else {
            drop(state);
        }
        self.congested.notify_all();
        self.send_buffer.close();
    }

    /// Writes what others send while `work` is done as one, right after it. To be done where threads are woken that are likely to send:
    /// `work` gives how much, and that is waited for a moment. The broker takes one large piece in less time than many small ones.
    pub(crate) fn coalesce(self: &Arc<SocketWriter>, work: impl FnOnce() -> usize) {
        let mut state = self.lock();
        self.coalescing.begin();
        let others_write = mem::replace(&mut state.writing, true);
        drop(state);
        let expected = work();
        if others_write {
            return;
        }
        self.coalescing.wait_for(expected, LONGEST_WAIT);
        if let Err(error) = self.write_for_all(OutgoingFrames::default()) {
            debug!("writing to the socket failed: {error}");
        }
    }

    fn dispatch(
        self: &Arc<SocketWriter>,
        mut state: MutexGuard<'_, State>,
        frames: OutgoingFrames,
    ) -> io::Result<()> {
        if state.writing {
            state.pending.append(frames);
            self.coalescing.sent(state.pending.len());
            return Ok(());
        }
        state.pending.append(frames);
        let frames = mem::take(&mut state.pending);
        if frames.is_empty() {
            return Ok(());
        }
        state.writing = true;
        drop(state);
        self.write_for_all(frames)
    }

    /// Writes frames, and then what is pending, until nothing is, or the writer has to go on.
    fn write_for_all(self: &Arc<SocketWriter>, mut frames: OutgoingFrames) -> io::Result<()> {
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

    fn leave_to_writer(self: &Arc<SocketWriter>, frames: OutgoingFrames) -> io::Result<()> {
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
    fn write_on(self: &Arc<SocketWriter>, poll: &Poll) -> io::Result<()> {
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
        self.send_buffer.close();
    }

    fn start_writer(self: &Arc<SocketWriter>) -> io::Result<()> {
        let socket = mio::net::TcpStream::from_stream(self.socket.try_clone()?)?;
        let poll = Poll::new()?;
        poll.register(&socket, Token(0), Ready::writable(), PollOpt::edge())?;
        let writer = Arc::clone(self);
        thread::Builder::new().name("carrot-writer".to_string()).spawn(move || {
            let _registered = socket;
            if let Err(error) = writer.write_on(&poll) {
                debug!("writing to the socket failed: {error}");
                writer.give_up();
            }
        })?;
        Ok(())
    }

    /// Writes until all has left; an error if that is not at once.
    fn write_out(&self, frames: &mut OutgoingFrames) -> io::Result<()> {
        while !frames.is_empty() {
            let result = match &self.sink {
                Sink::Plain if frames.is_one_piece() => (&self.socket).write(frames.foremost()),
                Sink::Plain => {
                    let (slices, count) = frames.slices();
                    write_vectored(&self.socket, &slices[..count])
                }
                #[cfg(feature = "tls")]
                Sink::Tls(stream) => {
                    stream.lock().unwrap_or_else(PoisonError::into_inner).write(frames.foremost())
                }
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    frames.advance(written);
                    self.send_buffer.left(written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Writes several pieces. The standard library would do that without the flag by which a socket that is dead gives an error, and no signal: one
/// that ends the process, if that has it as systems have it by default.
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

impl fmt::Debug for SocketWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        formatter
            .debug_struct("SocketWriter")
            .field("pending", &state.pending.len())
            .field("ended", &state.ended)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Keeps what was not written, before what was sent after it.
    fn keep_before(&mut self, mut frames: OutgoingFrames) {
        frames.append(mem::take(&mut self.pending));
        self.pending = frames;
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
