//! The part of a channel that opens its channel again while no call waits for it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::recovery::backoff::YOUNG;
use crate::recovery::channel::{ChannelSlot, RecoveringChannel};
use crate::recovery::effects::is_worth_another;
use crate::recovery::hard_closes::is_cause_removed;

impl<S: Clone> RecoveringChannel<S> {
    /// The channel that calls use now, if it has ended, and why: nobody may have used it since.
    pub(crate) fn ended(&self) -> Option<(Arc<dyn Backend>, Error)> {
        let channel = self.current()?.channel;
        channel.check().err().map(|error| (channel, error))
    }

    /// Opens a channel if there is none, in the background: nobody waits for it. If the broker
    /// refuses the declarations, or closes the connection, the next attempt is that of a call which
    /// can be told so.
    ///
    /// # Errors
    /// The last attempt's.
    pub(crate) fn reopen(&self, deadline: Instant) -> Result<()> {
        while matches!(*self.lock(), ChannelSlot::Empty) && self.refusal().is_none() {
            let Err(error) = self.open_once(deadline, deadline, &|| false) else { break };
            log::debug!("a {} could not be opened again in the background: {error}", self.what);
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

    /// Why a call that is not to wait cannot be made now: there is no connection, or no channel
    /// yet.
    pub(crate) fn absence(&self) -> Error {
        if self.is_closed() {
            return Error::closed(self.what);
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
