//! The parts of a connection that its threads share.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use carrot_core::backend::{Delivery, Event, EventObservers, Role};
use carrot_core::{Error, Result};
use carrot_listener::{OutgoingQueue, WriterTask, lock, wait, wait_until};

use crate::client::channel_state::LinkChannel;
use crate::client::item::ClientItem;
use crate::heartbeat::{Heartbeat, PingTimer};
use crate::sending::MessageWriter;
use crate::stream::ZmtpStream;
use crate::zmtp::command;

/// The time that a host has to read the last messages, and to close the socket.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// The answer of the host to a call.
#[derive(Debug)]
pub(crate) enum CallAnswer {
    /// The fields of the answer.
    Done(Vec<u8>),
    /// A message that was fetched.
    Fetched(Delivery),
}

/// One call that waits for its answer.
#[derive(Debug, Default)]
pub(crate) struct LinkCall {
    answer: Mutex<Option<Result<CallAnswer>>>,
    answered: Condvar,
}

/// The parts of a connection that its threads share.
#[derive(Debug)]
pub(crate) struct LinkShared {
    pub(crate) role: Role,
    endpoint: String,
    pub(crate) stream: ZmtpStream,
    pub(crate) outgoing: OutgoingQueue<ClientItem>,
    pub(crate) heartbeat: Heartbeat,
    observers: Arc<EventObservers>,
    state: Mutex<LinkState>,
    /// Wakes the writer, which waits for the end of the connection.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct LinkState {
    failure: Option<Error>,
    /// Whether this program closes the connection, whose end is no event then.
    is_closing: bool,
    blocked: Option<String>,
    calls: HashMap<u32, Arc<LinkCall>>,
    channels: HashMap<u32, Weak<LinkChannel>>,
}

impl LinkCall {
    /// Waits for the answer. Returns `None` if `timeout` passed first.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Result<CallAnswer>> {
        let deadline = Instant::now().checked_add(timeout);
        let mut answer = lock(&self.answer);
        loop {
            if let Some(answer) = answer.take() {
                return Some(answer);
            }
            let mut passed = false;
            match deadline {
                Some(deadline) => (answer, passed) = wait_until(&self.answered, answer, deadline),
                None => answer = wait(&self.answered, answer),
            }
            if passed {
                return None;
            }
        }
    }

    fn answer(&self, answer: Result<CallAnswer>) {
        *lock(&self.answer) = Some(answer);
        self.answered.notify_all();
    }
}

impl LinkShared {
    pub(crate) fn new(
        role: Role,
        endpoint: String,
        stream: ZmtpStream,
        heartbeat: Heartbeat,
        observers: &Arc<EventObservers>,
    ) -> LinkShared {
        LinkShared {
            role,
            endpoint,
            stream,
            outgoing: OutgoingQueue::default(),
            heartbeat,
            observers: Arc::clone(observers),
            state: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Reports that the connection is open.
    pub(crate) fn report_open(&self) {
        self.observers.report(Event::Connected { role: self.role });
    }

    /// Notes that this program closes the connection, whose end is no event then.
    pub(crate) fn note_closing(&self) {
        lock(&self.state).is_closing = true;
    }

    /// Adds a call, whose answer may follow.
    pub(crate) fn begin_call(&self, number: u32) -> Result<Arc<LinkCall>> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let call = Arc::new(LinkCall::default());
        state.calls.insert(number, Arc::clone(&call));
        Ok(call)
    }

    pub(crate) fn forget_call(&self, number: u32) {
        lock(&self.state).calls.remove(&number);
    }

    /// Adds a channel, whose events follow.
    pub(crate) fn add_channel(&self, channel: &Arc<LinkChannel>) -> Result<()> {
        let mut state = lock(&self.state);
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None => {
                state.channels.insert(channel.number, Arc::downgrade(channel));
                Ok(())
            }
        }
    }

    pub(crate) fn remove_channel(&self, number: u32) {
        lock(&self.state).channels.remove(&number);
    }

    pub(crate) fn channel(&self, number: u32) -> Option<Arc<LinkChannel>> {
        lock(&self.state).channels.get(&number).and_then(Weak::upgrade)
    }

    /// Returns the reason why the host blocks publishers, if it does.
    pub(crate) fn blocked(&self) -> Option<String> {
        lock(&self.state).blocked.clone()
    }

    /// Returns the error over which the connection has ended, if it has.
    pub(crate) fn failure(&self) -> Option<Error> {
        lock(&self.state).failure.clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.state).failure.is_none()
    }

    /// Notes that the host blocks or unblocks publishers.
    pub(crate) fn note_blocked(&self, reason: Option<String>) {
        let role = self.role;
        let event = match &reason {
            Some(reason) => Event::Blocked { role, reason: reason.clone() },
            None => Event::Unblocked { role },
        };
        lock(&self.state).blocked = reason;
        self.observers.report(event);
    }

    /// Passes the answer to a call on.
    pub(crate) fn answer(&self, call: u32, answer: Result<CallAnswer>) {
        let waiting = lock(&self.state).calls.remove(&call);
        if let Some(waiting) = waiting {
            waiting.answer(answer);
        }
    }

    /// Returns the error of a connection that was lost for this reason.
    pub(crate) fn lost(&self, reason: impl std::fmt::Display) -> Error {
        Error::disconnected(format!("{}: {reason}", self.endpoint))
    }

    /// Ends the connection, its calls and its channels.
    pub(crate) fn fail(&self, error: &Error) {
        let mut state = lock(&self.state);
        if state.failure.is_some() {
            return;
        }
        let is_closing = state.is_closing;
        // The host may close the socket before the thread that closes has its answer.
        let closed = Error::closed("connection");
        let error = if is_closing { &closed } else { error };
        state.failure = Some(error.clone());
        state.blocked = None;
        let calls = std::mem::take(&mut state.calls);
        let channels = std::mem::take(&mut state.channels);
        drop(state);
        self.ended.notify_all();
        self.outgoing.abandon();
        self.stream.shut_down();
        for channel in channels.values().filter_map(Weak::upgrade) {
            channel.fail(error);
        }
        calls.into_values().for_each(|call| call.answer(Err(error.clone())));
        if !is_closing {
            log::debug!("a connection to a host was lost: {error}");
            self.observers.report(Event::Disconnected { role: self.role, error: error.clone() });
        }
    }

    /// Writes until the connection ends.
    pub(crate) fn run_writer(&self) {
        match self.write() {
            Ok(()) => self.finish(),
            Err(error) => self.fail(&self.lost(error)),
        }
    }

    /// Ends the socket after the last message. The reader continues: if octets of the host reached
    /// a socket that is closed, the system would discard what is still on its way to the host.
    fn finish(&self) {
        self.stream.shut_down_writing();
        let deadline = Instant::now() + END_TIMEOUT;
        let mut state = lock(&self.state);
        let mut passed = false;
        while state.failure.is_none() && !passed {
            (state, passed) = wait_until(&self.ended, state, deadline);
        }
        drop(state);
        self.stream.shut_down();
    }

    fn write(&self) -> io::Result<()> {
        let gives_up = || self.outgoing.is_ending();
        let mut writer = MessageWriter::new(&self.stream, &gives_up);
        let mut timer = PingTimer::new(self.heartbeat);
        loop {
            let task = self.outgoing.next_task(timer.left());
            if timer.is_due() {
                writer.append(|out| command::ping(out, self.heartbeat.ttl_tenths()))?;
            }
            match task {
                WriterTask::End => return writer.end(),
                WriterTask::Heartbeat => writer.flush()?,
                WriterTask::Write(batch) => {
                    batch.items.iter().try_for_each(|item| item.write(&mut writer))?;
                    writer.flush()?;
                    self.outgoing.note_written(&batch);
                }
            }
        }
    }
}
