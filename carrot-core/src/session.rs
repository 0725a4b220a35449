//! One channel that is opened when it is first needed, and opened again after it was lost.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Backend, ChannelOptions, Connector};
use crate::{Error, Result};

/// Declares what a publisher or consumer needs on a fresh channel.
type SetUp<S> = dyn Fn(&dyn Backend) -> Result<S> + Send + Sync;

/// Owns the current channel of a publisher or consumer, and whatever `set_up` makes of each new one (its declarations).
pub(crate) struct Session<S> {
    connector: Arc<dyn Connector>,
    options: ChannelOptions,
    open_timeout: Duration,
    set_up: Box<SetUp<S>>,
    slot: Mutex<Slot<S>>,
    changed: Condvar,
    what: &'static str,
}

enum Slot<S> {
    Empty,
    Opening,
    Open(Opened<S>),
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

impl<S: Clone> Session<S> {
    pub(crate) fn new(
        connector: Arc<dyn Connector>,
        options: ChannelOptions,
        open_timeout: Duration,
        what: &'static str,
        set_up: impl Fn(&dyn Backend) -> Result<S> + Send + Sync + 'static,
    ) -> Session<S> {
        Session { connector, options, open_timeout, set_up: Box::new(set_up), slot: Mutex::new(Slot::Empty), changed: Condvar::new(), what }
    }

    /// The live channel; opens one if there is none. One thread opens, the others wait for it.
    pub(crate) fn channel(&self) -> Result<Opened<S>> {
        let deadline = Instant::now() + self.open_timeout;
        let mut slot = self.lock();
        loop {
            match &*slot {
                Slot::Open(opened) => return Ok(opened.clone()),
                Slot::Closed => return Err(Error::closed(self.what)),
                Slot::Empty => break,
                Slot::Opening => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Error::timeout("opening a channel", self.open_timeout));
                    }
                    slot = self.changed.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        *slot = Slot::Opening;
        drop(slot);
        let opening = OpeningGuard { session: self };
        let opened = self.open(deadline)?;
        opening.finish(opened)
    }

    fn open(&self, deadline: Instant) -> Result<Opened<S>> {
        let channel = self.connector.open(&self.options, deadline.saturating_duration_since(Instant::now()))?;
        let state = (self.set_up)(&*channel)?;
        Ok(Opened { channel, state })
    }

    /// Forgets `channel` if `error` says that it is gone, so that the next call opens another.
    pub(crate) fn failed(&self, channel: &Arc<dyn Backend>, error: &Error) {
        if ends_channel(error) && self.forget(channel) {
            log::debug!("the channel of a {} is gone: {error}", self.what);
        }
    }

    /// Closes `channel`; the next call opens another.
    pub(crate) fn discard(&self, channel: &Arc<dyn Backend>, timeout: Duration) -> Result<()> {
        self.forget(channel);
        channel.close(timeout)
    }

    fn forget(&self, channel: &Arc<dyn Backend>) -> bool {
        let mut slot = self.lock();
        let current = matches!(&*slot, Slot::Open(opened) if Arc::ptr_eq(&opened.channel, channel));
        if current {
            *slot = Slot::Empty;
        }
        current
    }

    /// Runs `call` on the live channel, and forgets the channel if the call says that it is gone.
    pub(crate) fn with_channel<T>(&self, call: impl FnOnce(&Opened<S>) -> Result<T>) -> Result<T> {
        let opened = self.channel()?;
        call(&opened).inspect_err(|error| self.failed(&opened.channel, error))
    }

    /// Refuses further calls, and closes the channel.
    pub(crate) fn close(&self, timeout: Duration) -> Result<()> {
        match self.shut() {
            Some(opened) => opened.channel.close(timeout),
            None => Ok(()),
        }
    }

    /// Refuses further calls, and gives back the channel, if there is one.
    pub(crate) fn shut(&self) -> Option<Opened<S>> {
        let before = std::mem::replace(&mut *self.lock(), Slot::Closed);
        self.changed.notify_all();
        match before {
            Slot::Open(opened) => Some(opened),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot<S>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for Session<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("what", &self.what).field("connector", &self.connector).finish_non_exhaustive()
    }
}

/// Leaves `Opening` also when the set-up fails or panics.
struct OpeningGuard<'a, S: Clone> {
    session: &'a Session<S>,
}

impl<S: Clone> OpeningGuard<'_, S> {
    fn finish(self, opened: Opened<S>) -> Result<Opened<S>> {
        let mut slot = self.session.lock();
        if matches!(*slot, Slot::Closed) {
            return Err(Error::closed(self.session.what));
        }
        *slot = Slot::Open(opened.clone());
        Ok(opened)
    }
}

impl<S: Clone> Drop for OpeningGuard<'_, S> {
    fn drop(&mut self) {
        let mut slot = self.session.lock();
        if matches!(*slot, Slot::Opening) {
            *slot = Slot::Empty;
        }
        drop(slot);
        self.session.changed.notify_all();
    }
}

/// Whether a channel that gave this error is of no more use. A call that timed out makes the driver close the channel.
fn ends_channel(error: &Error) -> bool {
    error.is_channel_error()
        || error.is_disconnected()
        || matches!(error, Error::Timeout { .. } | Error::Closed { .. } | Error::Backend { .. } | Error::Authentication { .. })
}
