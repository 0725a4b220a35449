//! How a connection learns the table: from its queue, from notices of changes, and from its own
//! changes.
//!
//! A notice has the whole table. It is taken if it is the next one of the known table. Any other
//! notice says that the queue has to be read before the next use: a message of another program, a
//! table that was created again, or two changes whose notices have changed places.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_core::Result;
use carrot_link::CallDeadline;
use carrot_listener::{lock, wait_until};

use crate::connection::known_table::union_of;
use crate::connection::table_port::{TablePort, table_queue};
use crate::exchanges::routing_definitions::RoutingDefinitions;
use crate::exchanges::table_octets::read_table;
use crate::wire::message::WireMessage;

/// The number of times that a queue without a table message is read.
const READ_ROUNDS: u32 = 10;
/// The time between them.
const READ_PAUSE: Duration = Duration::from_millis(50);

impl TablePort {
    /// Notes a notice of a change.
    pub(crate) fn note_notice(&self, message: &WireMessage) {
        let table = read_table(message.content.as_deref().unwrap_or_default());
        lock(&self.state).known.note(table.ok());
        self.changed.notify_all();
    }

    /// Notes a table that this program has just taken or written.
    pub(crate) fn note_table(&self, table: Arc<RoutingDefinitions>) {
        lock(&self.state).known.note_own(table);
        self.changed.notify_all();
    }

    /// Reads the table. While a change is committed, its queue looks empty.
    pub(crate) fn read(&self, operation: &'static str, deadline: CallDeadline) -> Result<()> {
        let mut is_empty = true;
        for _ in 0..READ_ROUNDS {
            if !lock(&self.link.queues).contains(&table_queue()) {
                break;
            }
            let notices = self.notices();
            let messages = self.browse(operation, deadline)?;
            if messages.is_empty() {
                self.wait_for_notice(notices);
            } else if self.note_messages(&messages, notices) {
                return Ok(());
            } else {
                is_empty = false;
            }
        }
        if is_empty {
            self.note_missing();
        }
        Ok(())
    }

    /// Notes the table messages of the queue. Returns `false` if a notice has arrived since
    /// `notices` were counted. The queue has to be read again then.
    fn note_messages(&self, messages: &[WireMessage], notices: u64) -> bool {
        let table = union_of(messages);
        let mut state = lock(&self.state);
        let is_present = state.known.notices == notices;
        state.known.note_read(table, is_present && messages.len() == 1);
        is_present
    }

    /// Notes that the broker has no table.
    pub(crate) fn note_missing(&self) {
        lock(&self.state).known.note_read(Ok(RoutingDefinitions::default()), true);
    }

    /// Returns the number of notices, and of own changes.
    pub(crate) fn notices(&self) -> u64 {
        lock(&self.state).known.notices
    }

    /// Waits until another notice arrives, at most for [`READ_PAUSE`].
    fn wait_for_notice(&self, notices: u64) {
        let end = Instant::now() + READ_PAUSE;
        let mut state = lock(&self.state);
        let mut passed = false;
        while state.known.notices == notices && !passed {
            (state, passed) = wait_until(&self.changed, state, end);
        }
    }
}
