//! The table of exchanges of a broker, as one connection knows it.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, Weak};

use carrot_core::{Error, Result};
use carrot_link::CallDeadline;
use carrot_listener::{lock, wait_until};

use crate::connection::broker_link::BrokerLink;
use crate::connection::known_table::{KnownTable, unreadable};
use crate::connection::link_reader::refusal;
use crate::connection::linked_channel::{Arrival, BrokerAnswer, LinkedChannel};
use crate::connection::table_arrivals::{TABLE_QUEUE, TableArrivals};
use crate::exchanges::routing_definitions::RoutingDefinitions;
use crate::wire::command::CommandBody;
use crate::wire::delivery_commands::MessageAck;
use crate::wire::destination::WireDestination;
use crate::wire::ids::MessageId;
use crate::wire::setup_commands::{ConsumerInfo, ProducerInfo, SessionInfo};

/// The topic that every new table is published to.
pub(crate) const TABLE_TOPIC: &str = "carrot.routing.changes";
/// The session of the consumers and the producer of the table.
pub(crate) const TABLE_SESSION: i64 = -2;
/// The consumer of the topic.
const CHANGES: i64 = -2;
/// The most notices that are not acknowledged.
const PREFETCH: i32 = 1000;

/// The table of exchanges, as one connection knows it. Opened at its first use.
#[derive(Debug)]
pub(crate) struct TablePort {
    pub(crate) link: Arc<BrokerLink>,
    pub(crate) this: Weak<TablePort>,
    pub(crate) state: Mutex<TablePortState>,
    pub(crate) changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct TablePortState {
    phase: TablePhase,
    pub(crate) known: KnownTable,
    /// The arrivals of consumers that browse or pull.
    pub(crate) arrivals: HashMap<i64, TableArrivals>,
}

#[derive(Debug, Default)]
enum TablePhase {
    #[default]
    Closed,
    Opening,
    Open,
    /// The user may not read the table.
    Refused(Error),
}

/// Returns the queue with the table message.
pub(crate) fn table_queue() -> WireDestination {
    WireDestination::queue(TABLE_QUEUE)
}

impl TablePort {
    pub(crate) fn new(link: &Arc<BrokerLink>) -> Arc<TablePort> {
        Arc::new_cyclic(|this| TablePort {
            link: Arc::clone(link),
            this: Weak::clone(this),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Returns the present table. The first call subscribes to its changes, and reads it.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer.
    /// - [`Error::AccessRefused`]: the user may not read the table.
    /// - [`Error::Backend`]: the table has another version.
    /// - The error of the connection.
    pub(crate) fn table(
        &self,
        operation: &'static str,
        deadline: CallDeadline,
    ) -> Result<Arc<RoutingDefinitions>> {
        self.open(operation, deadline)?;
        if lock(&self.state).known.is_stale {
            self.read(operation, deadline)?;
        }
        let known = &lock(&self.state).known;
        if let Some(reason) = &known.unreadable {
            return Err(unreadable(reason));
        }
        Ok(Arc::clone(&known.table))
    }

    /// Returns the table after a barrier.
    ///
    /// The broker queues a new table for every connection before it answers the one that has
    /// changed it. After the barrier, all earlier tables have arrived.
    ///
    /// # Errors
    /// As [`table`](TablePort::table).
    pub(crate) fn fresh_table(
        &self,
        operation: &'static str,
        deadline: CallDeadline,
    ) -> Result<Arc<RoutingDefinitions>> {
        self.open(operation, deadline)?;
        self.link.wait_for_deliveries(operation, deadline)?;
        if !lock(&self.link.queues).contains(&table_queue()) {
            // Someone has deleted the table.
            self.note_missing();
        }
        self.table(operation, deadline)
    }

    /// Returns the table as it is known; the empty one if it is not known.
    pub(crate) fn known_table(&self) -> Arc<RoutingDefinitions> {
        Arc::clone(&lock(&self.state).known.table)
    }

    fn open(&self, operation: &'static str, deadline: CallDeadline) -> Result<()> {
        let mut state = lock(&self.state);
        let mut passed = false;
        loop {
            match &state.phase {
                TablePhase::Open => return Ok(()),
                TablePhase::Refused(error) => return Err(error.clone()),
                TablePhase::Opening if passed => return Err(deadline.late(operation)),
                TablePhase::Opening => {
                    (state, passed) = wait_until(&self.changed, state, deadline.at());
                }
                TablePhase::Closed => break,
            }
        }
        state.phase = TablePhase::Opening;
        drop(state);
        let opened = self.subscribe(operation, deadline);
        let phase = match &opened {
            Ok(()) => TablePhase::Open,
            Err(refused @ Error::AccessRefused { .. }) => TablePhase::Refused(refused.clone()),
            Err(_) => TablePhase::Closed,
        };
        lock(&self.state).phase = phase;
        self.changed.notify_all();
        opened
    }

    /// Subscribes to the changes, and then reads the table. The order lets no change pass unseen.
    fn subscribe(&self, operation: &'static str, deadline: CallDeadline) -> Result<()> {
        let link = &self.link;
        let this = Weak::clone(&self.this) as Weak<dyn LinkedChannel>;
        link.add_channel(TABLE_SESSION, Weak::clone(&this))?;
        link.add_consumer(CHANGES, this);
        let session = Some(link.session_id(TABLE_SESSION));
        link.send(CommandBody::Session(SessionInfo { session }));
        let producer = Some(link.producer_id(TABLE_SESSION));
        link.send(CommandBody::Producer(ProducerInfo { producer, ..ProducerInfo::default() }));
        let changes = ConsumerInfo {
            destination: Some(WireDestination::topic(TABLE_TOPIC)),
            prefetch: PREFETCH,
            ..self.consumer(CHANGES)
        };
        let answer = link.call(operation, CommandBody::Consumer(changes), deadline)?;
        answer.map_err(|exception| no_access(refusal(&exception)))?;
        self.read(operation, deadline)
    }

    fn acknowledge_notice(&self, message: &MessageId) {
        self.link.send(CommandBody::Ack(MessageAck {
            destination: Some(WireDestination::topic(TABLE_TOPIC)),
            consumer: Some(self.link.consumer_id(TABLE_SESSION, CHANGES)),
            kind: MessageAck::STANDARD,
            first: Some(message.clone()),
            last: Some(message.clone()),
            count: 1,
            ..MessageAck::default()
        }));
    }
}

impl LinkedChannel for TablePort {
    fn confirmed(&self, _: u64, _: BrokerAnswer) {}

    fn arrived(&self, consumer: i64, arrival: Option<Arrival>) {
        if consumer == CHANGES {
            let Some(arrival) = arrival else { return };
            self.note_notice(&arrival.message);
            if let Some(message) = &arrival.message.id {
                self.acknowledge_notice(message);
            }
            return;
        }
        if let Some(arrivals) = lock(&self.state).arrivals.get_mut(&consumer) {
            arrivals.push(arrival);
        }
        self.changed.notify_all();
    }

    fn consumer_removed(&self, _: i64) {}

    fn queue_deleted(&self, _: &WireDestination) {}

    fn lost(&self, _: &Error) {
        // Waiting threads hold the lock until they wait.
        drop(lock(&self.state));
        self.changed.notify_all();
    }
}

/// Names the permission that a user lacks.
pub(crate) fn no_access(error: Error) -> Error {
    match error {
        Error::AccessRefused { reason } => Error::AccessRefused {
            reason: format!(
                "exchanges need the permission to read and write the queue {TABLE_QUEUE} and the \
                 topic {TABLE_TOPIC}: {reason}"
            ),
        },
        other => other,
    }
}
