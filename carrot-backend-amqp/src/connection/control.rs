//! Channel 0, which amiquip keeps: handshake, heartbeats, and the orderly end.
//!
//! No other module of the driver names amiquip, apart from the pipe and the texts of its errors.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use amiquip::ConnectionTuning;
use carrot_amqp_wire::HEARTBEAT;

use super::pipe::{Pipe, PipeInbox};
use crate::sync::lock;

/// The maximum time that amiquip's thread takes to end after its pipe has ended.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Stands for the credentials where amiquip can see them. The pipe sends the true ones.
#[derive(Debug, Clone, Default)]
struct NoCredentials(&'static str);

impl amiquip::Sasl for NoCredentials {
    fn mechanism(&self) -> String {
        self.0.to_string()
    }

    fn response(&self) -> String {
        "***".to_string()
    }
}

/// The connection as amiquip keeps it.
pub(crate) struct Control {
    inbox: Arc<PipeInbox>,
    state: Mutex<ControlState>,
}

struct ControlState {
    connection: Option<amiquip::Connection>,
    phase: ControlPhase,
}

/// amiquip panics if this side closes in the same moment as the broker, so one of the two is kept
/// from it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ControlPhase {
    Open,
    /// This side closes.
    Closing,
    /// The broker closes.
    ClosedByBroker,
}

impl Control {
    pub(crate) fn new(inbox: Arc<PipeInbox>) -> Control {
        let state = ControlState { connection: None, phase: ControlPhase::Open };
        Control { inbox, state: Mutex::new(state) }
    }

    /// Completes the handshake. The reader tunes the connection, and amiquip repeats its numbers.
    ///
    /// Blocks until the broker has opened the virtual host. No step takes longer than `silence`.
    pub(crate) fn connect(
        &self,
        pipe: Pipe,
        mechanism: &'static str,
        virtual_host: &str,
        silence: Duration,
    ) -> Result<(), amiquip::Error> {
        let options = amiquip::ConnectionOptions::default()
            .auth(NoCredentials(mechanism))
            .virtual_host(virtual_host)
            .channel_max(0)
            .frame_max(0)
            .heartbeat(u16::MAX)
            .connection_timeout(Some(silence));
        let tuning = ConnectionTuning::default();
        let connection = amiquip::Connection::insecure_open_stream(pipe, options, tuning)?;
        lock(&self.state).connection = Some(connection);
        Ok(())
    }

    /// Returns whether amiquip has ended before the broker. During the handshake, that is a
    /// timeout, which amiquip reports as refused credentials.
    pub(crate) fn is_given_up(&self) -> bool {
        self.inbox.is_given_up()
    }

    /// Passes a frame of channel 0 that amiquip can read. Returns false if too many wait.
    pub(crate) fn give(&self, frame: &[u8]) -> bool {
        self.inbox.push(frame)
    }

    /// Shows amiquip that the broker is alive.
    pub(crate) fn heartbeat(&self) -> bool {
        self.inbox.push(&HEARTBEAT)
    }

    /// Passes connection.close of the broker. Returns whether amiquip answers it.
    ///
    /// If this side closes, too, amiquip reads `close_ok` instead, and ends.
    pub(crate) fn closed_by_broker(&self, close: &[u8], close_ok: &[u8]) -> bool {
        let mut state = lock(&self.state);
        match state.phase {
            ControlPhase::Open => {
                state.phase = ControlPhase::ClosedByBroker;
                self.inbox.push(close)
            }
            ControlPhase::Closing | ControlPhase::ClosedByBroker => {
                self.inbox.push_close_ok(close_ok);
                false
            }
        }
    }

    /// Passes connection.close-ok of the broker. Returns false if this side has not closed.
    pub(crate) fn close_ok(&self, close_ok: &[u8]) -> bool {
        let is_closing = lock(&self.state).phase == ControlPhase::Closing;
        if is_closing {
            self.inbox.push_close_ok(close_ok);
        }
        is_closing
    }

    /// Closes the connection in an orderly way.
    ///
    /// Blocks until the broker has answered, or until the reader has ended. Returns `None` if the
    /// connection ends otherwise.
    pub(crate) fn close(&self) -> Option<Result<(), amiquip::Error>> {
        let mut state = lock(&self.state);
        if state.phase != ControlPhase::Open {
            return None;
        }
        state.phase = ControlPhase::Closing;
        let connection = state.connection.take()?;
        drop(state);
        Some(connection.close())
    }

    /// Ends amiquip after the reader has ended, and returns the reason that amiquip knows.
    ///
    /// Blocks until amiquip's thread has ended, at most for a second.
    pub(crate) fn cause(&self) -> Option<Result<(), amiquip::Error>> {
        self.inbox.end();
        let has_ended = self.inbox.wait_for_drop(Instant::now() + END_WITHIN);
        let connection = lock(&self.state).connection.take()?;
        if has_ended {
            return Some(connection.close());
        }
        // Dropping it waits for the thread.
        let _ = thread::Builder::new().name("carrot-close".into()).spawn(move || drop(connection));
        None
    }
}
