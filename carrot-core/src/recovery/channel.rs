//! One channel that is opened when it is first needed, and opened again after it was lost.

mod background;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Backend, ChannelOptions, Declare, Role};
use crate::deadline::{self, FOREVER};
use crate::error::{Error, Result};
use crate::model::Queue;
use crate::recovery::backoff::{Backoff, YOUNG};
use crate::recovery::effects::{ends_channel, ends_connection, may_pass};
use crate::recovery::hard_closes::{HardCloses, is_cause_removed};
use crate::recovery::nack_grace::NackGrace;
use crate::recovery::shared::ConnectionShared;

/// Prepares a fresh channel for its publisher or consumer: declarations, and what has to be sent
/// again. Nobody waits for it beyond the point in time.
type SetUp<S> = dyn Fn(&Arc<dyn Backend>, Instant, Declarations) -> Result<S> + Send + Sync;

/// What becomes of the exchanges and queues of a publisher or consumer when it opens a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declarations {
    /// They are declared.
    Made,
    /// They are only checked, because the broker reported that one of them was deleted.
    Checked,
}

/// Owns the current channel of a publisher or consumer, and whatever `set_up` makes of each new
/// one.
pub(crate) struct RecoveringChannel<S> {
    connection: ConnectionShared,
    options: ChannelOptions,
    set_up: Box<SetUp<S>>,
    slot: Mutex<ChannelSlot<S>>,
    changed: Condvar,
    nack_grace: NackGrace,
    /// What the broker refused at the last attempt in the background, and when. There is no other
    /// until a call asks.
    refusal: Mutex<Option<(Error, Instant)>>,
    /// Whether the broker said that an exchange or a queue is gone, which was there when it was
    /// declared.
    deleted: AtomicBool,
    what: &'static str,
}

enum ChannelSlot<S> {
    Empty,
    Opening,
    Open { opened: Opened<S>, since: Instant },
    Closed,
}

/// A live channel, with what its set-up gave.
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
        what: &'static str,
        set_up: impl Fn(&Arc<dyn Backend>, Instant, Declarations) -> Result<S> + Send + Sync + 'static,
    ) -> RecoveringChannel<S> {
        RecoveringChannel {
            connection,
            options,
            set_up: Box::new(set_up),
            slot: Mutex::new(ChannelSlot::Empty),
            changed: Condvar::new(),
            nack_grace: NackGrace::default(),
            refusal: Mutex::default(),
            deleted: AtomicBool::new(false),
            what,
        }
    }

    /// The live channel; opens one if there is none, in one attempt. Another follows if the broker
    /// closed the connection meanwhile, over this set-up or over something else.
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

    /// The live channel, if there is one.
    pub(crate) fn current(&self) -> Option<Opened<S>> {
        match &*self.lock() {
            ChannelSlot::Open { opened, .. } => Some(opened.clone()),
            ChannelSlot::Empty | ChannelSlot::Opening | ChannelSlot::Closed => None,
        }
    }

    /// The live channel; opens one if there is none, in as many attempts as fit before `deadline`,
    /// or until the channel is closed.
    pub(crate) fn recover(&self, deadline: Instant) -> Result<Opened<S>> {
        self.recover_unless(deadline, &|| false, &mut HardCloses::default())
    }

    /// The same, until `given_up` says so, which is asked again after [`Backoff::wake`]; or until
    /// `losses` says that the set-up is why the broker closes the connection.
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
            log::debug!("a {} is not connected yet: {error}", self.what);
            if !matches!(error, Error::Timeout { .. }) {
                refused_with = Some(error);
            }
        }
    }

    /// The live channel; opens one before `deadline` if there is none, and sets it up before
    /// `until`. One thread does so, the others wait for it.
    fn open_once(
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
                ChannelSlot::Closed => return Err(Error::closed(self.what)),
                ChannelSlot::Empty => break,
                ChannelSlot::Opening => {
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
        let channel = self.backoff().attempt(deadline, &given_up, |timeout| {
            self.connection.connector.open(&self.options, timeout)
        })?;
        let declarations = if self.deleted.load(Ordering::Acquire) {
            Declarations::Checked
        } else {
            Declarations::Made
        };
        let state = (self.set_up)(&channel, until, declarations).inspect_err(|error| {
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

    /// Makes the next attempt to open a channel wait, after a failure right after the last.
    pub(crate) fn postpone(&self, error: &Error) {
        self.backoff().failed(error);
    }

    /// Makes the next pause short again, because the cause of the failures is found.
    pub(crate) fn settled(&self) {
        self.backoff().settled();
    }

    fn backoff(&self) -> &Backoff {
        self.connection.backoff(self.options.role)
    }

    /// Notes that a message went through `channel`, so that the next loss is not taken for a part
    /// of an earlier one.
    pub(crate) fn mark_working(&self, channel: &Arc<dyn Backend>) {
        if !self.nack_grace.is_working()
            && self.is_current(channel)
            && self.nack_grace.mark_working()
        {
            self.backoff().settled();
        }
    }

    /// Whether a refusal may be the fault of a channel, so that another may do better.
    pub(crate) fn is_in_nack_grace(&self) -> bool {
        self.nack_grace.is_active()
    }

    /// Forgets `channel` if `error` says that it is gone, so that the next call opens another.
    pub(crate) fn failed(&self, channel: &Arc<dyn Backend>, error: &Error) {
        if !ends_channel(error) {
            return;
        }
        if let Some(age) = self.forget(channel) {
            if matches!(error, Error::NotFound { .. }) {
                self.mark_deleted();
            }
            log::debug!("the channel of a {} is gone after {age:?}: {error}", self.what);
            if ends_connection(error) {
                if age < YOUNG && !self.nack_grace.is_working() {
                    self.postpone(error);
                }
                self.nack_grace.lost();
            }
        }
    }

    /// Marks the entities of the channel as deleted: they are only checked until somebody else has
    /// declared them.
    pub(crate) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    /// Takes the mark of [`mark_deleted`](RecoveringChannel::mark_deleted) away.
    pub(crate) fn unmark_deleted(&self) {
        self.deleted.store(false, Ordering::Release);
    }

    /// Looks for a queue, on a channel of its own, since a refusal ends the channel.
    pub(crate) fn look_for(
        &self,
        queue: &str,
        deadline: Instant,
        given_up: &dyn Fn() -> bool,
    ) -> Result<()> {
        let open = |timeout| self.connection.connector.open(&self.options, timeout);
        let channel = self.backoff().attempt(deadline, given_up, open)?;
        let timeout = deadline::left(deadline).min(self.connection.call_timeout);
        let found = channel.declare(Declare::Queue(&Queue::existing(queue)), timeout);
        let _ = channel.close(Duration::ZERO);
        found.map(drop)
    }

    /// Closes `channel`, which is open and of no use, if it is the one that calls use now; the next
    /// call opens another after a pause.
    pub(crate) fn replace_channel(&self, channel: &Arc<dyn Backend>, reason: &str) {
        if self.forget(channel).is_some() {
            log::info!("a {} tries another channel: {reason}", self.what);
            self.postpone(&Error::disconnected(reason));
            let _ = channel.close(Duration::ZERO);
        }
    }

    /// Closes `channel`; the next call opens another.
    pub(crate) fn discard(&self, channel: &Arc<dyn Backend>, timeout: Duration) -> Result<()> {
        self.forget(channel);
        channel.close(timeout)
    }

    /// Gives how long it was open, if it is the one that calls use now.
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

    /// Whether `channel` is the one that calls use now, or there will be no other.
    pub(crate) fn is_current(&self, channel: &Arc<dyn Backend>) -> bool {
        match &*self.lock() {
            ChannelSlot::Open { opened, .. } => Arc::ptr_eq(&opened.channel, channel),
            ChannelSlot::Closed => true,
            ChannelSlot::Empty | ChannelSlot::Opening => false,
        }
    }

    /// Whether there will be no other channel.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.lock(), ChannelSlot::Closed)
    }

    /// Makes a call that may be made twice; if the connection is lost, on another channel, until
    /// the call timeout has passed. If the call itself makes the broker close the connection, it is
    /// not made again for long.
    pub(crate) fn call<T>(&self, call: impl Fn(&Opened<S>, Duration) -> Result<T>) -> Result<T> {
        let deadline = deadline::after(self.connection.call_timeout);
        let mut losses = HardCloses::default();
        let mut opened = self.get_or_open();
        loop {
            let channel = match opened {
                Ok(channel) => channel,
                Err(error) if !may_pass(&error) || Instant::now() >= deadline => return Err(error),
                Err(_) => self.recover(deadline)?,
            };
            match call(&channel, self.connection.call_timeout) {
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

    /// Refuses further calls, and gives back the channel, if there is one.
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
            .field("what", &self.what)
            .field("connector", &self.connection.connector)
            .finish_non_exhaustive()
    }
}

/// Leaves `Opening` also when the opening or the set-up fails or panics.
struct Opening<'a, S: Clone> {
    channel: &'a RecoveringChannel<S>,
}

impl<S: Clone> Opening<'_, S> {
    fn finish(self, opened: Opened<S>) -> Result<Opened<S>> {
        let mut slot = self.channel.lock();
        if matches!(*slot, ChannelSlot::Closed) {
            return Err(Error::closed(self.channel.what));
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
