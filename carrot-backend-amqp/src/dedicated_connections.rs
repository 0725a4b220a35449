//! Connections with one channel each, for consumers without a prefetch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use carrot_core::{ConnectionOptions, Error, Result};

use crate::channel::OpenChannel;
use crate::connection::{AmqpConnection, CallIsolation, ConnectAttempt, RoleContext};
use crate::time::deadline_after;

/// A connection that is about to be closed, and its channels.
type EndedConnection = (Option<Arc<AmqpConnection>>, Vec<Arc<OpenChannel>>);

/// The connections that each have one channel, and end with it.
#[derive(Default)]
pub(crate) struct DedicatedConnections {
    state: Mutex<DedicatedState>,
    pub(crate) isolation: Arc<CallIsolation>,
}

#[derive(Default)]
struct DedicatedState {
    is_closed: bool,
    /// Whether a connection was opened before.
    opened: bool,
    open: Vec<(Weak<AmqpConnection>, Weak<OpenChannel>)>,
}

impl DedicatedConnections {
    fn lock(&self) -> MutexGuard<'_, DedicatedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a connection, and a channel on it.
    ///
    /// Blocks at most until `deadline`.
    pub(crate) fn open(
        &self,
        options: &Arc<ConnectionOptions>,
        context: RoleContext,
        is_confirming: bool,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Arc<OpenChannel>> {
        let state = self.lock();
        if state.is_closed {
            return Err(Error::closed("connection"));
        }
        let attempt = Arc::new(ConnectAttempt::new(state.opened));
        drop(state);
        let connect_timeout = timeout.min(options.connect_timeout);
        let connect_by = deadline.min(deadline_after(connect_timeout));
        let connection =
            AmqpConnection::open(options, context, &attempt, connect_timeout, connect_by)?;
        connection.state().announce();
        let channel = OpenChannel::open(&connection, is_confirming, timeout, deadline)?;
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            return Err(Error::closed("connection"));
        }
        state.opened = true;
        state.open.retain(|(connection, _)| connection.strong_count() > 0);
        state.open.push((Arc::downgrade(&connection), Arc::downgrade(&channel)));
        Ok(channel)
    }

    /// Returns the connections that are open.
    pub(crate) fn live(&self) -> Vec<Arc<AmqpConnection>> {
        let state = self.lock();
        let connections = state.open.iter().filter_map(|(connection, _)| connection.upgrade());
        connections.filter(|connection| connection.state().is_alive()).collect()
    }

    /// Opens no more connections, and returns those that are open, with their channels.
    pub(crate) fn end(&self) -> Vec<EndedConnection> {
        let mut state = self.lock();
        state.is_closed = true;
        let open = std::mem::take(&mut state.open);
        drop(state);
        open.iter()
            .map(|(connection, channel)| {
                (connection.upgrade(), channel.upgrade().into_iter().collect())
            })
            .collect()
    }
}
