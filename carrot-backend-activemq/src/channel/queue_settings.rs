//! The stored arguments of queues.

use carrot_core::{Error, Headers, Result};
use carrot_link::CallDeadline;

use crate::channel::channel_core::ChannelCore;
use crate::channel::queues;
use crate::connection::table_change::TableChange;
use crate::connection::table_port::table_queue;
use crate::content::queue_name;
use crate::exchanges::queue_rules::{BrokerQueueRules, compare_queue};

impl ChannelCore {
    /// Compares the settings of a declaration with those of a queue that exists.
    pub(crate) fn compare_settings(
        &self,
        name: &str,
        arguments: &Headers,
        deadline: CallDeadline,
    ) -> Result<()> {
        let table = self.link.table.table("declare", deadline);
        let compared =
            table.and_then(|table| compare_queue(name, arguments, &table.settings(name)));
        self.declared(unless_needless(compared, arguments))
    }

    /// Stores the settings of a new queue, without the settings and bindings that an earlier queue
    /// of the name has left. Returns whether the queue exists by now. Its settings are equal then.
    pub(crate) fn store_settings(
        &self,
        name: &str,
        arguments: &Headers,
        deadline: CallDeadline,
    ) -> Result<bool> {
        let queue = queue_name::destination(name.as_bytes());
        let mut exists = false;
        let stored = self.link.table.table("declare", deadline).and_then(|table| {
            if arguments.is_empty() && !table.mentions(name) {
                return Ok(());
            }
            self.change_table("declare", deadline, |table| {
                // No other client changes the table now.
                exists = queues::exists(&self.link, "declare", &queue, deadline)?;
                if exists {
                    compare_queue(name, arguments, &table.settings(name))?;
                    return Ok(TableChange::Unchanged);
                }
                if table.settings(name) == *arguments && !table.has_bindings_to(name) {
                    return Ok(TableChange::Unchanged);
                }
                table.forget_queue(name);
                table.set_settings(name, arguments);
                Ok(TableChange::Changed)
            })
        });
        self.declared(unless_needless(stored, arguments))?;
        Ok(exists)
    }

    /// Compares the settings of a queue that was just created with the stored ones. Those that were
    /// stored last before the queue existed are valid.
    pub(crate) fn confirm_settings(
        &self,
        name: &str,
        arguments: &Headers,
        deadline: CallDeadline,
    ) -> Result<()> {
        let has_table = queues::exists(&self.link, "declare", &table_queue(), deadline);
        if !self.declared(has_table)? {
            // No other client has looked for the queue before it existed.
            return Ok(());
        }
        let confirmed = self.change_table("declare", deadline, |table| {
            if table.settings(name).is_empty() && !arguments.is_empty() {
                // A client that deleted the queue has removed them.
                table.set_settings(name, arguments);
                return Ok(TableChange::Changed);
            }
            compare_queue(name, arguments, &table.settings(name))?;
            Ok(TableChange::Unchanged)
        });
        self.declared(unless_needless(confirmed, arguments))
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
        let queue = queue_name::destination(name.as_bytes());
        let forgotten = self.change_if(
            "delete",
            deadline,
            |table| {
                // Another client may have declared the queue again.
                if !table.mentions(name) || queues::exists(&self.link, "delete", &queue, deadline)?
                {
                    return Ok(TableChange::Unchanged);
                }
                table.forget_queue(name);
                Ok(TableChange::Changed)
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

/// Ignores that a user has no access to the table, for queues without settings.
fn unless_needless(result: Result<()>, arguments: &Headers) -> Result<()> {
    match result {
        Err(Error::AccessRefused { .. }) if arguments.is_empty() => Ok(()),
        result => result,
    }
}
