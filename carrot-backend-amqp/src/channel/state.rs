//! The state that a channel shares with the reader of its connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use carrot_amqp_wire::{BasicCancel, ChannelClose};
use carrot_core::backend::{Content, Outcome, Rejection};
use carrot_core::{Error, Result};

use super::assembler::Assembler;
use super::confirms::{ConfirmStatus, Confirms, NoOutcome};
use super::consumers::Consumers;
use super::encode;
use super::rpc::{CallSlot, NoReply, Reply};
use super::unacked::{AckTracker, SettlementFrame, SettlementKind};
use crate::connection::{
    Call, ChannelId, ChannelOpening, ConnectionState, MayLead, OutgoingFrames, TooManyAnswers,
    Violation,
};
use crate::time::deadline_after;

/// The reply code of an orderly end.
const SUCCESS: u16 = 200;

pub(crate) struct ChannelInner {
    pub(super) me: Weak<ChannelInner>,
    pub(crate) number: u16,
    pub(crate) id: ChannelId,
    pub(crate) connection: Arc<ConnectionState>,
    pub(crate) is_confirming: bool,
    pub(crate) confirms: Confirms,
    pub(crate) tracker: AckTracker,
    pub(crate) slot: CallSlot,
    pub(crate) consumers: Consumers,
    /// Used only by the reader.
    pub(super) incoming: Mutex<Incoming>,
    opening: OnceLock<ChannelOpening>,
    first_error: OnceLock<Error>,
    /// Whether the broker waits for settlements.
    pub(super) delivers: AtomicBool,
    /// Whether channel.close is sent, or is about to be.
    is_closing: AtomicBool,
}

/// The part of the state that the reader keeps.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) assembler: Assembler,
    /// Whether the broker has opened the channel. Earlier frames are for an earlier channel of the
    /// same number.
    pub(super) is_open: bool,
}

impl ChannelInner {
    pub(crate) fn new(
        connection: &Arc<ConnectionState>,
        number: u16,
        is_confirming: bool,
    ) -> Arc<ChannelInner> {
        Arc::new_cyclic(|me| ChannelInner {
            me: Weak::clone(me),
            number,
            id: connection.calls.id(),
            connection: Arc::clone(connection),
            is_confirming,
            confirms: Confirms::new(is_confirming),
            tracker: AckTracker::new(),
            slot: CallSlot::default(),
            consumers: Consumers::default(),
            incoming: Mutex::new(Incoming {
                assembler: Assembler::new(Arc::clone(&connection.buffers)),
                is_open: false,
            }),
            opening: OnceLock::new(),
            first_error: OnceLock::new(),
            delivers: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
        })
    }

    /// Returns the first error, if the channel has ended.
    pub(crate) fn failure(&self) -> Option<Error> {
        let with_connection = || self.connection.failure().map(|lost| self.fail_with(lost));
        self.first_error.get().cloned().or_else(with_connection)
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.failure().map_or(Ok(()), Err)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Ends the channel. Returns whether this is the first error.
    pub(crate) fn fail(&self, error: Error) -> bool {
        let is_first = self.first_error.set(error).is_ok();
        if is_first {
            self.slot.fail();
            self.confirms.end();
            self.consumers.end();
            self.connection.leadership.interrupt();
            self.connection.read_limit.lift();
        }
        is_first
    }

    /// Ends the channel with its connection, and returns the first error.
    fn fail_with(&self, lost: Error) -> Error {
        let error = self.connection.calls.first_error(self.id, lost);
        self.fail(error.clone());
        self.first_error.get().cloned().unwrap_or(error)
    }

    /// Returns the first error of a channel that has ended, or is about to.
    pub(crate) fn gone(&self) -> Error {
        self.failure().unwrap_or_else(|| self.fail_with(self.connection.death()))
    }

    /// Opens the channel with these frames, and waits for the answer.
    pub(crate) fn open(
        &self,
        call: Call,
        frames: Vec<u8>,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<()> {
        let open = || match self.connection.writer.open(self.number, frames) {
            Some(opening) => self.opening.set(opening).is_ok(),
            None => {
                self.connection.channels.free(self.number);
                false
            }
        };
        self.round_trip(call, timeout, deadline, open).map(drop)
    }

    /// Opens the channel as if the broker had answered.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn open_without_broker(&self) {
        if let Some(opening) = self.connection.writer.open(self.number, Vec::new()) {
            let _ = self.opening.set(opening);
        }
        crate::sync::lock(&self.incoming).is_open = true;
    }

    /// Sends a call with these frames, and waits for the answer.
    pub(crate) fn call(&self, call: Call, frames: Vec<u8>, timeout: Duration) -> Result<Reply> {
        self.check()?;
        let connection = &self.connection;
        let timeout = timeout.min(connection.call_timeout);
        let deadline = deadline_after(timeout);
        let overdue = || connection.overdue(call.operation, timeout);
        let _turn = connection.calls.isolation.enter(call, deadline).ok_or_else(overdue)?;
        self.round_trip(call, timeout, deadline, || {
            self.flush();
            self.send(|| (OutgoingFrames::from(frames), ())).is_some()
        })
    }

    /// Sends a call after those before, and waits for the answer. `send` returns false if the
    /// channel is closed.
    fn round_trip(
        &self,
        call: Call,
        timeout: Duration,
        deadline: Instant,
        send: impl FnOnce() -> bool,
    ) -> Result<Reply> {
        let connection = &self.connection;
        let turn = self.slot.take(call, deadline).map_err(|none| match none {
            NoReply::Failed => self.gone(),
            NoReply::Late => connection.overdue(call.operation, timeout),
        })?;
        let _reads = connection.read_limit.suspend();
        let in_flight = connection.calls.enter(self.id, call);
        if !send() {
            return Err(self.gone());
        }
        let is_answered = || turn.has_ended();
        let waiting = connection.leadership.wait(deadline, MayLead::Yes, is_answered);
        let reply = turn.wait(deadline);
        drop((waiting, in_flight, turn));
        reply.map_err(|none| match none {
            NoReply::Failed => self.gone(),
            NoReply::Late => self.time_out(call.operation, timeout),
        })
    }

    /// Waits for the outcome of a message.
    pub(crate) fn wait_for_confirm(
        &self,
        tag: u64,
        deadline: Instant,
    ) -> Result<Outcome, NoOutcome> {
        let unconfirmed = match self.confirms.status(tag) {
            ConfirmStatus::Known(known) => return known,
            ConfirmStatus::Awaited(unconfirmed) => unconfirmed,
        };
        // The reader writes the messages as one that threads publish because of a confirm. None of
        // them can be the reader.
        let may_lead = if unconfirmed == 1 { MayLead::Yes } else { MayLead::No };
        let is_known = || self.confirms.is_known(tag);
        let _waiting = self.connection.leadership.wait(deadline, may_lead, is_known);
        self.confirms.wait(tag, deadline)
    }

    /// Waits until the deliveries of dropped subscriptions are requeued, and returns the rest of
    /// the timeout.
    pub(crate) fn after_releases(&self, call: Call, timeout: Duration) -> Result<Duration> {
        let timeout = timeout.min(self.connection.call_timeout);
        let deadline = deadline_after(timeout);
        if self.consumers.are_released() {
            return Ok(timeout);
        }
        let leadership = &self.connection.leadership;
        let are_released = || self.consumers.are_released();
        let _waiting = leadership.wait(deadline, MayLead::Yes, are_released);
        if !self.consumers.wait_for_released(deadline) {
            return Err(self.connection.overdue(call.operation, timeout));
        }
        Ok(deadline.saturating_duration_since(Instant::now()))
    }

    /// Ends the channel over a call that timed out, and returns the error of the call. An alarm
    /// explains the call, but the channel stays closed after the alarm.
    fn time_out(&self, operation: &'static str, after: Duration) -> Error {
        let connection = &self.connection;
        let error = connection.overdue(operation, after);
        if self.fail(Error::timeout(operation, after)) {
            self.close_at_broker();
            if connection.channels.overdue(self.number, connection.channel_max()) {
                connection.cut("half of its channels wait for answers that do not arrive");
            }
        }
        error
    }

    /// Sends frames that are created in the order in which they leave. Returns `None` if the
    /// channel is closed.
    pub(super) fn send<T>(&self, create: impl FnOnce() -> (OutgoingFrames, T)) -> Option<T> {
        self.connection.writer.send(*self.opening.get()?, create)
    }

    /// Sends an answer of the reader soon, unless the channel is closed.
    pub(crate) fn hand_over(&self, answer: Vec<u8>) -> Result<(), Violation> {
        let Some(opening) = self.opening.get() else { return Ok(()) };
        let overfull = |TooManyAnswers| Violation::resource_error("the broker reads no answers");
        if self.connection.writer.hand_over_on(*opening, answer).map_err(overfull)? {
            self.connection.flush_soon();
        }
        Ok(())
    }

    /// Sends a message for which the back-pressure has made room. Returns its tag; `None` if the
    /// channel is closed.
    pub(crate) fn publish(
        &self,
        content: &Arc<Content>,
        mandatory: bool,
        frames: OutgoingFrames,
        size: usize,
    ) -> Option<u64> {
        let issue = || (frames, self.confirms.issue(content, mandatory));
        self.connection.writer.send_counted(*self.opening.get()?, size, issue)
    }

    /// Sends channel.close, after everything else that the channel has to send. Its number is free
    /// again when the broker has answered.
    ///
    /// Consumers are cancelled and deliveries are requeued first, because RabbitMQ 4.3 counts what
    /// a closed channel had as failed deliveries.
    pub(crate) fn close_at_broker(&self) {
        if self.is_closing.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(opening) = self.opening.get() else { return };
        self.flush();
        self.connection.channels.closing(self.number);
        let tags = self.consumers.tags();
        let is_sent = self.connection.writer.send_last(*opening, || {
            let mut out = Vec::new();
            for tag in &tags {
                let cancel = BasicCancel { consumer_tag: tag.into(), no_wait: true };
                encode::append(&mut out, self.number, &cancel.into());
            }
            if self.delivers.load(Ordering::Acquire) {
                let kind = SettlementKind::Reject(Rejection::Requeue);
                let all = SettlementFrame { kind, tag: 0, multiple: true };
                encode::settlement(&mut out, self.number, &all);
            }
            let close = ChannelClose { reply_code: SUCCESS, ..ChannelClose::default() };
            encode::append(&mut out, self.number, &close.into());
            out
        });
        if !is_sent {
            self.slot.closed();
        }
    }
}
