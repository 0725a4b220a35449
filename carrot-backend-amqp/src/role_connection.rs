//! The connection of one role: at most one, and its channels.

use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use carrot_core::backend::{Backend, Capabilities, Status};
use carrot_core::{ConnectionOptions, Error, Result};

use crate::channel::{Channel, OpenChannel};
use crate::connection::{AmqpConnection, CallIsolation, ConnectAttempt, RoleContext};
use crate::sync::{lock, wait_until};

/// The maximum time for which a new connection waits until the loss of the last one was reported.
const REPORTED_WITHIN: Duration = Duration::from_secs(1);

/// At most one connection, and the channels on it.
#[derive(Default)]
pub(crate) struct RoleConnection {
    state: Mutex<RoleState>,
    changed: Condvar,
    pub(crate) isolation: Arc<CallIsolation>,
}

#[derive(Default)]
struct RoleState {
    slot: Slot,
    /// Whether a connection was opened before.
    opened: bool,
    /// The features of the broker, from the last connection.
    capabilities: Option<Capabilities>,
    channels: Vec<Weak<OpenChannel>>,
}

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Opening(Arc<ConnectAttempt>),
    Open(Arc<AmqpConnection>),
    Closed,
}

impl RoleConnection {
    pub(crate) fn status(&self) -> Status {
        match &lock(&self.state).slot {
            Slot::Open(connection) => {
                Status::new(connection.state().is_alive(), connection.state().blocked())
            }
            Slot::Empty | Slot::Opening(_) | Slot::Closed => Status::default(),
        }
    }

    /// Returns the connection, if it is open.
    pub(crate) fn live(&self) -> Result<Option<Arc<AmqpConnection>>> {
        match &lock(&self.state).slot {
            Slot::Open(connection) if connection.state().is_alive() => {
                Ok(Some(Arc::clone(connection)))
            }
            Slot::Closed => Err(Error::closed("connection")),
            Slot::Open(_) | Slot::Empty | Slot::Opening(_) => Ok(None),
        }
    }

    /// Returns the open connection, or a new one; and whether it is new. One thread opens it, and
    /// the others wait.
    pub(crate) fn connection(
        &self,
        options: &Arc<ConnectionOptions>,
        outlives: RoleContext,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<(Arc<AmqpConnection>, bool)> {
        let mut state = lock(&self.state);
        loop {
            match &state.slot {
                Slot::Open(connection) if connection.state().is_alive() => {
                    return Ok((Arc::clone(connection), false));
                }
                Slot::Closed => return Err(Error::closed("connection")),
                Slot::Empty | Slot::Open(_) => break,
                Slot::Opening(_) => {}
            }
            state = wait_until(&self.changed, state, deadline)
                .ok_or_else(|| Error::timeout("opening a connection", timeout))?;
        }
        let attempt = Arc::new(ConnectAttempt::new(state.opened));
        let dead = std::mem::replace(&mut state.slot, Slot::Opening(Arc::clone(&attempt)));
        state.channels.clear();
        drop(state);
        let dead = match dead {
            Slot::Open(connection) => Some(Arc::clone(connection.state())),
            Slot::Empty | Slot::Opening(_) | Slot::Closed => None,
        };

        let opened = AmqpConnection::open(options, outlives, &attempt, timeout, deadline);

        let mut state = lock(&self.state);
        let result = match (&state.slot, opened) {
            (Slot::Closed, opened) => {
                drop(state);
                drop(opened);
                return Err(Error::closed("connection"));
            }
            (_, Ok(connection)) => {
                state.slot = Slot::Open(Arc::clone(&connection));
                state.opened = true;
                state.capabilities = Some(connection.state().features().capabilities);
                Ok((connection, true))
            }
            (_, Err(error)) => {
                state.slot = Slot::Empty;
                Err(error)
            }
        };
        drop(state);
        self.changed.notify_all();
        if let Ok((connection, _)) = &result {
            // Observers hear of the loss before they hear of the next connection.
            if let Some(lost) = dead {
                lost.wait_until_lost(deadline.min(Instant::now() + REPORTED_WITHIN));
            }
            connection.state().announce();
        }
        result
    }

    pub(crate) fn capabilities(&self) -> Option<Capabilities> {
        lock(&self.state).capabilities
    }

    pub(crate) fn keep(&self, channel: Arc<OpenChannel>) -> Result<Arc<dyn Backend>> {
        let mut state = lock(&self.state);
        if matches!(state.slot, Slot::Closed) {
            return Err(Error::closed("connection"));
        }
        state.channels.retain(|channel| channel.strong_count() > 0);
        state.channels.push(Arc::downgrade(&channel));
        Ok(Arc::new(Channel::new(channel)))
    }

    /// Closes the role, and returns its connection and channels.
    pub(crate) fn end(&self) -> (Option<Arc<AmqpConnection>>, Vec<Arc<OpenChannel>>) {
        let mut state = lock(&self.state);
        let slot = std::mem::replace(&mut state.slot, Slot::Closed);
        let channels = std::mem::take(&mut state.channels);
        drop(state);
        self.changed.notify_all();
        let connection = match slot {
            Slot::Open(connection) => Some(connection),
            Slot::Opening(attempt) => {
                attempt.abandon();
                None
            }
            Slot::Empty | Slot::Closed => None,
        };
        (connection, channels.iter().filter_map(Weak::upgrade).collect())
    }
}
