//! The life of a connection: its end, and the entries that end with it.

use std::fmt::Display;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use carrot_core::backend::{Event, EventObservers, Role};
use carrot_core::{Error, Result};
use carrot_listener::{PeerStream, lock, wait_until};

/// The time that a broker has to read the last messages, and to close the socket.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// The life of a connection, with the entries that last as long: calls, channels, consumers.
#[derive(Debug)]
pub struct LinkLife<T> {
    role: Role,
    endpoint: String,
    observers: Arc<EventObservers>,
    state: Mutex<LifeState<T>>,
    /// Wakes the writer, which waits for the end of the connection.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct LifeState<T> {
    failure: Option<Error>,
    /// Whether this program closes the connection, whose end is no event then.
    is_closing: bool,
    entries: T,
}

impl<T: Default> LinkLife<T> {
    /// Begins the life of a connection to an address.
    pub fn new(role: Role, endpoint: String, observers: &Arc<EventObservers>) -> LinkLife<T> {
        let observers = Arc::clone(observers);
        LinkLife { role, endpoint, observers, state: Mutex::default(), ended: Condvar::new() }
    }

    /// Returns the role of the connection.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Uses the entries under their lock.
    pub fn entries<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut lock(&self.state).entries)
    }

    /// Changes the entries under their lock.
    ///
    /// # Errors
    /// The error over which the connection has ended.
    pub fn add(&self, act: impl FnOnce(&mut T)) -> Result<()> {
        let mut state = lock(&self.state);
        state.failure.clone().map_or(Ok(()), Err)?;
        act(&mut state.entries);
        Ok(())
    }

    /// Reports an event of the connection.
    pub fn report(&self, event: Event) {
        self.observers.report(event);
    }

    /// Reports that the connection is open.
    pub fn report_open(&self) {
        self.report(Event::Connected { role: self.role });
    }

    /// Notes that this program closes the connection, whose end is no event then.
    pub fn note_closing(&self) {
        lock(&self.state).is_closing = true;
    }

    /// Returns the error over which the connection has ended, if it has.
    pub fn failure(&self) -> Option<Error> {
        lock(&self.state).failure.clone()
    }

    /// Returns whether the connection has not ended.
    pub fn is_open(&self) -> bool {
        lock(&self.state).failure.is_none()
    }

    /// Returns the error of a connection that was lost for this reason.
    pub fn loss(&self, reason: impl Display) -> Error {
        Error::disconnected(format!("{}: {reason}", self.endpoint))
    }

    /// Ends the connection, unless it has ended. Calls `end` with the error and the entries, with
    /// no lock held, and then reports the loss.
    pub fn end(&self, error: &Error, end: impl FnOnce(&Error, T)) {
        let mut state = lock(&self.state);
        if state.failure.is_some() {
            return;
        }
        let is_closing = state.is_closing;
        // The broker may close the socket before the thread that closes has its answer.
        let closed = Error::closed("connection");
        let error = if is_closing { &closed } else { error };
        state.failure = Some(error.clone());
        let entries = std::mem::take(&mut state.entries);
        drop(state);
        self.ended.notify_all();
        end(error, entries);
        if !is_closing {
            log::debug!("a connection was lost: {error}");
            self.report(Event::Disconnected { role: self.role, error: error.clone() });
        }
    }

    /// Ends the socket after the last message. The reader continues: if octets of the broker
    /// reached a socket that is closed, the system would discard what is still on its way to the
    /// broker.
    ///
    /// Blocks until the reader has ended the connection, at most for 10 seconds.
    pub fn finish(&self, stream: &PeerStream) {
        stream.shut_down_writing();
        let deadline = Instant::now() + END_TIMEOUT;
        let mut state = lock(&self.state);
        let mut passed = false;
        while state.failure.is_none() && !passed {
            (state, passed) = wait_until(&self.ended, state, deadline);
        }
        drop(state);
        stream.shut_down();
    }
}
