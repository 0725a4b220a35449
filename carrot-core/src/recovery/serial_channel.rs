//! A channel on which one call at a time is in flight.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Backend, ChannelOptions, Connector, Declare};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::QueueInfo;
use crate::recovery::channel::RecoveringChannel;
use crate::recovery::shared::ConnectionShared;
use crate::recovery::wait_queue::{FairQueue, Ticket};

/// A channel for declarations. The broker closes the channel over a refused call, and every other
/// call in flight would fail with that refusal. Threads therefore call in turn, in FIFO order.
pub(crate) struct SerialChannel {
    channel: RecoveringChannel<()>,
    turns: FairQueue,
}

impl SerialChannel {
    /// Creates a channel that is opened at its first use.
    pub(crate) fn new(
        connection: ConnectionShared,
        options: ChannelOptions,
        owner: &'static str,
    ) -> SerialChannel {
        let channel = RecoveringChannel::new(connection, options, owner, |_, _, _| Ok(()));
        SerialChannel { channel, turns: FairQueue::default() }
    }

    pub(crate) fn connector(&self) -> &dyn Connector {
        &*self.channel.connection().connector
    }

    /// Opens the channel, in one attempt.
    pub(crate) fn open(&self) -> Result<()> {
        self.channel.get_or_open().map(drop)
    }

    /// Opens the channel, in as many attempts as fit before `deadline`.
    pub(crate) fn open_before(&self, deadline: Instant) -> Result<()> {
        self.channel.recover(deadline).map(drop)
    }

    /// Runs a call that may be repeated, as [`RecoveringChannel::call`]. The call timeout includes
    /// the wait for the turn.
    pub(crate) fn call<T>(
        &self,
        call: impl Fn(&Arc<dyn Backend>, Duration) -> Result<T>,
    ) -> Result<T> {
        let deadline = deadline::after(self.channel.connection().call_timeout);
        let _turn = self.turn(deadline)?;
        self.channel
            .call_within(deadline::left(deadline), |opened, left| call(&opened.channel, left))
    }

    /// Declares an entity, and connects, before `deadline`.
    pub(crate) fn declare_before(
        &self,
        entity: Declare<'_>,
        deadline: Instant,
    ) -> Result<QueueInfo> {
        let _turn = self.turn(deadline)?;
        self.channel
            .call_before(deadline, |opened, timeout| opened.channel.declare(entity, timeout))
    }

    /// Waits until the calls of earlier threads have ended.
    fn turn(&self, deadline: Instant) -> Result<Ticket<'_>> {
        let started = Instant::now();
        self.turns.ticket(deadline).ok_or_else(|| {
            let waited = started.elapsed();
            self.channel.explain(Error::timeout("waiting for the calls of other threads", waited))
        })
    }

    /// Refuses further calls, and closes the channel. Does not wait for the broker's answer.
    pub(crate) fn close(&self) {
        if let Some(opened) = self.channel.shut() {
            let _ = opened.channel.close(Duration::ZERO);
        }
    }

    /// Refuses further calls. The caller closes the connection.
    pub(crate) fn shut(&self) {
        self.channel.shut();
    }
}

impl fmt::Debug for SerialChannel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.fmt(formatter)
    }
}
