//! What a channel's backend and its subscriptions share: the channel itself, held open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_core::backend::{Acknowledgement, ConsumeOptions, Content, DeliveryTag, Extent};
use carrot_core::{Error, Result};

use crate::arguments::consumer_priority;
use crate::broker::Core;
use crate::channel::{Acknowledged, Channel};
use crate::connection::Connection;
use crate::consumers::{Consumer, ConsumerKey};
use crate::fault_plan::Verdict;
use crate::faults::Operation;
use crate::queue::{Queue, Settlement};
use crate::refusal;
use crate::reply_to;
use crate::subscription::MemorySubscription;
use crate::sync::lock;
use crate::unacked::Unacked;

/// Holds a channel open; the channel closes when the last of its backend and subscriptions lets go.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) connection: Arc<Connection>,
    pub(crate) channel: Arc<Channel>,
    pub(crate) call_timeout: Duration,
    /// The largest frame that RabbitMQ would take.
    pub(crate) frame_max: usize,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end(Error::closed("channel"));
    }
}

impl Handle {
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.connection.core
    }

    pub(crate) fn end(&self, error: Error) {
        if let Some(remains) = self.channel.fail(error) {
            self.core().bury_channel(remains);
        }
    }

    /// Ends the channel, or the connection, if that is what an error does.
    pub(crate) fn judge<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            match error {
                Error::Disconnected { .. } | Error::Unreadable { .. } | Error::HardError { .. } => {
                    self.connection.fail_over(Some(&self.channel), error);
                }
                Error::Timeout { .. } => self.end(error.clone()),
                error if error.is_channel_error() => self.end(error.clone()),
                _ => {}
            }
        }
        result
    }

    /// Lets what was ordered for an operation happen; the channel's first error if it is dead.
    pub(crate) fn begin(&self, operation: Operation, timeout: Duration) -> Result<Verdict> {
        self.channel.check()?;
        if !self.core().faults.is_armed() {
            return Ok(Verdict::Proceed);
        }
        self.judge(self.core().meet(operation, Some(&self.channel), timeout))
    }

    /// As [`begin`](Handle::begin), for a publication, which is held up as by a congested way. Running out of its timeout closes nothing.
    /// `None` if the broker has closed the channel or the connection over it, which whatever waits next tells.
    #[inline]
    pub(crate) fn begin_publish(
        &self,
        content: &Content,
        timeout: Duration,
    ) -> Result<Option<Verdict>> {
        self.channel.check()?;
        if !self.core().faults.is_armed() {
            return Ok(Some(Verdict::Proceed));
        }
        self.meet_publish(content, timeout)
    }

    #[cold]
    fn meet_publish(&self, content: &Content, timeout: Duration) -> Result<Option<Verdict>> {
        let verdict = match self.core().meet(Operation::Publish, Some(&self.channel), timeout) {
            Err(error @ Error::Timeout { .. }) => return Err(self.explain(error)),
            Ok(verdict) => self.core().faults.check(content).map(|()| verdict),
            Err(error) => Err(error),
        };
        match self.judge(verdict.map_err(|error| self.doubt(error))) {
            Ok(verdict) => Ok(Some(verdict)),
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

    /// A hard error over a publication is not certain to be that of the oldest one, if the broker owes answers to others.
    fn doubt(&self, error: Error) -> Error {
        match (&error, lock(&self.channel.publishing).unanswered()) {
            (Error::HardError { code, reason }, others @ 1..) => {
                refusal::unsure(*code, reason, others + 1)
            }
            _ => error,
        }
    }

    /// As [`begin`](Handle::begin), for what only waits: what is left of its timeout. Running out of it closes nothing. On a dead channel
    /// nothing is left to happen, and what was known before can still be told.
    pub(crate) fn begin_wait(&self, operation: Operation, timeout: Duration) -> Result<Duration> {
        if !self.core().faults.is_armed() || self.channel.check().is_err() {
            return Ok(timeout);
        }
        let started = Instant::now();
        self.meet_within(operation, timeout).map(|_| timeout.saturating_sub(started.elapsed()))
    }

    fn meet_within(&self, operation: Operation, timeout: Duration) -> Result<Verdict> {
        match self.core().meet(operation, Some(&self.channel), timeout) {
            Err(error @ Error::Timeout { .. }) => Err(self.explain(error)),
            verdict => self.judge(verdict),
        }
    }

    /// Tells of an alarm instead of a timeout.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match (error, self.connection.throttle.blocked()) {
            (Error::Timeout { .. }, Some(reason)) => Error::Blocked { reason },
            (error, _) => error,
        }
    }

    /// A queue that this connection may use. An empty name means the one declared last on this channel.
    pub(crate) fn queue(&self, name: &str) -> Result<Arc<Queue>> {
        if name.is_empty() {
            return self.queue_named(&self.channel.last_queue()?);
        }
        self.queue_named(name)
    }

    pub(crate) fn queue_named(&self, name: &str) -> Result<Arc<Queue>> {
        let queue = self
            .core()
            .topology
            .read()
            .queue(name)
            .cloned()
            .ok_or_else(|| refusal::no_queue(name))?;
        self.check_owner(&queue)?;
        Ok(queue)
    }

    pub(crate) fn check_owner(&self, queue: &Queue) -> Result<()> {
        match queue.owner {
            Some(owner) if owner != self.connection.id => Err(refusal::locked(&queue.name)),
            _ => Ok(()),
        }
    }

    /// Does something to a queue, and sends the dead letters on that this makes.
    pub(crate) fn and_bury<T>(&self, action: impl FnOnce() -> T) -> T {
        let result = action();
        self.core().send_dead_letters();
        result
    }

    pub(crate) fn consume(
        self: &Arc<Handle>,
        name: &str,
        options: &ConsumeOptions,
    ) -> Result<MemorySubscription> {
        let manual = options.acknowledgement == Acknowledgement::Manual;
        let last = if name.is_empty() { self.channel.last_queue().ok() } else { None };
        let name = last.as_deref().unwrap_or(name);
        if name == reply_to::PSEUDO_QUEUE {
            if manual {
                return Err(refusal::precondition("reply consumer cannot acknowledge"));
            }
            let (stream, arrived) = self.channel.open_stream(true)?;
            let subscription = MemorySubscription {
                handle: Arc::clone(self),
                queue: name.into(),
                stream,
                arrived,
            };
            self.core().open_reply(&self.channel, stream)?;
            return Ok(subscription);
        }
        let queue = self.queue(name)?;
        let priority = consumer_priority(&queue.name, &options.arguments)?;
        let (stream, arrived) = self.channel.open_stream(false)?;
        let subscription = MemorySubscription {
            handle: Arc::clone(self),
            queue: Arc::clone(&queue.name),
            stream,
            arrived,
        };
        let consumer = Consumer {
            channel: Arc::clone(&self.channel),
            stream,
            priority,
            credit: (options.prefetch > 0).then_some(options.prefetch.into()),
            manual,
            exclusive: options.exclusive,
        };
        let key = self.and_bury(|| queue.add_consumer(self.core(), consumer))?;
        if let Err(error) = self.channel.attach_stream(stream, &queue, key) {
            let fate = self.and_bury(|| queue.remove_consumer(self.core(), key));
            self.core().conclude(&queue, fate);
            return Err(error);
        }
        Ok(subscription)
    }

    pub(crate) fn settle(
        &self,
        tag: DeliveryTag,
        extent: Extent,
        settlement: Settlement,
    ) -> Result<()> {
        let stale = |error| Error::Stale { source: Some(Arc::new(error)) };
        let operation =
            if settlement == Settlement::Ack { Operation::Ack } else { Operation::Reject };
        self.channel.check().map_err(stale)?;
        if let Err(error) = self.begin(operation, self.call_timeout) {
            return match self.channel.check() {
                Err(_) if error.is_channel_error() => Ok(()),
                Err(failure) => Err(stale(failure)),
                Ok(()) => Err(error),
            };
        }
        match extent {
            Extent::One if settlement == Settlement::Ack => {
                match self.channel.acknowledge(tag).map_err(stale)? {
                    Some(Acknowledged { owed: None, .. }) => {}
                    Some(Acknowledged { unacked, owed: Some(owed) }) => {
                        self.and_bury(|| {
                            unacked.queue.acknowledge(self.core(), unacked.consumer, owed > 0)
                        });
                    }
                    None => self.end(refusal::unknown_tag(tag.0)),
                }
            }
            Extent::One => match self.channel.take(tag).map_err(stale)? {
                Some(unacked) => {
                    let queue = Arc::clone(&unacked.queue);
                    self.and_bury(|| queue.settle(self.core(), [unacked], settlement));
                }
                None => self.end(refusal::unknown_tag(tag.0)),
            },
            Extent::UpTo => match self.channel.take_up_to(tag).map_err(stale)? {
                Some(unacked) => self.settle_all(unacked, settlement),
                None => self.end(refusal::unknown_tag(tag.0)),
            },
        }
        Ok(())
    }

    /// Settles deliveries queue by queue as RabbitMQ does: first what was got, one by one, then consumer by consumer, each as one step.
    pub(crate) fn settle_all(&self, all: Vec<Unacked>, settlement: Settlement) {
        let mut parts: Vec<(Arc<Queue>, ConsumerKey, Vec<Unacked>)> = Vec::new();
        for unacked in all {
            let same = |(queue, consumer, _): &&mut (Arc<Queue>, ConsumerKey, Vec<Unacked>)| {
                *consumer == unacked.consumer
                    && *consumer != ConsumerKey::NONE
                    && Arc::ptr_eq(queue, &unacked.queue)
            };
            match parts.iter_mut().find(same) {
                Some((_, _, part)) => part.push(unacked),
                None => parts.push((Arc::clone(&unacked.queue), unacked.consumer, vec![unacked])),
            }
        }
        parts.sort_by(|(one, first, _), (other, second, _)| {
            let is_consumed = |consumer: &ConsumerKey| *consumer != ConsumerKey::NONE;
            (&one.name, is_consumed(first), first).cmp(&(&other.name, is_consumed(second), second))
        });
        for (queue, _, part) in parts {
            self.and_bury(|| queue.settle(self.core(), part, settlement));
        }
    }
}
