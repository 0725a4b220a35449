//! The stream that amiquip reads and writes in place of the socket.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mio::{Evented, Poll, PollOpt, Ready, Registration, SetReadiness, Token};

use crate::outlet::Outlet;

/// The maximum number of octets that wait for amiquip. A peer that sends more on channel 0 at once
/// loses the connection.
const MAX_WAITING: usize = 256 << 10;

/// The class and the number of connection.start-ok, at the start of a payload.
const START_OK: [u8; 4] = [0, 10, 0, 11];
const FRAME_HEAD: usize = 7;

/// The octets on their way from the reader to amiquip.
pub(crate) struct PipeInbox {
    state: Mutex<InboxState>,
    changed: Condvar,
    /// Changed only under the lock of `state`, so that a change is never lost.
    readiness: SetReadiness,
}

#[derive(Default)]
struct InboxState {
    octets: VecDeque<u8>,
    /// Whether the reader has ended.
    is_ended: bool,
    /// Whether amiquip has dropped the pipe.
    is_dropped: bool,
}

impl PipeInbox {
    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds whole frames. Returns false if too many octets wait.
    pub(crate) fn push(&self, frames: &[u8]) -> bool {
        let mut state = self.lock();
        if state.is_dropped || state.is_ended {
            return true;
        }
        if state.octets.len() + frames.len() > MAX_WAITING {
            return false;
        }
        state.octets.extend(frames);
        self.wake();
        true
    }

    /// Ends the pipe. amiquip reads the rest, and then the end of the stream.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.is_ended = true;
        self.wake();
    }

    /// Waits until amiquip has dropped the pipe. Returns false if `deadline` passes first.
    pub(crate) fn wait_for_drop(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while !state.is_dropped {
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            let waited = self.changed.wait_timeout(state, deadline - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn wake(&self) {
        let _ = self.readiness.set_readiness(Ready::readable() | Ready::writable());
    }
}

impl fmt::Debug for PipeInbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        formatter
            .debug_struct("PipeInbox")
            .field("waiting", &state.octets.len())
            .field("is_ended", &state.is_ended)
            .finish_non_exhaustive()
    }
}

/// The stream. amiquip owns it, and drops it when its thread ends.
pub(crate) struct Pipe {
    inbox: Arc<PipeInbox>,
    registration: Registration,
    outlet: Arc<Outlet>,
    socket: TcpStream,
    /// The frame to send in place of amiquip's connection.start-ok, which holds no credentials.
    start_ok: Vec<u8>,
}

impl Pipe {
    /// Creates a pipe, and the end of it that the reader keeps.
    pub(crate) fn new(
        outlet: Arc<Outlet>,
        socket: TcpStream,
        start_ok: Vec<u8>,
    ) -> (Pipe, Arc<PipeInbox>) {
        let (registration, readiness) = Registration::new2();
        let _ = readiness.set_readiness(Ready::writable());
        let inbox =
            Arc::new(PipeInbox { state: Mutex::default(), changed: Condvar::new(), readiness });
        (Pipe { inbox: Arc::clone(&inbox), registration, outlet, socket, start_ok }, inbox)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.inbox.lock();
        if state.octets.is_empty() {
            if state.is_ended {
                return Ok(0);
            }
            self.inbox.readiness.set_readiness(Ready::writable())?;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.octets.read(buffer)
    }
}

/// Takes whole frames, because amiquip writes its whole buffer at once.
impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.get(FRAME_HEAD..FRAME_HEAD + START_OK.len()) {
            // The handshake waits for the answer, so nothing follows this frame.
            Some(method) if method == START_OK => self.outlet.write(&self.start_ok)?,
            _ => self.outlet.write(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Evented for Pipe {
    fn register(&self, poll: &Poll, token: Token, ready: Ready, how: PollOpt) -> io::Result<()> {
        self.registration.register(poll, token, ready, how)
    }

    fn reregister(&self, poll: &Poll, token: Token, ready: Ready, how: PollOpt) -> io::Result<()> {
        self.registration.reregister(poll, token, ready, how)
    }

    fn deregister(&self, poll: &Poll) -> io::Result<()> {
        Evented::deregister(&self.registration, poll)
    }
}

impl amiquip::IoStream for Pipe {}

/// amiquip's thread has ended, and the connection with it. The reader sees the end of the socket.
impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = self.inbox.lock();
        state.is_dropped = true;
        let is_ended = state.is_ended;
        drop(state);
        self.inbox.changed.notify_all();
        // A reader that has ended shuts the socket down itself, after the last frame was sent.
        if !is_ended {
            self.outlet.flush();
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}
