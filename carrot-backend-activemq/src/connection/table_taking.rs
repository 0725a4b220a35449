//! How a change takes the table messages out of their queue.

use std::time::Duration;

use carrot_core::Result;
use carrot_link::CallDeadline;
use carrot_listener::lock;

use crate::connection::known_table::{union_of, unreadable};
use crate::connection::link_reader::refusal;
use crate::connection::table_port::{TABLE_SESSION, TablePort, no_access, table_queue};
use crate::exchanges::routing_definitions::RoutingDefinitions;
use crate::wire::command::CommandBody;
use crate::wire::delivery_commands::MessagePull;
use crate::wire::ids::MessageId;
use crate::wire::message::WireMessage;
use crate::wire::setup_commands::ConsumerInfo;

/// The time for which the broker waits for a table message.
const PULL_PATIENCE: Duration = Duration::from_millis(500);
/// The number of times that the queue has to look empty, without a notice of a change between them,
/// before a table is created in it.
const EMPTY_ROUNDS: u32 = 3;

/// The table messages that a change holds.
pub(crate) struct HeldTable {
    pub(crate) consumer: i64,
    pub(crate) messages: Vec<MessageId>,
    pub(crate) table: RoutingDefinitions,
}

impl TablePort {
    /// Takes the table out of its queue; `None` if the queue has none.
    pub(crate) fn take(
        &self,
        operation: &'static str,
        deadline: CallDeadline,
    ) -> Result<Option<HeldTable>> {
        if !lock(&self.link.queues).contains(&table_queue()) {
            return Ok(None);
        }
        let consumer = self.start_consumer();
        let taken = self.take_with(operation, consumer, deadline);
        if !matches!(taken, Ok(Some(_))) {
            self.end_consumer(consumer);
        }
        taken
    }

    fn take_with(
        &self,
        operation: &'static str,
        consumer: i64,
        deadline: CallDeadline,
    ) -> Result<Option<HeldTable>> {
        let info = ConsumerInfo {
            destination: Some(table_queue()),
            prefetch: 0,
            ..self.consumer(consumer)
        };
        let answer = self.link.call(operation, CommandBody::Consumer(info), deadline)?;
        answer.map_err(|exception| no_access(refusal(&exception)))?;
        let (mut empty_rounds, mut seen) = (0, self.notices());
        loop {
            self.pull_table(consumer, PULL_PATIENCE.min(deadline.left()));
            let Some(first) = self.arrival(operation, consumer, deadline)? else {
                // Another client holds the table, or there is none. While a change is committed,
                // the queue looks empty.
                let is_empty = self.browse(operation, deadline)?.is_empty();
                let notices = self.notices();
                empty_rounds = match is_empty {
                    false => 0,
                    true if notices == seen => empty_rounds + 1,
                    true => 1,
                };
                seen = notices;
                if empty_rounds == EMPTY_ROUNDS {
                    return Ok(None);
                }
                if deadline.left().is_zero() {
                    return Err(deadline.late(operation));
                }
                continue;
            };
            let mut messages = vec![*first.message];
            self.pull_others(operation, consumer, Duration::ZERO, &mut messages, deadline)?;
            if held_table(consumer, &messages)?.table.is_initial() {
                // Another client may have changed another initial table just now.
                self.pull_others(operation, consumer, PULL_PATIENCE, &mut messages, deadline)?;
            }
            let held = held_table(consumer, &messages)?;
            if held.table.is_initial() && self.is_superseded(operation, &held, deadline)? {
                for message in &held.messages {
                    self.link.send(self.consumed_table(consumer, message, None));
                }
                continue;
            }
            return Ok(Some(held));
        }
    }

    /// Takes further table messages, of clients that created the table at once.
    fn pull_others(
        &self,
        operation: &'static str,
        consumer: i64,
        patience: Duration,
        messages: &mut Vec<WireMessage>,
        deadline: CallDeadline,
    ) -> Result<()> {
        loop {
            self.pull_table(consumer, patience.min(deadline.left()));
            match self.arrival(operation, consumer, deadline)? {
                Some(other) => messages.push(*other.message),
                None => return Ok(()),
            }
        }
    }

    /// Returns whether an initial table is not the first one.
    fn is_superseded(
        &self,
        operation: &'static str,
        held: &HeldTable,
        deadline: CallDeadline,
    ) -> Result<bool> {
        let present = self.browse(operation, deadline)?;
        let first = present.first().and_then(|message| message.id.as_ref());
        Ok(first.is_some_and(|first| !held.messages.iter().any(|id| is_same(id, first))))
    }

    /// Asks for a table message. Without one, the broker answers after `patience`.
    fn pull_table(&self, consumer: i64, patience: Duration) {
        let timeout = match i64::try_from(patience.as_millis()) {
            Ok(0) => MessagePull::AT_ONCE,
            timeout => timeout.unwrap_or(i64::MAX),
        };
        self.link.send(CommandBody::Pull(MessagePull {
            consumer: Some(self.link.consumer_id(TABLE_SESSION, consumer)),
            destination: Some(table_queue()),
            timeout,
            ..MessagePull::default()
        }));
    }
}

fn held_table(consumer: i64, messages: &[WireMessage]) -> Result<HeldTable> {
    let table = union_of(messages).map_err(|reason| unreadable(&reason))?;
    let messages = messages.iter().filter_map(|message| message.id.clone()).collect();
    Ok(HeldTable { consumer, messages, table })
}

/// Returns whether two ids name the same message. The broker adds a number to one of them.
fn is_same(one: &MessageId, other: &MessageId) -> bool {
    one.producer == other.producer && one.producer_sequence == other.producer_sequence
}
