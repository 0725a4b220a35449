//! Reopens a channel in the background, while no call waits for it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::recovery::backoff::YOUNG;
use crate::recovery::channel::{ChannelSlot, RecoveringChannel};
use crate::recovery::effects::is_worth_another;
use crate::recovery::hard_closes::is_cause_removed;

impl<S: Clone> RecoveringChannel<S> {
    /// Returns the current channel and its error, if the channel has ended. No call may have used
    /// it since.
    pub(crate) fn ended(&self) -> Option<(Arc<dyn Backend>, Error)> {
        let channel = self.current()?.channel;
        channel.check().err().map(|error| (channel, error))
    }

    /// Opens a channel in the background if there is none. After a refused declaration or a hard
    /// close, the next call makes the next attempt, because a call can report the error.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub(crate) fn reopen(&self, deadline: Instant) -> Result<()> {
        while matches!(*self.lock(), ChannelSlot::Empty) && self.refusal().is_none() {
            let Err(error) = self.open_once(deadline, deadline, &|| false) else { break };
            log::debug!(
                "reopening the channel of a {} in the background failed: {error}",
                self.owner
            );
            if is_cause_removed(&error) && Instant::now() < deadline {
                continue;
            }
            if !is_worth_another(&error) {
                *self.refusal() = Some((error.clone(), Instant::now()));
                return Err(error);
            }
            if Instant::now() >= deadline {
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn refusal(&self) -> MutexGuard<'_, Option<(Error, Instant)>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the reason why a call that must not wait cannot be made: there is no connection, or
    /// no channel yet.
    pub(crate) fn absence(&self) -> Error {
        if self.is_closed() {
            return Error::closed(self.owner);
        }
        let is_opening = matches!(*self.lock(), ChannelSlot::Opening);
        if is_opening {
            return self.backoff().absence();
        }
        let mut refusal = self.refusal();
        let refused = refusal.clone();
        // The call counts as an attempt, which is made in the background.
        if refused.as_ref().is_none_or(|(_, since)| since.elapsed() >= YOUNG) {
            *refusal = None;
            drop(refusal);
            self.connection.reconnect(self.options.role);
        }
        refused.map_or_else(|| self.backoff().absence(), |(error, _)| error)
    }
}
