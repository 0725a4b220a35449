//! The counts of queues, from the statistics plug-in of the broker.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use carrot_core::{Error, Result};
use carrot_link::CallDeadline;
use carrot_listener::{lock, wait_until};

use crate::connection::broker_link::{BrokerLink, OWN_SESSION};
use crate::connection::linked_channel::{Arrival, BrokerAnswer, LinkedChannel};
use crate::wire::command::CommandBody;
use crate::wire::delivery_commands::MessageAck;
use crate::wire::destination::WireDestination;
use crate::wire::ids::MessageId;
use crate::wire::message::{MessageKind, WireMessage};
use crate::wire::property_map::PropertyMap;
use crate::wire::setup_commands::{ConsumerInfo, DestinationInfo, ProducerInfo};

/// The consumer of the answers.
const STATISTICS: i64 = -1;
/// The time that a broker with the plug-in has for an answer, once it has taken the question.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most answers that are not acknowledged.
const PREFETCH: i32 = 1000;
/// The name of the answer that shows that the plug-in is there.
const PROBE: &str = "probe";

/// The counts of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BrokerCounts {
    pub(crate) ready: u32,
    /// The consumers at the broker: a subscription has one for each message of its prefetch.
    pub(crate) consumers: u32,
}

/// The place where answers of the plug-in arrive.
#[derive(Debug)]
pub(crate) struct StatisticsPort {
    link: Arc<BrokerLink>,
    /// The temporary queue for answers.
    queue: WireDestination,
    state: Mutex<StatisticsState>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct StatisticsState {
    is_present: bool,
    /// The time at which the first call began to wait for the plug-in.
    awaited_since: Option<Instant>,
    /// Whether the user may not ask.
    is_refused: bool,
    is_over: bool,
    answers: HashMap<String, Option<BrokerCounts>>,
}

impl StatisticsPort {
    fn new(link: Arc<BrokerLink>) -> StatisticsPort {
        let queue = WireDestination::temporary_queue(format!("{}:statistics", link.name));
        StatisticsPort { link, queue, state: Mutex::default(), answered: Condvar::new() }
    }

    /// Opens the temporary queue, and asks the plug-in for a first answer. Does not wait. A broker
    /// without the plug-in drops the question, which goes to a topic.
    ///
    /// # Errors
    /// The error of the connection.
    pub(crate) fn open(link: &Arc<BrokerLink>) -> Result<Arc<StatisticsPort>> {
        let port = Arc::new(StatisticsPort::new(Arc::clone(link)));
        let weak = Arc::downgrade(&port) as Weak<dyn LinkedChannel>;
        link.add_channel(OWN_SESSION, Weak::clone(&weak))?;
        link.add_consumer(STATISTICS, weak);
        port.probe();
        Ok(port)
    }

    fn probe(&self) {
        let link = &self.link;
        link.send(CommandBody::Destination(DestinationInfo {
            connection: Some(link.connection_id()),
            destination: Some(self.queue.clone()),
            operation: DestinationInfo::ADD,
            ..DestinationInfo::default()
        }));
        link.send(CommandBody::Consumer(ConsumerInfo {
            consumer: Some(link.consumer_id(OWN_SESSION, STATISTICS)),
            destination: Some(self.queue.clone()),
            prefetch: PREFETCH,
            ..ConsumerInfo::default()
        }));
        let producer = Some(link.producer_id(OWN_SESSION));
        link.send(CommandBody::Producer(ProducerInfo { producer, ..ProducerInfo::default() }));
        let question = self.question(WireDestination::topic("ActiveMQ.Statistics.Broker"), PROBE);
        // A connection that is lost fails the next call.
        let _ = link.send_message(link.message_frame(question), None);
    }

    fn question(&self, destination: WireDestination, correlation: &str) -> WireMessage {
        let link = &self.link;
        let producer = link.producer_id(OWN_SESSION);
        let id = MessageId {
            producer: Some(producer.clone()),
            producer_sequence: link.next_number(),
            ..MessageId::default()
        };
        WireMessage {
            kind: MessageKind::Plain,
            producer: Some(producer),
            id: Some(id),
            destination: Some(destination),
            correlation_id: Some(correlation.into()),
            reply_to: Some(self.queue.clone()),
            ..WireMessage::default()
        }
    }

    /// Returns the counts of a queue; `None` for a broker without the plug-in, and for a user who
    /// may not ask it.
    ///
    /// The first call waits for a second if there is no plug-in. The next ones do not wait then.
    /// The caller has waited for a round trip before, so that the broker has read the first
    /// question.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the deadline has passed.
    /// - The error of the connection.
    pub(crate) fn counts(
        &self,
        queue: &str,
        deadline: CallDeadline,
    ) -> Result<Option<BrokerCounts>> {
        if !self.is_present(deadline) {
            return Ok(None);
        }
        let correlation = self.link.next_number().to_string();
        lock(&self.state).answers.insert(correlation.clone(), None);
        let counts = self.ask(queue, &correlation, deadline);
        lock(&self.state).answers.remove(&correlation);
        counts
    }

    fn ask(
        &self,
        queue: &str,
        correlation: &str,
        deadline: CallDeadline,
    ) -> Result<Option<BrokerCounts>> {
        let destination =
            WireDestination::queue(format!("ActiveMQ.Statistics.Destination.{queue}"));
        let question = self.question(destination, correlation);
        if let Err(refusal) = self.link.call_message("declare", question, deadline)? {
            log::debug!("the broker refuses to count the messages of queues: {refusal}");
            lock(&self.state).is_refused = true;
            return Ok(None);
        }
        let end = deadline.at().min(Instant::now() + PATIENCE);
        let mut state = lock(&self.state);
        let mut passed = false;
        loop {
            if let Some(Some(counts)) = state.answers.get(correlation) {
                return Ok(Some(*counts));
            }
            if state.is_over || (passed && !deadline.left().is_zero()) {
                return Ok(None);
            }
            if passed {
                return Err(deadline.late("declare"));
            }
            (state, passed) = wait_until(&self.answered, state, end);
        }
    }

    /// Waits until it is known whether the broker has the plug-in, and the user may ask it.
    fn is_present(&self, deadline: CallDeadline) -> bool {
        let mut state = lock(&self.state);
        let since = *state.awaited_since.get_or_insert_with(Instant::now);
        let end = deadline.at().min(since + PATIENCE);
        let mut passed = false;
        while !state.is_present && !state.is_over && !passed {
            (state, passed) = wait_until(&self.answered, state, end);
        }
        state.is_present && !state.is_refused
    }

    fn acknowledgement(&self, message: MessageId) -> CommandBody {
        CommandBody::Ack(MessageAck {
            destination: Some(self.queue.clone()),
            consumer: Some(self.link.consumer_id(OWN_SESSION, STATISTICS)),
            kind: MessageAck::INDIVIDUAL,
            first: Some(message.clone()),
            last: Some(message),
            count: 1,
            ..MessageAck::default()
        })
    }
}

impl LinkedChannel for StatisticsPort {
    fn confirmed(&self, _: u64, _: BrokerAnswer) {}

    fn arrived(&self, _: i64, arrival: Option<Arrival>) {
        let Some(Arrival { message, .. }) = arrival else { return };
        let correlation = message.correlation_id.clone().unwrap_or_default();
        {
            let mut state = lock(&self.state);
            state.is_present = true;
            if let Some(answer) = state.answers.get_mut(&correlation) {
                *answer = Some(counts_of(&message));
            }
        }
        self.answered.notify_all();
        // A broker that does not read cannot answer a question.
        if let Some(id) = message.id
            && !self.link.outgoing.is_full()
        {
            self.link.send(self.acknowledgement(id));
        }
    }

    fn consumer_removed(&self, _: i64) {}

    fn queue_deleted(&self, _: &WireDestination) {}

    fn lost(&self, _: &Error) {
        lock(&self.state).is_over = true;
        self.answered.notify_all();
    }
}

/// Returns the counts in an answer, which is a map.
fn counts_of(message: &WireMessage) -> BrokerCounts {
    let octets = message.content.as_deref().unwrap_or_default();
    let map = PropertyMap::read(octets, "statistics").unwrap_or_default();
    let number = |name| map.integer(name).unwrap_or_default();
    let count = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
    BrokerCounts {
        ready: count(number("size") - number("inflightCount")),
        consumers: count(number("consumerCount")),
    }
}
