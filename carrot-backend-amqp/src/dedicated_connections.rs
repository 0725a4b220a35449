//! Connections with one channel each, for consumers without a prefetch.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use carrot_core::{ConnectionOptions, Error, Result};

use crate::channel::OpenChannel;
use crate::connection::{AmqpConnection, CallIsolation, ConnectAttempt, RoleContext};
use crate::sync::lock;

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
    attempts: Vec<Weak<ConnectAttempt>>,
    open: Vec<DedicatedConnection>,
}

struct DedicatedConnection {
    connection: Weak<AmqpConnection>,
    /// Empty until the channel is open.
    channel: Weak<OpenChannel>,
}

impl DedicatedConnections {
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
        let connection = self.connect(options, context, timeout, deadline)?;
        let opened = OpenChannel::open(&connection, is_confirming, timeout, deadline);
        let mut state = lock(&self.state);
        if state.is_closed {
            drop(state);
            return Err(Error::closed("connection"));
        }
        let channel = opened?;
        let mut open = state.open.iter_mut();
        if let Some(entry) =
            open.find(|entry| entry.connection.as_ptr() == Arc::as_ptr(&connection))
        {
            entry.channel = Arc::downgrade(&channel);
        }
        Ok(channel)
    }

    /// Opens a connection. Fails soon if [`end`](DedicatedConnections::end) is called meanwhile.
    fn connect(
        &self,
        options: &Arc<ConnectionOptions>,
        context: RoleContext,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Arc<AmqpConnection>> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(Error::closed("connection"));
        }
        let attempt = Arc::new(ConnectAttempt::new(state.opened));
        state.attempts.retain(|attempt| attempt.strong_count() > 0);
        state.attempts.push(Arc::downgrade(&attempt));
        drop(state);
        let connected = AmqpConnection::open(options, context, &attempt, timeout, deadline);
        let mut state = lock(&self.state);
        if state.is_closed {
            drop(state);
            return Err(Error::closed("connection"));
        }
        let connection = connected?;
        state.opened = true;
        state.open.retain(|entry| entry.connection.strong_count() > 0);
        let entry =
            DedicatedConnection { connection: Arc::downgrade(&connection), channel: Weak::new() };
        state.open.push(entry);
        drop(state);
        connection.state().announce();
        Ok(connection)
    }

    /// Returns the connections that are open.
    pub(crate) fn live(&self) -> Vec<Arc<AmqpConnection>> {
        let state = lock(&self.state);
        let connections = state.open.iter().filter_map(|entry| entry.connection.upgrade());
        connections.filter(|connection| connection.state().is_alive()).collect()
    }

    /// Opens no more connections, abandons those that are being opened, and returns those that are
    /// open, with their channels.
    pub(crate) fn end(&self) -> Vec<EndedConnection> {
        let mut state = lock(&self.state);
        state.is_closed = true;
        let open = std::mem::take(&mut state.open);
        let attempts = std::mem::take(&mut state.attempts);
        drop(state);
        for attempt in attempts.iter().filter_map(Weak::upgrade) {
            attempt.abandon();
        }
        open.iter()
            .map(|entry| {
                (entry.connection.upgrade(), entry.channel.upgrade().into_iter().collect())
            })
            .collect()
    }
}
