//! One connection, as publishers and consumers use it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Backend, ChannelOptions, Connector, Declare, Delete, QueueInfo};
use crate::config::ConnectionOptions;
use crate::error::Result;
use crate::model::Binding;
use crate::recovery::channel::{Declarations, RecoveringChannel};
use crate::recovery::serial_channel::SerialChannel;
use crate::recovery::shared::ConnectionShared;

/// One connection: the state shared by its publishers and consumers, and a channel for
/// declarations.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) shared: ConnectionShared,
    /// The largest body that a publisher may send, in bytes.
    pub(crate) max_message_size: u64,
    /// Whether publishers and consumers open at their first use.
    pub(crate) lazy: bool,
    pub(crate) administration: SerialChannel,
}

impl ConnectionHandle {
    pub(crate) fn new(
        connector: Arc<dyn Connector>,
        options: &ConnectionOptions,
        lazy: bool,
    ) -> ConnectionHandle {
        let shared = ConnectionShared::new(connector, options);
        let administration =
            SerialChannel::new(shared.clone(), ChannelOptions::consume(), "connection");
        ConnectionHandle {
            shared,
            max_message_size: options.max_message_size,
            lazy,
            administration,
        }
    }

    /// Connects, in one attempt.
    pub(crate) fn open(&self) -> Result<()> {
        self.administration.open()
    }

    /// Connects, in as many attempts as fit before `deadline`.
    pub(crate) fn open_before(&self, deadline: Instant) -> Result<()> {
        self.administration.open_before(deadline)
    }

    /// Creates a channel that is opened at its first use.
    pub(crate) fn recovering_channel<S: Clone>(
        &self,
        options: ChannelOptions,
        owner: &'static str,
        set_up: impl Fn(&Arc<dyn Backend>, Instant, Declarations) -> Result<S> + Send + Sync + 'static,
    ) -> RecoveringChannel<S> {
        RecoveringChannel::new(self.shared.clone(), options, owner, set_up)
    }

    pub(crate) fn declare(&self, entity: Declare<'_>) -> Result<QueueInfo> {
        self.administration.call(|channel, timeout| channel.declare(entity, timeout))
    }

    /// Returns whether a binding exists; `None` if the backend cannot know.
    pub(crate) fn has_binding(&self, binding: &Binding) -> Result<Option<bool>> {
        self.administration.call(|channel, timeout| channel.has_binding(binding, timeout))
    }

    pub(crate) fn delete(&self, entity: Delete<'_>) -> Result<u32> {
        self.administration
            .call(|channel, timeout| channel.delete(entity, timeout))
            .map(|deleted| deleted.message_count)
    }

    pub(crate) fn update_secret(&self, secret: &str, reason: &str) -> Result<()> {
        self.shared.connector.update_secret(secret, reason, self.call_timeout())
    }

    /// Closes the connection, and refuses every further call.
    pub(crate) fn close(&self) -> Result<()> {
        self.shared.close();
        self.administration.shut();
        self.shared.connector.close(self.call_timeout())
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.shared.call_timeout
    }
}
