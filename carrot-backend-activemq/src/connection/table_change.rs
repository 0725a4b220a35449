//! Changes of the table of exchanges.
//!
//! The queue `carrot.routing` has one message: the whole table. A change takes the message out,
//! which excludes others. The change then consumes the message and sends the next one, in one local
//! transaction. The next one also goes to the topic, and so to every connection. If a connection is
//! lost meanwhile, the broker returns the message to the queue.
//!
//! A message for each definition does not scale. A browser of ActiveMQ 5.17.2 sees 400 of 1000
//! messages, and a consumer with a selector does not find the 990th of 1000.

use std::sync::Arc;

use carrot_core::Result;
use carrot_link::CallDeadline;

use crate::connection::table_port::TablePort;
use crate::exchanges::routing_definitions::RoutingDefinitions;

/// The effect of a change on the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TableChange {
    /// The table is as it was. It is written only if it is the initial one.
    Unchanged,
    Changed,
}

impl TablePort {
    /// Changes the table, and returns after the receipt of the broker.
    ///
    /// `apply` may be called several times, each time with another table.
    ///
    /// # Errors
    /// - The error of `apply`. Nothing is changed then.
    /// - [`Error::Timeout`]: the broker did not answer, or another client holds the table.
    /// - [`Error::AccessRefused`]: the user may not change the table.
    /// - [`Error::Invalid`]: the table would exceed the largest command of the broker.
    /// - [`Error::Backend`]: the queue has too many table messages, or one that is unreadable.
    /// - The error of the connection.
    pub(crate) fn change(
        &self,
        operation: &'static str,
        deadline: CallDeadline,
        mut apply: impl FnMut(&mut RoutingDefinitions) -> Result<TableChange>,
    ) -> Result<Arc<RoutingDefinitions>> {
        self.table(operation, deadline)?;
        loop {
            let Some(mut held) = self.take(operation, deadline)? else {
                self.create(operation, deadline)?;
                continue;
            };
            let applied = apply(&mut held.table);
            let written = match applied {
                // Each change waits for other tables beside an initial one.
                Ok(TableChange::Unchanged) if !held.table.is_initial() => Ok(()),
                Ok(_) => self.write(operation, &mut held, deadline),
                Err(error) => Err(error),
            };
            self.end_consumer(held.consumer);
            written?;
            let table = Arc::new(held.table);
            self.note_table(Arc::clone(&table));
            return Ok(table);
        }
    }
}
