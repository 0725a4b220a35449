//! How a change writes the next table.

use carrot_core::{Error, Result};
use carrot_link::CallDeadline;

use crate::connection::link_reader::refusal;
use crate::connection::random_number::random_number;
use crate::connection::table_arrivals::TABLE_QUEUE;
use crate::connection::table_port::{
    TABLE_SESSION, TABLE_TOPIC, TablePort, no_access, table_queue,
};
use crate::connection::table_taking::HeldTable;
use crate::exchanges::routing_definitions::{INITIAL_REVISION, RoutingDefinitions};
use crate::exchanges::table_octets::write_table;
use crate::wall_clock;
use crate::wire::command::CommandBody;
use crate::wire::delivery_commands::MessageAck;
use crate::wire::destination::WireDestination;
use crate::wire::ids::{ConnectionId, MessageId, TransactionId};
use crate::wire::message::{MessageKind, WireMessage};
use crate::wire::setup_commands::TransactionInfo;

impl TablePort {
    /// Creates the queue, and sends the initial table.
    pub(crate) fn create(&self, operation: &'static str, deadline: CallDeadline) -> Result<()> {
        let queue = table_queue();
        // Without the notice, the next change would create another table.
        self.link.create_queue(operation, &queue, deadline).map_err(no_access)?;
        // Beside a table that others have changed, the number of that one is valid.
        let (id, revision) = (random_number().cast_signed(), INITIAL_REVISION);
        let initial = RoutingDefinitions { id, revision, ..RoutingDefinitions::default() };
        let message = self.table_message(&initial, queue, None)?;
        let sent = self.link.call_message(operation, message, deadline)?;
        sent.map_err(|exception| no_access(refusal(&exception)))
    }

    /// Replaces the held table messages by the changed table.
    pub(crate) fn write(
        &self,
        operation: &'static str,
        held: &mut HeldTable,
        deadline: CallDeadline,
    ) -> Result<()> {
        held.table.revision = held.table.revision.saturating_add(1);
        let transaction = self.link.next_transaction_id();
        let everywhere = WireDestination::queue(format!("{TABLE_QUEUE},topic://{TABLE_TOPIC}"));
        let message = self.table_message(&held.table, everywhere, Some(transaction.clone()))?;
        let step = |step| transaction_step(self.link.connection_id(), &transaction, step);
        self.link.send(step(TransactionInfo::BEGIN));
        // The answer to the commit would not tell which permission is missing.
        let sent = self.link.call_message(operation, message, deadline)?;
        sent.map_err(|exception| {
            // The broker keeps the transaction, and the table, until the end of the connection.
            self.link.send(step(TransactionInfo::ROLLBACK));
            no_access(refusal(&exception))
        })?;
        for message in &held.messages {
            self.link.send(self.consumed_table(held.consumer, message, Some(&transaction)));
        }
        let commit = step(TransactionInfo::COMMIT);
        let answer = self.link.call(operation, commit, deadline)?;
        answer.map_err(|exception| no_access(refusal(&exception)))
    }

    pub(crate) fn consumed_table(
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
        let id = self.link.next_message_id(TABLE_SESSION);
        Ok(WireMessage {
            kind: MessageKind::Bytes,
            producer: id.producer.clone(),
            id: Some(id),
            destination: Some(destination),
            transaction,
            is_persistent: true,
            priority: 4,
            timestamp: wall_clock::milliseconds(),
            content: Some(content),
            ..WireMessage::default()
        })
    }
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
