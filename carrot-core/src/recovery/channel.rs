//! One channel that is opened at its first use, and reopened after a loss.

mod background;
mod opening;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Backend, ChannelOptions};
use crate::deadline;
use crate::error::{Error, Result};
use crate::recovery::backoff::{Backoff, YOUNG};
use crate::recovery::effects::{ends_channel, ends_connection, may_pass};
use crate::recovery::hard_closes::HardCloses;
use crate::recovery::nack_grace::NackGrace;
use crate::recovery::shared::ConnectionShared;

/// Sets up a new channel for its publisher or consumer: declares its entities, and sends
/// unconfirmed messages again. Must return by the given point in time.
type SetUp<S> = dyn Fn(&Arc<dyn Backend>, Instant, Declarations) -> Result<S> + Send + Sync;

/// The treatment of exchanges and queues when a publisher or consumer opens a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declarations {
    /// They are declared.
    Made,
    /// They are only checked, because the broker reported that one of them was deleted.
    Checked,
}

/// Owns the current channel of a publisher or consumer, and the state that `set_up` returns for
/// each new one.
pub(crate) struct RecoveringChannel<S> {
    connection: ConnectionShared,
    options: ChannelOptions,
    /// Whether to open a channel without a limit of waiting bytes if the set-up finds a queue
    /// locked.
    is_unlimited_if_locked: bool,
    set_up: Box<SetUp<S>>,
    slot: Mutex<ChannelSlot<S>>,
    changed: Condvar,
    nack_grace: NackGrace,
    /// The broker's refusal of the last attempt in the background, and its time. The next attempt
    /// waits for a call.
    refusal: Mutex<Option<(Error, Instant)>>,
    /// Whether the broker reported that a declared exchange or queue was deleted.
    deleted: AtomicBool,
    owner: &'static str,
}

enum ChannelSlot<S> {
    Empty,
    Opening,
    Open { opened: Opened<S>, since: Instant },
    Closed,
}

/// An open channel, with the state of its set-up.
pub(crate) struct Opened<S> {
    pub(crate) channel: Arc<dyn Backend>,
    pub(crate) state: S,
}

impl<S: Clone> Clone for Opened<S> {
    fn clone(&self) -> Opened<S> {
        Opened { channel: Arc::clone(&self.channel), state: self.state.clone() }
    }
}

impl<S: Clone> RecoveringChannel<S> {
    pub(crate) fn new(
        connection: ConnectionShared,
        options: ChannelOptions,
        owner: &'static str,
        set_up: impl Fn(&Arc<dyn Backend>, Instant, Declarations) -> Result<S> + Send + Sync + 'static,
    ) -> RecoveringChannel<S> {
        RecoveringChannel {
            connection,
            options,
            is_unlimited_if_locked: false,
            set_up: Box::new(set_up),
            slot: Mutex::new(ChannelSlot::Empty),
            changed: Condvar::new(),
            nack_grace: NackGrace::default(),
            refusal: Mutex::default(),
            deleted: AtomicBool::new(false),
            owner,
        }
    }

    /// Opens a channel without a limit of waiting bytes if the set-up finds a queue locked. The
    /// queue may be exclusive to the connection that such channels use.
    pub(crate) fn unlimited_if_locked(mut self) -> RecoveringChannel<S> {
        self.is_unlimited_if_locked = true;
        self
    }

    /// Returns the open channel, if any.
    pub(crate) fn current(&self) -> Option<Opened<S>> {
        match &*self.lock() {
            ChannelSlot::Open { opened, .. } => Some(opened.clone()),
            ChannelSlot::Empty | ChannelSlot::Opening | ChannelSlot::Closed => None,
        }
    }

    /// Delays the next attempt to open a channel, after a failure right after the last attempt.
    pub(crate) fn postpone(&self, error: &Error) {
        self.backoff().failed(error);
    }

    /// Resets the pause, because the cause of the failures was found.
    pub(crate) fn settled(&self) {
        self.backoff().settled();
    }

    fn backoff(&self) -> &Backoff {
        self.connection.backoff(self.options.role)
    }

    /// Records that a message passed through `channel`. The next loss then counts as a new one.
    pub(crate) fn mark_working(&self, channel: &Arc<dyn Backend>) {
        if !self.nack_grace.is_working()
            && self.is_current(channel)
            && self.nack_grace.mark_working()
        {
            self.backoff().settled();
        }
    }

    /// Returns whether a nack may be the fault of the channel, so another channel may succeed.
    pub(crate) fn is_in_nack_grace(&self) -> bool {
        self.nack_grace.is_active()
    }

    /// Forgets `channel` if `error` ends it. The next call opens another.
    pub(crate) fn failed(&self, channel: &Arc<dyn Backend>, error: &Error) {
        if !ends_channel(error) {
            return;
        }
        if let Some(age) = self.forget(channel) {
            if matches!(error, Error::NotFound { .. }) {
                self.mark_deleted();
            }
            log::debug!("channel of a {} was lost after {age:?}: {error}", self.owner);
            if ends_connection(error) {
                if age < YOUNG && !self.nack_grace.is_working() {
                    self.postpone(error);
                }
                self.nack_grace.lost();
            }
        }
    }

    /// Marks the entities of the channel as deleted: they are only checked until another client has
    /// declared them.
    pub(crate) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    /// Removes the mark of [`mark_deleted`](RecoveringChannel::mark_deleted).
    pub(crate) fn unmark_deleted(&self) {
        self.deleted.store(false, Ordering::Release);
    }

    /// Closes `channel`, which is open and unusable, if it is the current one. The next call opens
    /// another after a pause.
    pub(crate) fn replace_channel(&self, channel: &Arc<dyn Backend>, reason: &str) {
        if self.forget(channel).is_some() {
            log::info!("{} replaces its channel: {reason}", self.owner);
            self.postpone(&Error::disconnected(reason));
            let _ = channel.close(Duration::ZERO);
        }
    }

    /// Closes `channel`. The next call opens another.
    pub(crate) fn discard(&self, channel: &Arc<dyn Backend>, timeout: Duration) -> Result<()> {
        self.forget(channel);
        channel.close(timeout)
    }

    /// Removes `channel` if it is the current one. Returns the time that it was open.
    fn forget(&self, channel: &Arc<dyn Backend>) -> Option<Duration> {
        let mut slot = self.lock();
        if !matches!(&*slot, ChannelSlot::Open { opened, .. } if Arc::ptr_eq(&opened.channel, channel))
        {
            return None;
        }
        let forgotten = std::mem::replace(&mut *slot, ChannelSlot::Empty);
        drop(slot);
        match forgotten {
            ChannelSlot::Open { since, .. } => Some(since.elapsed()),
            _ => None,
        }
    }

    /// Returns whether `channel` is the current one, or no other will be opened.
    pub(crate) fn is_current(&self, channel: &Arc<dyn Backend>) -> bool {
        match &*self.lock() {
            ChannelSlot::Open { opened, .. } => Arc::ptr_eq(&opened.channel, channel),
            ChannelSlot::Closed => true,
            ChannelSlot::Empty | ChannelSlot::Opening => false,
        }
    }

    /// Returns whether no other channel will be opened.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.lock(), ChannelSlot::Closed)
    }

    /// Runs a call that may be repeated. Repeats it on another channel if the connection is lost,
    /// until the call timeout passes. Fails early if the call itself makes the broker close the
    /// connection.
    pub(crate) fn call<T>(&self, call: impl Fn(&Opened<S>, Duration) -> Result<T>) -> Result<T> {
        self.call_within(self.connection.call_timeout, call)
    }

    /// Runs a call as [`call`](RecoveringChannel::call) does, with another call timeout.
    pub(crate) fn call_within<T>(
        &self,
        timeout: Duration,
        call: impl Fn(&Opened<S>, Duration) -> Result<T>,
    ) -> Result<T> {
        let deadline = deadline::after(timeout);
        let opened = self.get_or_open();
        self.repeat(opened, deadline, |opened| call(opened, timeout))
    }

    /// Runs a call as [`call`](RecoveringChannel::call) does, and connects, until `deadline`.
    pub(crate) fn call_before<T>(
        &self,
        deadline: Instant,
        call: impl Fn(&Opened<S>, Duration) -> Result<T>,
    ) -> Result<T> {
        let opened = self.current().map_or_else(|| self.recover(deadline), Ok);
        self.repeat(opened, deadline, |opened| {
            call(opened, self.connection.call_timeout.min(deadline::left(deadline)))
        })
    }

    fn repeat<T>(
        &self,
        mut opened: Result<Opened<S>>,
        deadline: Instant,
        call: impl Fn(&Opened<S>) -> Result<T>,
    ) -> Result<T> {
        let mut losses = HardCloses::default();
        loop {
            let channel = match opened {
                Ok(channel) => channel,
                Err(error) if !may_pass(&error) || Instant::now() >= deadline => return Err(error),
                Err(_) => self.recover(deadline)?,
            };
            match call(&channel) {
                Err(error) if error.is_disconnected() && Instant::now() < deadline => {
                    self.failed(&channel.channel, &error);
                    if let Some(refused) = losses.note(&error) {
                        return Err(refused);
                    }
                }
                result => return result.inspect_err(|error| self.failed(&channel.channel, error)),
            }
            opened = self.recover(deadline);
        }
    }

    /// Refuses further calls, and closes the channel.
    pub(crate) fn close(&self, timeout: Duration) -> Result<()> {
        self.shut().map_or(Ok(()), |opened| opened.channel.close(timeout))
    }

    /// Wakes every thread that waits for a channel, to check again whether to give up.
    pub(crate) fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
        self.backoff().wake();
    }

    /// Refuses further calls, and returns the channel, if any.
    pub(crate) fn shut(&self) -> Option<Opened<S>> {
        let before = std::mem::replace(&mut *self.lock(), ChannelSlot::Closed);
        self.changed.notify_all();
        self.connection.wake();
        match before {
            ChannelSlot::Open { opened, .. } => Some(opened),
            _ => None,
        }
    }

    pub(crate) fn connection(&self) -> &ConnectionShared {
        &self.connection
    }

    fn lock(&self) -> MutexGuard<'_, ChannelSlot<S>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for RecoveringChannel<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecoveringChannel")
            .field("owner", &self.owner)
            .field("connector", &self.connection.connector)
            .finish_non_exhaustive()
    }
}
