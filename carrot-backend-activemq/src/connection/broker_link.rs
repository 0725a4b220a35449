//! The parts of a connection that its threads and its channels share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};

use carrot_core::{Error, Result};
use carrot_link::{CallDeadline, LinkCall, LinkLife};
use carrot_listener::{OutgoingQueue, PeerStream, lock};

use crate::connection::awaited_answer::{AnswerReceiver, AwaitedAnswer};
use crate::connection::dispatch_barrier::DispatchBarrier;
use crate::connection::handshake::{BrokerTraits, LOGIN};
use crate::connection::linked_channel::{BrokerAnswer, LinkedChannel};
use crate::connection::outgoing_frame::{OutgoingFrame, UnwrittenFrame};
use crate::connection::queue_directory::QueueDirectory;
use crate::wire::command::{CommandBody, CommandHead, OpenWireCommand};
use crate::wire::destination::WireDestination;
use crate::wire::message::WireMessage;

/// The session of the consumers that belong to no channel. Every connection has it.
pub(crate) const OWN_SESSION: i64 = -1;

/// The parts of a connection that its threads and its channels share.
#[derive(Debug)]
pub(crate) struct BrokerLink {
    /// The name of the connection at the broker.
    pub(crate) name: String,
    pub(crate) stream: PeerStream,
    pub(crate) traits: BrokerTraits,
    pub(crate) outgoing: OutgoingQueue<OutgoingFrame>,
    pub(crate) queues: Mutex<QueueDirectory>,
    /// Wakes threads that wait for a queue.
    pub(crate) queues_changed: Condvar,
    pub(crate) barrier: DispatchBarrier,
    last_command: AtomicI32,
    last_number: AtomicI64,
    pub(crate) life: LinkLife<BrokerLinkEntries>,
}

/// The entries that last as long as a connection.
#[derive(Debug, Default)]
pub(crate) struct BrokerLinkEntries {
    answers: HashMap<i32, AwaitedAnswer>,
    consumers: HashMap<i64, Weak<dyn LinkedChannel>>,
    channels: HashMap<i64, Weak<dyn LinkedChannel>>,
}

/// A call whose answer may be waited for.
#[derive(Debug)]
pub(crate) struct StartedCall {
    number: i32,
    call: Arc<LinkCall<BrokerAnswer>>,
}

impl BrokerLink {
    pub(crate) fn new(
        name: String,
        stream: PeerStream,
        traits: BrokerTraits,
        life: LinkLife<BrokerLinkEntries>,
    ) -> BrokerLink {
        BrokerLink {
            name,
            stream,
            traits,
            outgoing: OutgoingQueue::default(),
            queues: Mutex::default(),
            queues_changed: Condvar::new(),
            barrier: DispatchBarrier::default(),
            last_command: AtomicI32::new(LOGIN),
            last_number: AtomicI64::new(0),
            life,
        }
    }

    /// Returns a number that the connection has not used.
    pub(crate) fn next_number(&self) -> i64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns the number of the next command. No answer has the number zero.
    fn next_command(&self) -> i32 {
        loop {
            let number = self.last_command.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if number != 0 {
                return number;
            }
        }
    }

    /// Sends a command that the broker does not answer.
    pub(crate) fn send(&self, body: CommandBody) {
        let head = CommandHead { id: self.next_command(), needs_answer: false };
        let command = OpenWireCommand::Command(head, body);
        self.outgoing.add_and_wake(OutgoingFrame::new(&command));
    }

    /// Sends a command that the broker answers.
    pub(crate) fn start(&self, body: CommandBody) -> Result<StartedCall> {
        let call = Arc::new(LinkCall::default());
        let number = self.send_awaited(body, AnswerReceiver::Call(Arc::clone(&call)))?;
        Ok(StartedCall { number, call })
    }

    /// Waits for the answer to a call.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: no answer arrived in time.
    /// - The error of the connection.
    pub(crate) fn finish(
        &self,
        operation: &'static str,
        started: &StartedCall,
        deadline: CallDeadline,
    ) -> Result<BrokerAnswer> {
        started.call.wait(deadline.left()).unwrap_or_else(|| {
            self.life.entries(|entries| entries.answers.remove(&started.number));
            Err(deadline.late(operation))
        })
    }

    /// Sends a command, and waits for its answer.
    ///
    /// # Errors
    /// As [`finish`](BrokerLink::finish).
    pub(crate) fn call(
        &self,
        operation: &'static str,
        body: CommandBody,
        deadline: CallDeadline,
    ) -> Result<BrokerAnswer> {
        let started = self.start(body)?;
        self.finish(operation, &started, deadline)
    }

    /// Returns a message as a frame. The channel then gets its answer under a tag, if there is one.
    pub(crate) fn message_frame(&self, message: WireMessage) -> (i32, OutgoingFrame) {
        let command = self.next_command();
        let message = WireMessage { command, ..message };
        (command, OutgoingFrame::new(&OpenWireCommand::Message(Box::new(message))))
    }

    /// Sends a message that the broker answers.
    pub(crate) fn start_message(&self, message: WireMessage) -> Result<StartedCall> {
        let (number, frame) = self.message_frame(WireMessage { needs_answer: true, ..message });
        let call = Arc::new(LinkCall::default());
        self.await_answer(number, AnswerReceiver::Call(Arc::clone(&call)).into())?;
        self.outgoing.add_and_wake(frame);
        Ok(StartedCall { number, call })
    }

    /// Sends a message, and waits for its answer.
    ///
    /// # Errors
    /// As [`finish`](BrokerLink::finish).
    pub(crate) fn call_message(
        &self,
        operation: &'static str,
        message: WireMessage,
        deadline: CallDeadline,
    ) -> Result<BrokerAnswer> {
        let started = self.start_message(message)?;
        self.finish(operation, &started, deadline)
    }

    /// Sends the frame of a message. With a tag, the channel gets the answer.
    pub(crate) fn send_message(
        &self,
        frame: (i32, OutgoingFrame),
        awaited: Option<(Weak<dyn LinkedChannel>, u64)>,
    ) -> Result<()> {
        self.add_message(frame, awaited).map(drop)
    }

    /// Adds the frame of a message to those that leave. With a tag, the channel gets the answer.
    pub(crate) fn add_message(
        &self,
        (command, frame): (i32, OutgoingFrame),
        awaited: Option<(Weak<dyn LinkedChannel>, u64)>,
    ) -> Result<UnwrittenFrame<'_>> {
        if let Some((channel, tag)) = awaited {
            self.await_answer(command, AnswerReceiver::Publication { channel, tag }.into())?;
        }
        Ok(UnwrittenFrame::add(&self.outgoing, &self.stream, frame))
    }

    /// Sends a command that the broker answers. With a tag, the channel gets the answer, as that of
    /// a publication.
    pub(crate) fn send_answered(
        &self,
        body: CommandBody,
        awaited: Option<(Weak<dyn LinkedChannel>, u64)>,
    ) -> Result<()> {
        let receiver = match awaited {
            Some((channel, tag)) => AnswerReceiver::Publication { channel, tag },
            None => AnswerReceiver::Nobody,
        };
        self.send_awaited(body, receiver).map(drop)
    }

    /// Sends a command that the broker answers. Returns its number.
    fn send_awaited(&self, body: CommandBody, receiver: AnswerReceiver) -> Result<i32> {
        let number = self.next_command();
        self.await_answer(number, AwaitedAnswer::new(receiver, &body))?;
        let head = CommandHead { id: number, needs_answer: true };
        self.outgoing.add_and_wake(OutgoingFrame::new(&OpenWireCommand::Command(head, body)));
        Ok(number)
    }

    fn await_answer(&self, number: i32, awaited: AwaitedAnswer) -> Result<()> {
        self.life.add(|entries| drop(entries.answers.insert(number, awaited)))
    }

    /// Passes an answer on.
    pub(crate) fn answer(&self, number: i32, answer: BrokerAnswer) {
        let awaited = self.life.entries(|entries| entries.answers.remove(&number));
        let Some(AwaitedAnswer { receiver, rollback }) = awaited else { return };
        if let Some(rollback) = rollback.filter(|_| answer.is_err()) {
            self.send(rollback);
        }
        receiver.pass(answer);
    }

    /// Adds a channel, which learns of the end of the connection.
    pub(crate) fn add_channel(&self, session: i64, channel: Weak<dyn LinkedChannel>) -> Result<()> {
        self.life.add(|entries| drop(entries.channels.insert(session, channel)))
    }

    /// Removes a channel, with its consumers.
    pub(crate) fn remove_channel(&self, session: i64, consumers: &[i64]) {
        self.life.entries(|entries| {
            entries.channels.remove(&session);
            for consumer in consumers {
                entries.consumers.remove(consumer);
            }
        });
    }

    /// Adds a consumer, whose messages follow.
    pub(crate) fn add_consumer(&self, consumer: i64, channel: Weak<dyn LinkedChannel>) {
        self.life.entries(|entries| entries.consumers.insert(consumer, channel));
    }

    pub(crate) fn forget_consumer(&self, consumer: i64) {
        self.life.entries(|entries| entries.consumers.remove(&consumer));
    }

    /// Returns what receives the messages of a consumer.
    pub(crate) fn receiver(&self, consumer: i64) -> Option<Arc<dyn LinkedChannel>> {
        self.life.entries(|entries| entries.consumers.get(&consumer).and_then(Weak::upgrade))
    }

    /// Notifies all channels that a queue is about to be deleted.
    pub(crate) fn note_deletion(&self, queue: &WireDestination) {
        let channels: Vec<_> =
            self.life.entries(|entries| entries.channels.values().cloned().collect());
        for channel in channels.iter().filter_map(Weak::upgrade) {
            channel.queue_deleted(queue);
        }
    }

    /// Ends the connection, its calls and its channels.
    pub(crate) fn fail(&self, error: &Error) {
        self.life.end(error, |error, entries| {
            self.outgoing.abandon();
            self.stream.shut_down();
            self.barrier.end(error);
            // Waiting threads hold the lock until they wait.
            drop(lock(&self.queues));
            self.queues_changed.notify_all();
            for channel in entries.channels.values().filter_map(Weak::upgrade) {
                channel.lost(error);
            }
            for awaited in entries.answers.into_values() {
                awaited.receiver.lose(error);
            }
        });
    }
}
