//! An attempt to connect that another thread waits for.

use crate::sync::lock;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;

/// An attempt to connect, as the thread that waits for it sees it.
#[derive(Debug, Default)]
pub(crate) struct ConnectAttempt {
    /// Whether the credentials were accepted before.
    pub(crate) accepted_before: bool,
    state: Mutex<AttemptState>,
}

#[derive(Debug, Default)]
struct AttemptState {
    socket: Option<TcpStream>,
    step: String,
    abandoned: bool,
}

impl ConnectAttempt {
    pub(crate) fn new(accepted_before: bool) -> ConnectAttempt {
        ConnectAttempt { accepted_before, state: Mutex::default() }
    }

    /// Abandons the attempt. It fails soon, and its result is dropped.
    pub(crate) fn abandon(&self) {
        let mut state = lock(&self.state);
        state.abandoned = true;
        if let Some(socket) = state.socket.take() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        lock(&self.state).abandoned
    }

    pub(crate) fn step(&self, step: String) {
        lock(&self.state).step = step;
    }

    /// Returns the step that was begun last.
    pub(crate) fn current_step(&self) -> String {
        lock(&self.state).step.clone()
    }

    /// Registers the socket that `abandon` shuts down.
    pub(crate) fn expose(&self, socket: &TcpStream) -> io::Result<()> {
        let clone = socket.try_clone()?;
        let mut state = lock(&self.state);
        if state.abandoned {
            return Err(io::ErrorKind::TimedOut.into());
        }
        state.socket = Some(clone);
        Ok(())
    }
}
