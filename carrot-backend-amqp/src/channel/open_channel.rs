//! An open channel, from its opening to its end.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{ChannelOpen, ConfirmSelect};
use carrot_core::{Error, Result};

use super::encode;
use super::state::ChannelInner;
use crate::connection::{AmqpConnection, ConnectionState, MayLead, NoNumber, calls};

/// An open channel. Closes when neither its user nor a subscription holds it.
pub(crate) struct OpenChannel {
    pub(super) state: Arc<ChannelInner>,
    /// Kept open by its channels.
    _connection: Arc<AmqpConnection>,
}

impl OpenChannel {
    /// Opens a channel.
    ///
    /// Blocks for one round trip, at most until `deadline`.
    pub(crate) fn open(
        connection: &Arc<AmqpConnection>,
        is_confirming: bool,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Arc<OpenChannel>> {
        let call = if is_confirming { calls::OPEN_CONFIRMING_CHANNEL } else { calls::OPEN_CHANNEL };
        let shared = connection.state();
        let overdue = || shared.overdue(call.operation, timeout);
        let _turn = shared.calls.isolation.enter(call, deadline).ok_or_else(overdue)?;
        let create = |number| ChannelInner::new(shared, number, is_confirming);
        let state = shared.channels.reserve(shared.channel_max(), deadline, create);
        let state = state.map_err(|none| match none {
            NoNumber::Ended => shared.death(),
            NoNumber::Late => overdue(),
            NoNumber::Exhausted => Error::Backend {
                reason: "the connection has no channel left; see the option channel_max".into(),
                source: None,
            },
        })?;
        let mut frames = encode::frame(state.number, &ChannelOpen {}.into());
        if is_confirming {
            let select = ConfirmSelect { no_wait: false };
            encode::append(&mut frames, state.number, &select.into());
        }
        state.open(call, frames, timeout, deadline)?;
        let connection = Arc::clone(connection);
        Ok(Arc::new(OpenChannel { state, _connection: connection }))
    }

    pub(super) fn connection(&self) -> &ConnectionState {
        &self.state.connection
    }

    /// Ends the channel with `reason`, and begins to close it at the broker. Returns false if the
    /// channel has ended before.
    pub(crate) fn begin_closing(&self, reason: Error) -> bool {
        let is_first = self.state.failure().is_none() && self.state.fail(reason);
        if is_first {
            self.state.close_at_broker();
        }
        is_first
    }

    /// Waits until the broker has closed the channel. Returns false if `deadline` passes first.
    pub(crate) fn wait_until_closed(&self, deadline: Instant) -> bool {
        let slot = &self.state.slot;
        let leadership = &self.connection().leadership;
        let _waiting = leadership.wait(deadline, MayLead::Yes, || slot.is_closed());
        slot.wait_until_closed(deadline)
    }
}

impl Drop for OpenChannel {
    fn drop(&mut self) {
        self.begin_closing(Error::closed("channel"));
    }
}

impl fmt::Debug for OpenChannel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AmqpChannel")
            .field("endpoint", &self.connection().endpoint)
            .field("number", &self.state.number)
            .field("has_failed", &self.state.failure().is_some())
            .finish_non_exhaustive()
    }
}
