//! Sends the frames of all threads.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use log::{debug, warn};
use mio::{Events, Poll, PollOpt, Ready, Token};

use super::backpressure::SendBufferLimit;
use super::outgoing::OutgoingFrames;
use super::sink::Sink;
use super::write_coalescing::WriteCoalescing;
use crate::sync::lock;

/// The number of times that a sending thread writes what other threads have sent meanwhile, before
/// it leaves the rest to the writer thread.
const ROUNDS: usize = 16;
/// The maximum time that frames wait for others that are likely to follow. Usually a fifth of it is
/// enough.
const LONGEST_WAIT: Duration = Duration::from_micros(100);
/// The time after which the writer thread checks whether the connection has ended, while the socket
/// is full.
const LOOK_UP: Duration = Duration::from_secs(1);

/// The maximum number of octets of answers that wait for the socket. A broker that asks for more
/// without reading the answers loses the connection.
const MAX_ANSWERS: usize = 4 << 20;

/// Writes the frames of all threads to the socket: those of amiquip, of publishers and of
/// consumers.
///
/// The thread that sends a frame also writes it, as far as the socket accepts it without blocking,
/// together with the frames that other threads send meanwhile. A separate thread writes the rest;
/// it starts the first time the socket is full.
///
/// The unit of sending is one or more whole frames, so frames never mix. They leave in the order in
/// which they were sent.
pub(crate) struct SocketWriter {
    sink: Sink,
    state: Mutex<WriterState>,
    congested: Condvar,
    coalescing: WriteCoalescing,
    /// Whether another thread is about to call `flush`.
    is_flush_due: AtomicBool,
    pub(crate) send_buffer: SendBufferLimit,
}

/// More answers wait for the socket than the writer keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyAnswers;

#[derive(Default)]
struct WriterState {
    /// The frames that no thread has begun to write, and the rest of what the socket did not
    /// accept.
    pending: OutgoingFrames,
    /// The octets of answers that were accepted since the socket accepted all pending frames.
    answers: usize,
    /// Whether a thread is writing. That thread also writes the pending frames.
    writing: bool,
    /// Whether the thread that is writing is the writer thread.
    congested: bool,
    has_writer: bool,
    /// The channels that are open from the view of the broker, with the number of their opening.
    open: HashMap<u16, u64>,
    openings: u64,
    /// Whether channels may neither open nor send.
    sealed: bool,
    /// Whether nothing more is sent.
    ended: bool,
    /// Whether the thread that writes the last frame shuts the socket down.
    shuts_down: bool,
}

/// Identifies one opening of a channel. A later channel of the same number is another opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelOpening {
    pub(crate) channel: u16,
    number: u64,
}

impl SocketWriter {
    pub(crate) fn new(sink: Sink) -> SocketWriter {
        SocketWriter {
            sink,
            state: Mutex::default(),
            congested: Condvar::new(),
            coalescing: WriteCoalescing::default(),
            is_flush_due: AtomicBool::new(false),
            send_buffer: SendBufferLimit::default(),
        }
    }

    /// Sends whole frames of channel 0. Accepts them even while the socket is full: they are few,
    /// and waiting until all else is written may take forever.
    pub(crate) fn write(self: &Arc<SocketWriter>, bytes: &[u8]) -> io::Result<()> {
        let state = lock(&self.state);
        if state.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.dispatch(state, OutgoingFrames::from(bytes.to_vec()))
    }

    /// Sends whole frames of a channel. `make` creates them, in the order in which they leave.
    ///
    /// Returns `None` if the channel is closed. If the connection turns out to be lost, the frames
    /// are dropped; every caller hears of the loss in another way.
    pub(crate) fn send<T>(
        self: &Arc<SocketWriter>,
        opening: ChannelOpening,
        make: impl FnOnce() -> (OutgoingFrames, T),
    ) -> Option<T> {
        let state = lock(&self.state);
        if !state.is_open(opening) {
            return None;
        }
        let (frames, made) = make();
        let _ = self.dispatch(state, frames);
        Some(made)
    }

    /// Sends frames as [`send`](SocketWriter::send) does, which the send buffer has counted as this
    /// number of bytes. If they do not leave, they no longer count.
    pub(crate) fn send_counted<T>(
        self: &Arc<SocketWriter>,
        opening: ChannelOpening,
        bytes: usize,
        make: impl FnOnce() -> (OutgoingFrames, T),
    ) -> Option<T> {
        let made = self.send(opening, make);
        if made.is_none() {
            self.send_buffer.left(bytes);
        }
        made
    }

    /// Sends the last frames of a channel as [`send`](SocketWriter::send) does. Returns whether the
    /// channel was open.
    pub(crate) fn send_last(
        self: &Arc<SocketWriter>,
        opening: ChannelOpening,
        make: impl FnOnce() -> Vec<u8>,
    ) -> bool {
        let mut state = lock(&self.state);
        if !state.is_open(opening) {
            return false;
        }
        state.open.remove(&opening.channel);
        let _ = self.dispatch(state, OutgoingFrames::from(make()));
        true
    }

    /// Opens a channel with these frames. Returns `None` if the connection has ended or is sealed.
    pub(crate) fn open(
        self: &Arc<SocketWriter>,
        channel: u16,
        frames: Vec<u8>,
    ) -> Option<ChannelOpening> {
        let mut state = lock(&self.state);
        if state.ended || state.sealed {
            return None;
        }
        state.openings += 1;
        let opening = ChannelOpening { channel, number: state.openings };
        state.open.insert(channel, opening.number);
        let _ = self.dispatch(state, OutgoingFrames::from(frames));
        Some(opening)
    }

    /// Accepts whole frames without writing them. The caller makes another thread call
    /// [`flush`](SocketWriter::flush).
    pub(crate) fn hand_over(&self, bytes: Vec<u8>) {
        let mut state = lock(&self.state);
        if !state.ended {
            state.pending.append(OutgoingFrames::from(bytes));
        }
    }

    /// Accepts frames of the connection as [`hand_over`](SocketWriter::hand_over) does. Returns
    /// false if the connection has ended or is sealed.
    pub(crate) fn hand_over_unless_sealed(&self, bytes: Vec<u8>) -> bool {
        let mut state = lock(&self.state);
        let is_open = !state.ended && !state.sealed;
        if is_open {
            state.pending.append(OutgoingFrames::from(bytes));
        }
        is_open
    }

    /// Accepts answers of a channel as [`hand_over`](SocketWriter::hand_over) does. Returns whether
    /// the channel is open.
    pub(crate) fn hand_over_on(
        &self,
        opening: ChannelOpening,
        bytes: Vec<u8>,
    ) -> Result<bool, TooManyAnswers> {
        let mut state = lock(&self.state);
        if !state.is_open(opening) {
            return Ok(false);
        }
        if !state.writing && state.pending.is_empty() {
            state.answers = 0;
        }
        state.answers += bytes.len();
        if state.answers > MAX_ANSWERS {
            return Err(TooManyAnswers);
        }
        state.pending.append(OutgoingFrames::from(bytes));
        Ok(true)
    }

    /// Accepts the last frame of a channel as [`hand_over`](SocketWriter::hand_over) does. Returns
    /// whether the channel was open.
    pub(crate) fn hand_over_last(&self, channel: u16, bytes: Vec<u8>) -> bool {
        let mut state = lock(&self.state);
        let was_open = state.open.remove(&channel).is_some();
        if !state.ended {
            state.pending.append(OutgoingFrames::from(bytes));
        }
        was_open
    }

    /// Returns whether the caller has to make another thread call [`flush`](SocketWriter::flush).
    /// One call writes all frames that were accepted before it.
    pub(crate) fn begin_flush(&self) -> bool {
        !self.is_flush_due.swap(true, Ordering::AcqRel)
    }

    /// Writes the pending frames, unless another thread is writing.
    pub(crate) fn flush(self: &Arc<SocketWriter>) {
        self.is_flush_due.store(false, Ordering::Release);
        let mut state = lock(&self.state);
        if state.writing || state.ended || state.pending.is_empty() {
            return;
        }
        state.writing = true;
        drop(state);
        let _ = self.write_for_all(OutgoingFrames::default());
    }

    /// Stops all channels from sending. Frames of channel 0 still leave.
    pub(crate) fn seal(&self) {
        let mut state = lock(&self.state);
        state.sealed = true;
        state.open.clear();
        drop(state);
        self.send_buffer.close();
    }

    /// Shuts the socket down as soon as no frame is pending.
    pub(crate) fn shut_down_when_sent(self: &Arc<SocketWriter>) {
        lock(&self.state).shuts_down = true;
        self.flush();
        let state = lock(&self.state);
        if !state.writing {
            drop(state);
            self.shut_down();
        }
    }

    /// Shuts the socket down, so that the reader ends.
    pub(crate) fn shut_down(&self) {
        let _ = self.sink.socket().shutdown(Shutdown::Both);
    }

    /// Stops all sending. What the socket accepts without blocking still leaves.
    pub(crate) fn end(self: &Arc<SocketWriter>) {
        let mut state = lock(&self.state);
        state.ended = true;
        state.open.clear();
        let others_write = mem::replace(&mut state.writing, true);
        drop(state);
        if !others_write {
            let _ = self.write_for_all(OutgoingFrames::default());
        }
        self.congested.notify_all();
        self.send_buffer.close();
    }

    /// Collects the frames that other threads send during `work`, and writes them together after
    /// it.
    ///
    /// Use it where threads wake that are likely to send. `work` returns the number of messages to
    /// expect; the call waits for them, at most 100 microseconds. The broker handles one large
    /// segment in less time than many small ones.
    pub(crate) fn coalesce(self: &Arc<SocketWriter>, work: impl FnOnce() -> usize) {
        let mut state = lock(&self.state);
        self.coalescing.begin();
        let others_write = mem::replace(&mut state.writing, true);
        drop(state);
        let expected = work();
        if others_write {
            return;
        }
        self.coalescing.wait_for(expected, LONGEST_WAIT);
        let _ = self.write_for_all(OutgoingFrames::default());
    }

    fn dispatch(
        self: &Arc<SocketWriter>,
        mut state: MutexGuard<'_, WriterState>,
        frames: OutgoingFrames,
    ) -> io::Result<()> {
        state.pending.append(frames);
        if state.writing {
            self.coalescing.sent(state.pending.len());
            return Ok(());
        }
        let frames = mem::take(&mut state.pending);
        if frames.is_empty() {
            return Ok(());
        }
        state.writing = true;
        drop(state);
        self.write_for_all(frames)
    }

    /// Writes frames, and then the pending ones, until none is left or the writer thread has to
    /// continue.
    fn write_for_all(self: &Arc<SocketWriter>, mut frames: OutgoingFrames) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let result = self.write_out(&mut frames);
            let mut state = lock(&self.state);
            match result {
                Ok(()) if state.pending.is_empty() => {
                    state.writing = false;
                    if state.shuts_down {
                        drop(state);
                        self.shut_down();
                    }
                    return Ok(());
                }
                Ok(()) => {
                    state.answers = 0;
                    frames = mem::take(&mut state.pending);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    drop(state);
                    self.fail(&error);
                    return Err(error);
                }
            }
        }
        self.leave_to_writer(frames)
    }

    fn leave_to_writer(self: &Arc<SocketWriter>, frames: OutgoingFrames) -> io::Result<()> {
        let mut state = lock(&self.state);
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

    /// Writes the pending frames whenever the socket accepts more.
    fn write_on(self: &Arc<SocketWriter>, poll: &Poll) -> io::Result<()> {
        let mut events = Events::with_capacity(1);
        loop {
            let mut state = lock(&self.state);
            while !state.congested && !state.ended {
                state = self.congested.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !state.congested {
                return Ok(());
            }
            if state.pending.is_empty() {
                (state.congested, state.writing) = (false, false);
                if state.shuts_down {
                    drop(state);
                    self.shut_down();
                }
                continue;
            }
            let mut frames = mem::take(&mut state.pending);
            drop(state);
            let result = self.write_out(&mut frames);
            let mut state = lock(&self.state);
            if frames.is_empty() {
                state.answers = 0;
            }
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

    fn fail(&self, error: &io::Error) {
        debug!("writing to the socket failed: {error}");
        self.give_up();
    }

    /// Drops the pending frames, and shuts the socket down.
    fn give_up(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        state.open.clear();
        state.writing = false;
        state.congested = false;
        let dropped = mem::take(&mut state.pending);
        drop(state);
        drop(dropped);
        self.shut_down();
        self.send_buffer.close();
    }

    fn start_writer(self: &Arc<SocketWriter>) -> io::Result<()> {
        let socket = mio::net::TcpStream::from_stream(self.sink.socket().try_clone()?)?;
        let poll = Poll::new()?;
        poll.register(&socket, Token(0), Ready::writable(), PollOpt::edge())?;
        let writer = Arc::clone(self);
        thread::Builder::new().name("carrot-writer".to_string()).spawn(move || {
            let _registered = socket;
            if let Err(error) = writer.write_on(&poll) {
                writer.fail(&error);
            }
        })?;
        Ok(())
    }

    /// Writes until all frames have left.
    ///
    /// Fails with `WouldBlock` if the socket is full.
    fn write_out(&self, frames: &mut OutgoingFrames) -> io::Result<()> {
        while !frames.is_empty() {
            match self.sink.write(frames) {
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

impl WriterState {
    fn is_open(&self, opening: ChannelOpening) -> bool {
        self.open.get(&opening.channel) == Some(&opening.number)
    }

    /// Puts back frames that were not written, before those that were sent after them.
    fn keep_before(&mut self, mut frames: OutgoingFrames) {
        frames.append(mem::take(&mut self.pending));
        self.pending = frames;
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
