//! The channel that a backend and its subscriptions share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_core::backend::{Content, Delivery, DeliveryTag, Extent};
use carrot_core::{Error, Result};

use crate::broker::BrokerShared;
use crate::broker::connection::BrokerConnection;
use crate::broker::fault_plan::{FaultOutcome, Operation};
use crate::channel::unacked::UnackedDelivery;
use crate::channel::{BrokerChannel, ClosedChannel};
use crate::errors;
use crate::queue::BrokerQueue;
use crate::queue::sink::{ConsumerKey, UnackedMessage};
use crate::queue::state::SettleAction;
use crate::sync::lock;

/// Keeps a channel open. The channel closes when its backend and its subscriptions are dropped.
#[derive(Debug)]
pub(crate) struct ChannelHandle {
    pub(crate) connection: Arc<BrokerConnection>,
    pub(crate) channel: Arc<BrokerChannel>,
    pub(crate) call_timeout: Duration,
    /// The largest frame that RabbitMQ would accept, in bytes.
    pub(crate) frame_max: usize,
}

impl Drop for ChannelHandle {
    fn drop(&mut self) {
        self.close(Error::closed("channel"));
    }
}

impl ChannelHandle {
    pub(crate) fn shared(&self) -> &Arc<BrokerShared> {
        &self.connection.shared
    }

    pub(crate) fn close(&self, error: Error) {
        if let Some(closed) = self.channel.fail(error) {
            self.shared().release_channel(closed);
        }
    }

    /// Closes the channel because of a tag that it does not have. A driver notices the tag before
    /// the broker, and returns the deliveries before it closes the channel.
    fn close_over_unknown_tag(&self, tag: DeliveryTag) {
        if let Some(closed) = self.channel.fail(errors::unknown_tag(tag.0)) {
            self.shared().release_channel(ClosedChannel { given_back: true, ..closed });
        }
    }

    /// Closes the channel or the connection, if the error of a failed operation does.
    pub(crate) fn close_on_error<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            match error {
                Error::Disconnected { .. } | Error::HardError { .. } => {
                    self.connection.fail_because_of(Some(&self.channel), error);
                }
                Error::Timeout { .. } => self.close(error.clone()),
                error if error.is_channel_error() => self.close(error.clone()),
                _ => {}
            }
        }
        result
    }

    /// Injects the faults planned for an operation, of which a delay ends after `timeout`. Fails
    /// with the first error of a closed channel.
    pub(crate) fn begin(&self, operation: Operation, timeout: Duration) -> Result<FaultOutcome> {
        self.channel.check()?;
        if !self.shared().faults.is_armed() {
            return Ok(FaultOutcome::Proceed);
        }
        self.close_on_error(self.shared().inject_faults(operation, Some(&self.channel), timeout))
    }

    /// Injects the faults planned for a publication, as [`begin`](ChannelHandle::begin).
    ///
    /// A delay that reaches the timeout closes nothing. Returns `None` if the broker has closed the
    /// channel or the connection because of the publication; the next waiting call reports that.
    #[inline]
    pub(crate) fn begin_publish(
        &self,
        content: &Content,
        timeout: Duration,
    ) -> Result<Option<FaultOutcome>> {
        self.channel.check()?;
        if !self.shared().faults.is_armed() {
            return Ok(Some(FaultOutcome::Proceed));
        }
        self.inject_publish_faults(content, timeout)
    }

    #[cold]
    fn inject_publish_faults(
        &self,
        content: &Content,
        timeout: Duration,
    ) -> Result<Option<FaultOutcome>> {
        let outcome =
            match self.shared().inject_faults(Operation::Publish, Some(&self.channel), timeout) {
                Err(error @ Error::Timeout { .. }) => return Err(self.blocked_or(error)),
                Ok(outcome) => self.shared().faults.check(content).map(|()| outcome),
                Err(error) => Err(error),
            };
        match self.close_on_error(outcome.map_err(|error| self.or_uncertain(error))) {
            Ok(outcome) => Ok(Some(outcome)),
            Err(error)
                if error.is_channel_error()
                    || error.hard_close().is_some()
                    || matches!(error, Error::HardError { .. }) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Marks a hard error as uncertain while confirms are lost: the broker may have closed the
    /// connection because of one of those publications.
    fn or_uncertain(&self, error: Error) -> Error {
        match (&error, lock(&self.channel.confirms).lost()) {
            (Error::HardError { code, reason }, others @ 1..) => {
                errors::uncertain_close(*code, reason, others + 1)
            }
            _ => error,
        }
    }

    /// Injects the faults planned for an operation that only waits. Returns the rest of its
    /// timeout.
    ///
    /// A delay that reaches the timeout closes nothing. On a closed channel, no fault is injected.
    pub(crate) fn begin_wait(&self, operation: Operation, timeout: Duration) -> Result<Duration> {
        if !self.shared().faults.is_armed() || self.channel.check().is_err() {
            return Ok(timeout);
        }
        let started = Instant::now();
        self.inject_wait_faults(operation, timeout)
            .map(|_| timeout.saturating_sub(started.elapsed()))
    }

    /// Injects the faults planned for the content of a delivery.
    #[inline]
    pub(crate) fn read(&self, delivered: Result<Option<Delivery>>) -> Result<Option<Delivery>> {
        let faults = &self.shared().faults;
        if !faults.is_armed() {
            return delivered;
        }
        delivered.map(|delivery| delivery.map(|delivery| faults.garble(delivery)))
    }

    fn inject_wait_faults(&self, operation: Operation, timeout: Duration) -> Result<FaultOutcome> {
        match self.shared().inject_faults(operation, Some(&self.channel), timeout) {
            Err(error @ Error::Timeout { .. }) => Err(self.blocked_or(error)),
            outcome => self.close_on_error(outcome),
        }
    }

    /// Returns [`Error::Blocked`] instead of a timeout while publishers are blocked.
    pub(crate) fn blocked_or(&self, error: Error) -> Error {
        match (error, self.connection.gate.reason()) {
            (Error::Timeout { .. }, Some(reason)) => Error::Blocked { reason },
            (error, _) => error,
        }
    }

    /// Returns a queue that this connection may use. An empty name stands for the queue declared
    /// last on this channel.
    pub(crate) fn queue(&self, name: &str) -> Result<Arc<BrokerQueue>> {
        if name.is_empty() {
            return self.queue_named(&self.channel.last_queue()?);
        }
        self.queue_named(name)
    }

    pub(crate) fn queue_named(&self, name: &str) -> Result<Arc<BrokerQueue>> {
        let queue =
            self.shared().topology().queue(name).cloned().ok_or_else(|| errors::no_queue(name))?;
        match queue.owner {
            Some(owner) if owner != self.connection.id => Err(errors::locked(&queue.name)),
            _ => Ok(queue),
        }
    }

    /// Changes a queue, and sends on the dead letters that follow.
    pub(crate) fn then_dead_letter<T>(&self, change: impl FnOnce() -> T) -> T {
        let result = change();
        self.shared().send_dead_letters();
        result
    }

    /// Fetches a message. Calls `delivered` with it, and with the number of ready messages that
    /// remain, before any later delivery of the channel.
    pub(crate) fn get(
        &self,
        queue: &Arc<BrokerQueue>,
        manual: bool,
        delivered: impl FnOnce(&Delivery, usize),
    ) -> Result<Option<Delivery>> {
        let source = manual.then_some(queue);
        self.then_dead_letter(|| {
            queue.get(manual, |message, shown, remaining| {
                let deliver = |delivery: &Delivery| delivered(delivery, remaining);
                self.channel.deliver_fetched(message, shown, source, deliver)
            })
        })
    }

    pub(crate) fn settle(
        &self,
        tag: DeliveryTag,
        extent: Extent,
        action: SettleAction,
    ) -> Result<()> {
        let stale = |error| Error::Stale { source: Some(Arc::new(error)) };
        let operation =
            if action == SettleAction::Ack { Operation::Ack } else { Operation::Reject };
        self.channel.check().map_err(stale)?;
        if let Err(error) = self.begin(operation, self.call_timeout) {
            return match self.channel.check() {
                Err(_) if error.is_channel_error() => Ok(()),
                Err(failure) => Err(stale(failure)),
                Ok(()) => Err(error),
            };
        }
        match extent {
            Extent::One => match self.channel.take(tag).map_err(stale)? {
                Some(UnackedDelivery { queue, delivery }) => {
                    self.then_dead_letter(|| match action {
                        SettleAction::Ack => queue.acknowledge(delivery.consumer),
                        _ => queue.settle(vec![delivery], action),
                    })
                }
                None => self.close_over_unknown_tag(tag),
            },
            Extent::UpTo => match self.channel.take_up_to(tag).map_err(stale)? {
                // AMQP has no method that fails several deliveries at once.
                Some(unacked) if action == SettleAction::Requeue { failed: true } => {
                    unacked.into_iter().for_each(|(_, one)| self.settle_all(vec![one], action));
                }
                Some(unacked) => {
                    self.settle_all(unacked.into_iter().map(|(_, one)| one).collect(), action);
                }
                None => self.close_over_unknown_tag(tag),
            },
        }
        Ok(())
    }

    /// Settles deliveries queue by queue, as RabbitMQ does.
    ///
    /// In each queue, fetched messages come first, one by one. The deliveries of each consumer
    /// follow in one step.
    pub(crate) fn settle_all(&self, all: Vec<UnackedDelivery>, action: SettleAction) {
        let mut parts: Vec<(Arc<BrokerQueue>, Vec<UnackedMessage>)> = Vec::new();
        for UnackedDelivery { queue, delivery } in all {
            let is_same = |(other, part): &&mut (Arc<BrokerQueue>, Vec<UnackedMessage>)| {
                delivery.consumer != ConsumerKey::NONE
                    && part[0].consumer == delivery.consumer
                    && Arc::ptr_eq(other, &queue)
            };
            match parts.iter_mut().find(is_same) {
                Some((_, part)) => part.push(delivery),
                None => parts.push((queue, vec![delivery])),
            }
        }
        parts.sort_by(|(one, first), (other, second)| {
            let order =
                |part: &[UnackedMessage]| (part[0].consumer != ConsumerKey::NONE, part[0].consumer);
            (&one.name, order(first)).cmp(&(&other.name, order(second)))
        });
        for (queue, part) in parts {
            self.then_dead_letter(|| queue.settle(part, action));
        }
    }
}
