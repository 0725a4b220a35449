//! The table of exchanges of a broker, as one connection knows it.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use carrot_core::backend::Printable;
use carrot_core::{Error, Result};
use carrot_link::CallDeadline;
use carrot_listener::{lock, wait_until};

use crate::connection::broker_link::BrokerLink;
use crate::connection::link_reader::refusal;
use crate::connection::linked_channel::{Arrival, BrokerAnswer, LinkedChannel};
use crate::connection::table_arrivals::{TABLE_QUEUE, TableArrivals};
use crate::exchanges::routing_definitions::RoutingDefinitions;
use crate::exchanges::table_octets::read_table;
use crate::wire::command::CommandBody;
use crate::wire::delivery_commands::MessageAck;
use crate::wire::destination::WireDestination;
use crate::wire::ids::MessageId;
use crate::wire::message::WireMessage;
use crate::wire::setup_commands::{ConsumerInfo, ProducerInfo, SessionInfo};

/// The topic that every new table is published to.
pub(crate) const TABLE_TOPIC: &str = "carrot.routing.changes";
/// The session of the consumers and the producer of the table.
pub(crate) const TABLE_SESSION: i64 = -2;
/// The consumer of the topic.
const CHANGES: i64 = -2;
/// The most notices that are not acknowledged.
const PREFETCH: i32 = 1000;
/// The number of times that a queue without a table message is read.
const READ_ROUNDS: u32 = 10;
/// The time between them.
const READ_PAUSE: Duration = Duration::from_millis(50);

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
    table: Arc<RoutingDefinitions>,
    /// The reason why the newest table message cannot be read.
    unreadable: Option<String>,
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
        let state = lock(&self.state);
        if let Some(reason) = &state.unreadable {
            let reason = format!("the table of exchanges in {TABLE_QUEUE} is unreadable: {reason}");
            return Err(Error::Backend { reason, source: None });
        }
        Ok(Arc::clone(&state.table))
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
            let mut state = lock(&self.state);
            state.table = Arc::default();
            state.unreadable = None;
        }
        self.table(operation, deadline)
    }

    /// Returns the table as it is known; the empty one if it is not known.
    pub(crate) fn known_table(&self) -> Arc<RoutingDefinitions> {
        Arc::clone(&lock(&self.state).table)
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

    /// Reads the table, if there is one. While a change is committed, its queue looks empty.
    fn read(&self, operation: &'static str, deadline: CallDeadline) -> Result<()> {
        for _ in 0..READ_ROUNDS {
            if !lock(&self.link.queues).contains(&table_queue()) {
                return Ok(());
            }
            let messages = self.browse(operation, deadline)?;
            messages.iter().for_each(|message| self.note(message));
            if !messages.is_empty() || self.is_known_within(READ_PAUSE) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits until a table is known. Returns `false` if `time` passed first.
    fn is_known_within(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = lock(&self.state);
        let mut passed = false;
        while state.table.revision == 0 && state.unreadable.is_none() && !passed {
            (state, passed) = wait_until(&self.changed, state, end);
        }
        state.table.revision != 0 || state.unreadable.is_some()
    }

    /// Notes a table message, unless a newer one is known.
    pub(crate) fn note(&self, message: &WireMessage) {
        match read_table(message.content.as_deref().unwrap_or_default()) {
            Ok(table) => self.note_table(Arc::new(table)),
            Err(reason) => {
                let reason = Printable::new(255, reason).to_string();
                lock(&self.state).unreadable = Some(reason);
            }
        }
    }

    /// Notes a table, unless a newer one is known.
    pub(crate) fn note_table(&self, table: Arc<RoutingDefinitions>) {
        let mut state = lock(&self.state);
        if table.revision > state.table.revision {
            state.table = table;
            state.unreadable = None;
            drop(state);
            self.changed.notify_all();
        }
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
            self.note(&arrival.message);
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
