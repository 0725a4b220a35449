//! The removal of the ready messages of a queue.

use std::time::{Duration, Instant};

use carrot_core::{Error, Result};
use carrot_link::CallDeadline;
use carrot_listener::wait_until;

use crate::channel::channel_core::{ChannelCore, SlotOwner};
use crate::channel::commands::PullTurn;
use crate::channel::purged_messages::PurgedMessages;
use crate::wire::destination::WireDestination;
use crate::wire::setup_commands::RemoveInfo;

/// The time without a message after which a purge asks whether the queue is empty.
const LULL: Duration = Duration::from_millis(20);

impl ChannelCore {
    /// Acknowledges all ready messages of a queue. Returns their number.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the queue is not empty in time. The operation in the error names the
    ///   number of removed messages. The channel stays open, and a further call continues.
    /// - The error of the channel.
    pub(crate) fn purge(&self, queue: &str, deadline: CallDeadline) -> Result<u32> {
        let mut count = 0;
        let removed = self
            .existing("delete", queue, deadline)
            .and_then(|destination| self.remove_ready(&destination, &mut count, deadline));
        match removed {
            Ok(()) => Ok(count),
            Err(Error::Timeout { after, .. }) => {
                let operation = format!("the purge of queue '{queue}', {count} messages removed,");
                Err(Error::timeout(operation, after))
            }
            Err(error) => Err(error),
        }
    }

    /// Removes messages until a pull finds none, and counts them.
    fn remove_ready(
        &self,
        destination: &WireDestination,
        count: &mut u32,
        deadline: CallDeadline,
    ) -> Result<()> {
        while self.remove_first(destination, deadline)? {
            *count = count.saturating_add(1);
            self.remove_many(destination, count, deadline)?;
        }
        Ok(())
    }

    /// Removes the first message. Returns `false` if there is none.
    fn remove_first(&self, destination: &WireDestination, deadline: CallDeadline) -> Result<bool> {
        let slot = self.open_pull("delete", destination, PullTurn::First, deadline)?;
        let answer = self.pull_answer(slot, destination, deadline);
        if let Ok(Some(Some(arrival))) = &answer
            && let Some(message) = &arrival.message.id
        {
            self.link.send(self.acknowledge(slot, destination, message));
        }
        self.close_slot(slot);
        let arrival = answer?.ok_or_else(|| deadline.late("delete"))?;
        Ok(arrival.is_some())
    }

    /// Removes messages until none arrives for a while, and counts them.
    fn remove_many(
        &self,
        destination: &WireDestination,
        count: &mut u32,
        deadline: CallDeadline,
    ) -> Result<()> {
        let slot = self.open_slot(SlotOwner::Purge(PurgedMessages::default()))?;
        let added = self.add_purger(slot, destination);
        let removed = self
            .command("delete", added, deadline)
            .and_then(|()| self.remove_arrivals(slot, destination, count, deadline));
        self.lock().slots.remove(&slot);
        self.link.forget_consumer(slot);
        // Messages that arrive too late return to the queue before the next pull.
        self.link.send(self.remove_slot(slot, RemoveInfo::NOT_DELIVERED));
        removed
    }

    fn remove_arrivals(
        &self,
        slot: i64,
        destination: &WireDestination,
        count: &mut u32,
        deadline: CallDeadline,
    ) -> Result<()> {
        while let Some(purged) = self.next_purged(slot, deadline)? {
            *count = count.saturating_add(purged.count());
            if let Some(range) = self.acknowledge_range(slot, destination, purged) {
                self.link.send(range);
            }
        }
        Ok(())
    }

    /// Waits for messages. Returns `None` after a lull.
    fn next_purged(&self, slot: i64, deadline: CallDeadline) -> Result<Option<PurgedMessages>> {
        let lull = deadline.at().min(Instant::now() + LULL);
        let mut state = self.lock();
        let mut passed = false;
        loop {
            state.check()?;
            let purged = match state.slots.get_mut(&slot) {
                Some(SlotOwner::Purge(purged)) => std::mem::take(purged),
                _ => return Ok(None),
            };
            if purged.count() > 0 {
                return Ok(Some(purged));
            }
            if passed && deadline.left().is_zero() {
                return Err(deadline.late("delete"));
            }
            if passed {
                return Ok(None);
            }
            (state, passed) = wait_until(&self.changed, state, lull);
        }
    }
}
