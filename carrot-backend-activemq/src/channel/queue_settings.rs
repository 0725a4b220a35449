//! The stored arguments of queues.

use carrot_core::{Error, Headers, Result};
use carrot_link::CallDeadline;

use crate::channel::channel_core::ChannelCore;
use crate::connection::table_change::TableChange;
use crate::exchanges::queue_rules::{BrokerQueueRules, compare_queue};

impl ChannelCore {
    /// Compares the settings of a queue that exists, or stores those of a new one, without the
    /// bindings that an earlier queue of the name has left.
    pub(crate) fn declare_settings(
        &self,
        name: &str,
        arguments: Headers,
        exists: bool,
        deadline: CallDeadline,
    ) -> Result<()> {
        let table = match self.link.table.fresh_table("declare", deadline) {
            // A queue without settings needs no table.
            Err(Error::AccessRefused { .. }) if arguments.is_empty() => return Ok(()),
            table => self.declared(table)?,
        };
        if exists {
            let current = table.queues.get(name).cloned().unwrap_or_default();
            return self.declared(compare_queue(name, &arguments, &current));
        }
        if arguments.is_empty() && !table.mentions(name) {
            return Ok(());
        }
        let changed = self.change_table("declare", deadline, |table| {
            table.forget_queue(name);
            if !arguments.is_empty() {
                table.queues.insert(name.into(), arguments.clone());
            }
            Ok(TableChange::Changed)
        });
        self.declared(changed)
    }

    /// Returns the settings of a queue, which exists.
    pub(crate) fn rules_of(&self, queue: &str, deadline: CallDeadline) -> Result<BrokerQueueRules> {
        let table = match self.link.table.table("consume", deadline) {
            // A user without access to the table has no queues with settings.
            Err(Error::AccessRefused { .. }) => return Ok(BrokerQueueRules::default()),
            table => self.declared(table)?,
        };
        Ok(table.queues.get(queue).map(BrokerQueueRules::stored).unwrap_or_default())
    }

    /// Removes the settings and the bindings of a deleted queue.
    pub(crate) fn forget_queue(&self, name: &str, deadline: CallDeadline) -> Result<()> {
        let forgotten = self.change_if(
            "delete",
            deadline,
            |table| {
                let is_mentioned = table.mentions(name);
                table.forget_queue(name);
                Ok(if is_mentioned { TableChange::Changed } else { TableChange::Unchanged })
            },
            |table| table.mentions(name),
        );
        match forgotten {
            // A user without access to the table has no settings and bindings.
            Err(Error::AccessRefused { .. }) => Ok(()),
            forgotten => self.declared(forgotten),
        }
    }
}
