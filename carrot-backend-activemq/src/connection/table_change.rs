//! Changes of the table of exchanges.
//!
//! The queue [`TABLE_QUEUE`] has one message: the whole table. A change takes the message out,
//! which excludes others. The change then consumes the message and sends the next one, in one local
//! transaction. The next one also goes to the topic, and so to every connection. If a connection is
//! lost meanwhile, the broker returns the message to the queue.
//!
//! A message for each definition does not scale. A browser of ActiveMQ 5.17.2 sees 400 of 1000
//! messages, and a consumer with a selector does not find the 990th of 1000.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrot_core::backend::Printable;
use carrot_core::{Error, Result};
use carrot_listener::lock;

use crate::connection::deadline::CallDeadline;
use crate::connection::link_reader::refusal;
use crate::connection::table_port::{
    TABLE_QUEUE, TABLE_SESSION, TABLE_TOPIC, TablePort, table_queue,
};
use crate::exchanges::routing_definitions::RoutingDefinitions;
use crate::exchanges::table_octets::{read_table, write_table};
use crate::wire::command::CommandBody;
use crate::wire::delivery_commands::{MessageAck, MessagePull};
use crate::wire::destination::WireDestination;
use crate::wire::ids::{ConnectionId, LocalTransactionId, MessageId, TransactionId};
use crate::wire::message::{MessageKind, WireMessage};
use crate::wire::setup_commands::{ConsumerInfo, DestinationInfo, TransactionInfo};

/// The time for which the broker waits for a table message.
const PULL_PATIENCE: Duration = Duration::from_millis(500);
/// The number of times that the queue has to look empty before a table is created in it.
const EMPTY_ROUNDS: u32 = 2;

/// The effect of a change on the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TableChange {
    /// The table is as it was, and nothing is written.
    Unchanged,
    Changed,
}

/// The table messages that a change holds.
struct HeldTable {
    consumer: i64,
    messages: Vec<MessageId>,
    table: RoutingDefinitions,
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
                Ok(TableChange::Changed) => self.write(operation, &mut held, deadline),
                Ok(TableChange::Unchanged) => Ok(()),
                Err(error) => Err(error),
            };
            self.end_consumer(held.consumer);
            written?;
            let table = Arc::new(held.table);
            self.note_table(Arc::clone(&table));
            return Ok(table);
        }
    }

    /// Takes the table out of its queue; `None` if the queue has none.
    fn take(&self, operation: &'static str, deadline: CallDeadline) -> Result<Option<HeldTable>> {
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
        answer.map_err(|exception| refusal(&exception))?;
        let mut empty_rounds = 0;
        loop {
            self.pull_table(consumer, PULL_PATIENCE.min(deadline.left()));
            let Some(first) = self.arrival(operation, consumer, deadline)? else {
                // Another client holds the table, or there is none. While a change is committed,
                // the queue looks empty.
                let is_empty = self.known_table().revision == 0
                    && self.browse(operation, deadline)?.is_empty();
                empty_rounds = if is_empty { empty_rounds + 1 } else { 0 };
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

    /// Creates the queue, and sends the initial table.
    fn create(&self, operation: &'static str, deadline: CallDeadline) -> Result<()> {
        let queue = table_queue();
        let added = CommandBody::Destination(DestinationInfo {
            connection: Some(self.link.connection_id()),
            destination: Some(queue.clone()),
            operation: DestinationInfo::ADD,
            ..DestinationInfo::default()
        });
        let answer = self.link.call(operation, added, deadline)?;
        answer.map_err(|exception| refusal(&exception))?;
        let initial = RoutingDefinitions { revision: now(), ..RoutingDefinitions::default() };
        let message = self.table_message(&initial, queue, None)?;
        let sent = self.link.call_message(operation, message, deadline)?;
        sent.map_err(|exception| refusal(&exception))?;
        // The notice of the new queue has arrived after one more round trip.
        let answer = self.link.call(operation, CommandBody::Flush, deadline)?;
        answer.map_err(|exception| refusal(&exception))
    }

    /// Replaces the held table messages by the changed table.
    fn write(
        &self,
        operation: &'static str,
        held: &mut HeldTable,
        deadline: CallDeadline,
    ) -> Result<()> {
        held.table.revision = held.table.revision.saturating_add(1);
        let transaction = TransactionId::Local(LocalTransactionId {
            value: self.link.next_number(),
            connection: Some(self.link.connection_id()),
        });
        let everywhere = WireDestination::queue(format!("{TABLE_QUEUE},topic://{TABLE_TOPIC}"));
        let message = self.table_message(&held.table, everywhere, Some(transaction.clone()))?;
        let step = |step| transaction_step(self.link.connection_id(), &transaction, step);
        self.link.send(step(TransactionInfo::BEGIN));
        self.link.send_message(self.link.message_frame(message), None)?;
        for message in &held.messages {
            self.link.send(self.consumed_table(held.consumer, message, Some(&transaction)));
        }
        let commit = step(TransactionInfo::COMMIT);
        self.link.call(operation, commit, deadline)?.map_err(|exception| refusal(&exception))
    }

    fn consumed_table(
        &self,
        consumer: i64,
        message: &MessageId,
        transaction: Option<&TransactionId>,
    ) -> CommandBody {
        CommandBody::Ack(MessageAck {
            destination: Some(table_queue()),
            transaction: transaction.cloned(),
            consumer: Some(self.link.consumer_id(TABLE_SESSION, consumer)),
            kind: MessageAck::INDIVIDUAL,
            first: Some(message.clone()),
            last: Some(message.clone()),
            count: 1,
            ..MessageAck::default()
        })
    }

    fn table_message(
        &self,
        table: &RoutingDefinitions,
        destination: WireDestination,
        transaction: Option<TransactionId>,
    ) -> Result<WireMessage> {
        let invalid = |limit: String| Error::Invalid {
            field: "definition".into(),
            value: "too long".into(),
            limit: limit.into(),
        };
        let content = write_table(table).map_err(invalid)?;
        let (size, limit) = (content.len() as u64, self.link.traits.max_frame);
        if size.saturating_add(1024) > limit {
            return Err(Error::Invalid {
                field: "table of exchanges".into(),
                value: format!("{size} bytes with this definition"),
                limit: format!("at most {limit} bytes, the maxFrameSize of the broker").into(),
            });
        }
        let producer = self.link.producer_id(TABLE_SESSION);
        let id = MessageId {
            producer: Some(producer.clone()),
            producer_sequence: self.link.next_number(),
            ..MessageId::default()
        };
        Ok(WireMessage {
            kind: MessageKind::Bytes,
            producer: Some(producer),
            id: Some(id),
            destination: Some(destination),
            transaction,
            is_persistent: true,
            priority: 4,
            timestamp: now(),
            content: Some(content),
            ..WireMessage::default()
        })
    }
}

/// Returns the union of the tables of several messages.
fn held_table(consumer: i64, messages: &[WireMessage]) -> Result<HeldTable> {
    let mut table: Option<RoutingDefinitions> = None;
    for message in messages {
        let octets = message.content.as_deref().unwrap_or_default();
        let read = read_table(octets).map_err(|reason| Error::Backend {
            reason: format!(
                "the table of exchanges in {TABLE_QUEUE} is unreadable: {}",
                Printable::new(255, reason)
            ),
            source: None,
        })?;
        match &mut table {
            None => table = Some(read),
            Some(table) => table.add_missing(&read),
        }
    }
    let messages = messages.iter().filter_map(|message| message.id.clone()).collect();
    Ok(HeldTable { consumer, messages, table: table.unwrap_or_default() })
}

/// Returns whether two ids name the same message. The broker adds a number to one of them.
fn is_same(one: &MessageId, other: &MessageId) -> bool {
    one.producer == other.producer && one.producer_sequence == other.producer_sequence
}

/// Returns the command of a step of a transaction.
pub(crate) fn transaction_step(
    connection: ConnectionId,
    transaction: &TransactionId,
    step: u8,
) -> CommandBody {
    CommandBody::Transaction(TransactionInfo {
        connection: Some(connection),
        transaction: Some(transaction.clone()),
        step,
    })
}

/// Returns the time in milliseconds since the Unix epoch. A table that is created again has a
/// higher number than its predecessor.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
