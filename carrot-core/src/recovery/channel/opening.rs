//! The part of a channel that opens its channel for a call.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::backend::{ChannelOptions, Declare, Role};
use crate::deadline::{self, FOREVER};
use crate::error::{Error, Result};
use crate::model::Queue;
use crate::recovery::channel::{ChannelSlot, Declarations, Opened, RecoveringChannel};
use crate::recovery::effects::{ends_connection, may_pass};
use crate::recovery::hard_closes::{HardCloses, is_cause_removed};

impl<S: Clone> RecoveringChannel<S> {
    /// Returns the open channel. Opens one in one attempt if there is none. Makes another attempt
    /// if the broker closed the connection meanwhile, over this set-up or another operation.
    pub(crate) fn get_or_open(&self) -> Result<Opened<S>> {
        if let Some(opened) = self.current() {
            return Ok(opened);
        }
        let deadline = deadline::after(self.connection.connect_timeout);
        let mut losses = HardCloses::default();
        loop {
            let error = match self.open_once(
                deadline,
                deadline + self.connection.call_timeout.min(FOREVER),
                &|| false,
            ) {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            if let Some(refused) = losses.note(&error) {
                return Err(refused);
            }
            if error.hard_close().is_none() || Instant::now() >= deadline {
                return Err(error);
            }
        }
    }

    /// Returns the open channel. Opens one if there is none, in as many attempts as fit before
    /// `deadline`, or until the channel is closed.
    pub(crate) fn recover(&self, deadline: Instant) -> Result<Opened<S>> {
        self.recover_unless(deadline, &|| false, &mut HardCloses::default())
    }

    /// Behaves as [`recover`](RecoveringChannel::recover), until `given_up` returns true or
    /// `losses` shows that the set-up makes the broker close the connection. Calls `given_up` after
    /// each [`wake`](RecoveringChannel::wake), also with locks held. An attempt under way continues.
    pub(crate) fn recover_unless(
        &self,
        deadline: Instant,
        given_up: &dyn Fn() -> bool,
        losses: &mut HardCloses,
    ) -> Result<Opened<S>> {
        let started = Instant::now();
        let mut refused_with = None;
        loop {
            let attempt = deadline.min(deadline::after(self.connection.connect_timeout));
            let error = match self.open_once(attempt, deadline, given_up) {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            if let Some(refused) = losses.note(&error) {
                return Err(refused);
            }
            if !may_pass(&error) {
                return Err(error);
            }
            if Instant::now() >= deadline {
                let error = if matches!(error, Error::Timeout { .. }) {
                    refused_with.unwrap_or(error)
                } else {
                    error
                };
                return Err(self.backoff().outage(error, started.elapsed()));
            }
            log::debug!("{} is not connected yet: {error}", self.owner);
            if !matches!(error, Error::Timeout { .. }) {
                refused_with = Some(error);
            }
        }
    }

    /// Returns the open channel. If there is none, opens one before `deadline`, and sets it up
    /// before `until`. One thread opens, and the others wait for it.
    pub(super) fn open_once(
        &self,
        deadline: Instant,
        until: Instant,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Opened<S>> {
        self.open_in_turn(deadline, until, given_up).map_err(|error| self.explain(error))
    }

    fn open_in_turn(
        &self,
        deadline: Instant,
        until: Instant,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Opened<S>> {
        let started = Instant::now();
        let mut slot = self.lock();
        loop {
            match &*slot {
                ChannelSlot::Open { opened, .. } => return Ok(opened.clone()),
                ChannelSlot::Closed => return Err(Error::closed(self.owner)),
                ChannelSlot::Empty => break,
                ChannelSlot::Opening => {
                    if given_up() {
                        return Err(Error::closed(self.owner));
                    }
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        drop(slot);
                        let tried = started.elapsed();
                        let error = Error::timeout("opening a channel", tried);
                        return Err(if self.backoff().is_failing() {
                            self.backoff().outage(error, tried)
                        } else {
                            error
                        });
                    }
                    slot = self
                        .changed
                        .wait_timeout(slot, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
        *slot = ChannelSlot::Opening;
        drop(slot);
        let opening = Opening { channel: self };
        let given_up = || given_up() || matches!(*self.lock(), ChannelSlot::Closed);
        let declarations = if self.deleted.load(Ordering::Acquire) {
            Declarations::Checked
        } else {
            Declarations::Made
        };
        let open = |options: ChannelOptions| -> Result<_> {
            let channel = self.backoff().attempt(deadline, &given_up, |timeout| {
                self.connection.connector.open(&options, timeout)
            })?;
            let state = (self.set_up)(&channel, until, declarations);
            Ok((channel, state))
        };
        let (mut channel, mut state) = open(self.options)?;
        if self.is_unlimited_if_locked && matches!(state, Err(Error::ResourceLocked { .. })) {
            (channel, state) = open(self.options.without_max_waiting_bytes())?;
        }
        let state = state.inspect_err(|error| {
            if is_cause_removed(error) {
                self.backoff().settled();
            }
            if may_pass(error) || ends_connection(error) {
                self.backoff().failed(error);
            }
        })?;
        self.deleted.store(false, Ordering::Release);
        *self.refusal() = None;
        opening.finish(Opened { channel, state })
    }

    /// Replaces a timeout by its reason: an alarm, or a lost connection.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let Error::Timeout { after, .. } = error else { return error };
        if self.options.role == Role::Publish
            && let Some(reason) = self.connection.blocked()
        {
            return Error::Blocked { reason };
        }
        if self.backoff().is_failing() { self.backoff().outage(error, after) } else { error }
    }

    /// Checks that a queue exists, on a channel of its own, because a refusal closes the channel.
    pub(crate) fn look_for(
        &self,
        queue: &str,
        deadline: Instant,
        given_up: &dyn Fn() -> bool,
    ) -> Result<()> {
        let options = self.options.without_max_waiting_bytes();
        let open = |timeout| self.connection.connector.open(&options, timeout);
        let channel = self.backoff().attempt(deadline, given_up, open)?;
        let timeout = deadline::left(deadline).min(self.connection.call_timeout);
        let found = channel.declare(Declare::Queue(&Queue::existing(queue)), timeout);
        let _ = channel.close(Duration::ZERO);
        found.map(drop)
    }
}

/// Resets the slot from `Opening`, also if opening or set-up fails or panics.
struct Opening<'a, S: Clone> {
    channel: &'a RecoveringChannel<S>,
}

impl<S: Clone> Opening<'_, S> {
    fn finish(self, opened: Opened<S>) -> Result<Opened<S>> {
        let mut slot = self.channel.lock();
        if matches!(*slot, ChannelSlot::Closed) {
            return Err(Error::closed(self.channel.owner));
        }
        self.channel.nack_grace.opened();
        *slot = ChannelSlot::Open { opened: opened.clone(), since: Instant::now() };
        Ok(opened)
    }
}

impl<S: Clone> Drop for Opening<'_, S> {
    fn drop(&mut self) {
        let mut slot = self.channel.lock();
        if matches!(*slot, ChannelSlot::Opening) {
            *slot = ChannelSlot::Empty;
        }
        drop(slot);
        self.channel.changed.notify_all();
    }
}
