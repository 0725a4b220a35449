//! The table as one connection knows it.

use std::sync::Arc;

use carrot_core::backend::Printable;
use carrot_core::{Error, Result};

use crate::connection::table_arrivals::TABLE_QUEUE;
use crate::exchanges::routing_definitions::RoutingDefinitions;
use crate::exchanges::table_octets::read_table;
use crate::wire::message::WireMessage;

/// The longest text about an unreadable table, in bytes.
const SHOWN: usize = 255;

/// The table as one connection knows it.
#[derive(Debug, Default)]
pub(crate) struct KnownTable {
    pub(crate) table: Arc<RoutingDefinitions>,
    /// The reason why the table message in the queue cannot be read.
    pub(crate) unreadable: Option<String>,
    /// Whether the queue has to be read before the table is used.
    pub(crate) is_stale: bool,
    /// The number of notices, and of own changes.
    pub(crate) notices: u64,
}

impl KnownTable {
    /// Notes a notice of a change; `None` for one that is unreadable.
    pub(crate) fn note(&mut self, table: Option<RoutingDefinitions>) {
        self.notices += 1;
        match table {
            Some(table) if table.follows(&self.table) => self.table = Arc::new(table),
            Some(table) if table.is_of(&self.table) && table.revision <= self.table.revision => {}
            _ => self.is_stale = true,
        }
    }

    /// Notes a table that the queue had, and may have replaced since.
    pub(crate) fn note_own(&mut self, table: Arc<RoutingDefinitions>) {
        self.notices += 1;
        let is_of_known = table.is_of(&self.table);
        let is_newer = table.revision > self.table.revision;
        if table.revision == self.table.revision && is_of_known {
            return;
        }
        // A notice that is ahead may be one of another program.
        self.is_stale |= !is_of_known || !is_newer;
        if is_newer || !is_of_known {
            self.table = table;
        }
    }

    /// Notes what the queue has. Unless it is the only table, it has to be read again.
    pub(crate) fn note_read(&mut self, read: Result<RoutingDefinitions, String>, is_only: bool) {
        self.is_stale = !is_only || read.is_err();
        match read {
            Ok(table) => {
                self.table = Arc::new(table);
                self.unreadable = None;
            }
            Err(reason) => self.unreadable = Some(reason),
        }
    }
}

/// Returns the union of the tables of several messages. Clients that create the table at once each
/// send one.
///
/// # Errors
/// The reason why one of them is unreadable.
pub(crate) fn union_of(messages: &[WireMessage]) -> Result<RoutingDefinitions, String> {
    let mut union: Option<RoutingDefinitions> = None;
    for message in messages {
        let table = read_table(message.content.as_deref().unwrap_or_default())?;
        match &mut union {
            None => union = Some(table),
            Some(union) => union.add_missing(&table),
        }
    }
    Ok(union.unwrap_or_default())
}

/// Returns the error of a queue with an unreadable table message.
pub(crate) fn unreadable(reason: &str) -> Error {
    let reason = Printable::new(SHOWN, reason);
    let reason = format!("the table of exchanges in {TABLE_QUEUE} is unreadable: {reason}");
    Error::Backend { reason, source: None }
}
