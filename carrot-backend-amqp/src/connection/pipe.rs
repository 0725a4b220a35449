//! The stream that amiquip reads and writes in place of the socket.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use carrot_amqp_wire::FRAME_OVERHEAD;
use mio::{Evented, Poll, PollOpt, Ready, Registration, SetReadiness, Token};

use super::writer::SocketWriter;
use crate::sync::{lock, wait_while};

/// The maximum number of octets that wait for amiquip. A peer that sends more on channel 0 at once
/// loses the connection.
const MAX_WAITING: usize = 256 << 10;

/// The classes and the numbers of methods, at the start of a payload.
const START_OK: [u8; 4] = [0, 10, 0, 11];
const CLOSE: [u8; 4] = [0, 10, 0, 50];
const CLOSE_OK: [u8; 4] = [0, 10, 0, 51];
const FRAME_HEAD: usize = 7;
const PROTOCOL_HEADER: usize = 8;

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
    /// Whether amiquip has dropped the pipe before the reader has ended.
    is_given_up: bool,
    /// Whether amiquip has written connection.close. It panics if it reads close-ok before.
    has_written_close: bool,
    /// The close-ok that amiquip reads once it has written connection.close.
    close_ok: Option<Vec<u8>>,
}

impl PipeInbox {
    /// Adds whole frames. Returns false if too many octets wait.
    pub(crate) fn push(&self, frames: &[u8]) -> bool {
        let mut state = lock(&self.state);
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

    /// Adds connection.close-ok of the broker, after connection.close was written.
    pub(crate) fn push_close_ok(&self, frame: &[u8]) {
        let mut state = lock(&self.state);
        if state.has_written_close {
            state.octets.extend(frame);
            self.wake();
        } else {
            state.close_ok = Some(frame.to_vec());
        }
    }

    /// Notes that amiquip writes connection.close. Returns whether the frame has to be sent.
    fn writes_close(&self) -> bool {
        let mut state = lock(&self.state);
        state.has_written_close = true;
        match state.close_ok.take() {
            None => true,
            // The broker closes, too, and has its answer.
            Some(frame) => {
                state.octets.extend(frame);
                self.wake();
                false
            }
        }
    }

    /// Ends the pipe. amiquip reads the rest, and then the end of the stream.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        state.is_ended = true;
        self.wake();
    }

    /// Returns whether amiquip has ended before the reader.
    pub(crate) fn is_given_up(&self) -> bool {
        lock(&self.state).is_given_up
    }

    /// Waits until amiquip has dropped the pipe. Returns false if `deadline` passes first.
    pub(crate) fn wait_for_drop(&self, deadline: Instant) -> bool {
        let is_busy = |state: &InboxState| !state.is_dropped;
        wait_while(&self.changed, lock(&self.state), deadline, is_busy).is_some()
    }

    fn wake(&self) {
        let _ = self.readiness.set_readiness(Ready::readable() | Ready::writable());
    }
}

/// The stream. amiquip owns it, and drops it when its thread ends.
pub(crate) struct Pipe {
    inbox: Arc<PipeInbox>,
    registration: Registration,
    writer: Arc<SocketWriter>,
    /// The frame to send in place of amiquip's connection.start-ok, which holds no credentials.
    start_ok: Vec<u8>,
    /// Whether amiquip has answered connection.close of the broker.
    has_answered_close: bool,
    /// Whether the socket has failed. amiquip then ends because of the broker.
    has_failed: bool,
}

impl Pipe {
    /// Creates a pipe, and the end of it that the reader keeps.
    pub(crate) fn new(writer: Arc<SocketWriter>, start_ok: Vec<u8>) -> (Pipe, Arc<PipeInbox>) {
        let (registration, readiness) = Registration::new2();
        let _ = readiness.set_readiness(Ready::writable());
        let inbox =
            Arc::new(PipeInbox { state: Mutex::default(), changed: Condvar::new(), readiness });
        (
            Pipe {
                inbox: Arc::clone(&inbox),
                registration,
                writer,
                start_ok,
                has_answered_close: false,
                has_failed: false,
            },
            inbox,
        )
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = lock(&self.inbox.state);
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
        let mut sent = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while !rest.is_empty() {
            let (frame, later) = rest.split_at(first_frame(rest));
            let method = frame.get(FRAME_HEAD..FRAME_HEAD + START_OK.len());
            if method.is_some_and(|method| method == CLOSE || method == CLOSE_OK) {
                self.writer.seal();
            }
            self.has_answered_close |= method.is_some_and(|method| method == CLOSE_OK);
            match method {
                Some(method) if method == START_OK => sent.extend_from_slice(&self.start_ok),
                Some(method) if method == CLOSE && !self.inbox.writes_close() => {}
                _ => sent.extend_from_slice(frame),
            }
            rest = later;
        }
        if !sent.is_empty() {
            self.writer.write(&sent).inspect_err(|_| self.has_failed = true)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the length of the frame, or of the protocol header, at the start of `bytes`.
fn first_frame(bytes: &[u8]) -> usize {
    let size = match bytes {
        [b'A', ..] => PROTOCOL_HEADER,
        [_, _, _, a, b, c, d, ..] => FRAME_OVERHEAD + u32::from_be_bytes([*a, *b, *c, *d]) as usize,
        _ => bytes.len(),
    };
    size.min(bytes.len())
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
        let mut state = lock(&self.inbox.state);
        state.is_dropped = true;
        let is_ended = state.is_ended;
        state.is_given_up = !is_ended && !self.has_failed;
        drop(state);
        self.inbox.changed.notify_all();
        // A reader that has ended shuts the socket down itself, after the last frame was sent.
        if is_ended {
            return;
        }
        if self.has_answered_close {
            // Another thread may still be writing frames before close-ok, and close-ok itself.
            self.writer.shut_down_when_sent();
        } else {
            self.writer.flush();
            self.writer.shut_down();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_amiquip_are_split_at_their_heads() {
        let heartbeat = [8, 0, 0, 0, 0, 0, 0, 0xCE];
        let close = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 50, 0xCE];
        assert_eq!(first_frame(&[&heartbeat[..], &close].concat()), 8);
        assert_eq!(first_frame(&[&close[..], &heartbeat].concat()), 12);
        assert_eq!(first_frame(b"AMQP\0\0\x09\x01"), 8);
        assert_eq!(first_frame(&close[..5]), 5);
    }
}
