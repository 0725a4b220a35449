//! The counts of queues, from the statistics plug-in of the broker.
//!
//! The plug-in answers a question while the broker takes it, so that a pull behind the question
//! finds the answer, or shows that there is none. Neither is a matter of time.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, Weak};

use carrot_core::{Error, Result};
use carrot_link::{CallDeadline, LinkCall};
use carrot_listener::{lock, wait_until};

use crate::connection::broker_link::{BrokerLink, OWN_SESSION, StartedCall};
use crate::connection::linked_channel::{Arrival, BrokerAnswer, LinkedChannel};
use crate::wire::command::CommandBody;
use crate::wire::delivery_commands::{MessageAck, MessagePull};
use crate::wire::destination::WireDestination;
use crate::wire::ids::MessageId;
use crate::wire::message::{MessageKind, WireMessage};
use crate::wire::property_map::PropertyMap;
use crate::wire::setup_commands::{ConsumerInfo, DestinationInfo, ProducerInfo};

/// The consumer of the answers.
const STATISTICS: i64 = -1;

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
    /// Wakes threads that wait for the first answer.
    found: Condvar,
}

#[derive(Debug, Default)]
struct StatisticsState {
    /// Whether the broker has the plug-in; `None` before the first answer.
    is_present: Option<bool>,
    /// Whether the user may not ask.
    is_refused: bool,
    /// The error of the connection.
    failure: Option<Error>,
    /// The questions whose answers follow, in this order.
    asked: VecDeque<Arc<LinkCall<Option<BrokerCounts>>>>,
}

impl StatisticsPort {
    fn new(link: Arc<BrokerLink>) -> StatisticsPort {
        let queue = WireDestination::temporary_queue(format!("{}:statistics", link.name));
        StatisticsPort { link, queue, state: Mutex::default(), found: Condvar::new() }
    }

    /// Opens the temporary queue, and asks the plug-in for a first answer. Does not wait. Also
    /// returns the call that creates the queue. A broker without the plug-in drops the question,
    /// which goes to a topic.
    ///
    /// # Errors
    /// The error of the connection.
    pub(crate) fn open(link: &Arc<BrokerLink>) -> Result<(Arc<StatisticsPort>, StartedCall)> {
        let port = Arc::new(StatisticsPort::new(Arc::clone(link)));
        let weak = Arc::downgrade(&port) as Weak<dyn LinkedChannel>;
        link.add_channel(OWN_SESSION, Weak::clone(&weak))?;
        link.add_consumer(STATISTICS, Weak::clone(&weak));
        let created = link.start(link.queue_change(&port.queue, DestinationInfo::ADD))?;
        port.probe(weak)?;
        Ok((port, created))
    }

    /// Returns the temporary queue for answers.
    pub(crate) fn queue(&self) -> &WireDestination {
        &self.queue
    }

    fn probe(&self, this: Weak<dyn LinkedChannel>) -> Result<()> {
        let link = &self.link;
        let consumer = CommandBody::Consumer(ConsumerInfo {
            consumer: Some(link.consumer_id(OWN_SESSION, STATISTICS)),
            destination: Some(self.queue.clone()),
            is_dispatch_async: true,
            ..ConsumerInfo::default()
        });
        // A user who may not consume gets no answer to a pull.
        link.send_answered(consumer, Some((this, 0)))?;
        let producer = Some(link.producer_id(OWN_SESSION));
        link.send(CommandBody::Producer(ProducerInfo { producer, ..ProducerInfo::default() }));
        let question = self.question(WireDestination::topic("ActiveMQ.Statistics.Broker"));
        link.send_message(link.message_frame(question), None)?;
        link.send(self.pull());
        Ok(())
    }

    fn question(&self, destination: WireDestination) -> WireMessage {
        let link = &self.link;
        let id = link.next_message_id(OWN_SESSION);
        WireMessage {
            kind: MessageKind::Plain,
            producer: id.producer.clone(),
            id: Some(id),
            destination: Some(destination),
            reply_to: Some(self.queue.clone()),
            ..WireMessage::default()
        }
    }

    fn pull(&self) -> CommandBody {
        CommandBody::Pull(MessagePull {
            consumer: Some(self.link.consumer_id(OWN_SESSION, STATISTICS)),
            destination: Some(self.queue.clone()),
            timeout: MessagePull::AT_ONCE,
            ..MessagePull::default()
        })
    }

    /// Returns the counts of a queue; `None` for a broker without the plug-in, for a user who may
    /// not ask it, and for a queue that it does not know. The name of a temporary queue has its
    /// prefix.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer.
    /// - The error of the connection.
    pub(crate) fn counts(
        &self,
        operation: &'static str,
        queue: &str,
        deadline: CallDeadline,
    ) -> Result<Option<BrokerCounts>> {
        if !self.is_usable(operation, deadline)? {
            return Ok(None);
        }
        let (question, answer) = self.ask(queue)?;
        if let Err(refusal) = self.link.finish(operation, &question, deadline)? {
            log::debug!("the broker refuses to count the messages of queues: {refusal}");
            lock(&self.state).is_refused = true;
            return Ok(None);
        }
        answer.wait(deadline.left()).unwrap_or_else(|| Err(deadline.late(operation)))
    }

    /// Sends a question, and the pull of its answer.
    fn ask(&self, queue: &str) -> Result<(StartedCall, Arc<LinkCall<Option<BrokerCounts>>>)> {
        let destination =
            WireDestination::queue(format!("ActiveMQ.Statistics.Destination.{queue}"));
        let question = self.question(destination);
        let answer = Arc::new(LinkCall::default());
        // Sending does not wait. The lock keeps the order of the questions and of their pulls.
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let question = self.link.start_message(question)?;
        self.link.send(self.pull());
        state.asked.push_back(Arc::clone(&answer));
        Ok((question, answer))
    }

    /// Waits until it is known whether the broker has the plug-in, and the user may ask it.
    fn is_usable(&self, operation: &'static str, deadline: CallDeadline) -> Result<bool> {
        let mut state = lock(&self.state);
        let mut passed = false;
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if let Some(is_present) = state.is_present {
                return Ok(is_present && !state.is_refused);
            }
            if passed {
                return Err(deadline.late(operation));
            }
            (state, passed) = wait_until(&self.found, state, deadline.at());
        }
    }

    /// Notes whether the broker has the plug-in.
    fn note(&self, is_present: bool) {
        lock(&self.state).is_present.get_or_insert(is_present);
        self.found.notify_all();
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
    fn confirmed(&self, _: u64, answer: BrokerAnswer) {
        if let Err(refusal) = answer {
            log::debug!("the user may not receive the counts of queues: {refusal}");
            self.note(false);
        }
    }

    fn arrived(&self, _: i64, arrival: Option<Arrival>) {
        let asked = {
            let mut state = lock(&self.state);
            state.is_present.and_then(|_| state.asked.pop_front())
        };
        match asked {
            Some(asked) => asked.answer(Ok(arrival.as_ref().map(|one| counts_of(&one.message)))),
            None => self.note(arrival.is_some()),
        }
        // A broker that does not read cannot answer a question.
        if let Some(id) = arrival.and_then(|arrival| arrival.message.id)
            && !self.link.outgoing.is_full()
        {
            self.link.send(self.acknowledgement(id));
        }
    }

    fn consumer_removed(&self, _: i64) {}

    fn queue_deleted(&self, _: &WireDestination) {}

    fn lost(&self, error: &Error) {
        let asked = {
            let mut state = lock(&self.state);
            state.failure = Some(error.clone());
            std::mem::take(&mut state.asked)
        };
        self.found.notify_all();
        for asked in asked {
            asked.answer(Err(error.clone()));
        }
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
