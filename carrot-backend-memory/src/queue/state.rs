//! The part of a queue that changes: messages, consumers and timers.

use std::sync::Arc;

use carrot_core::Overflow;
use carrot_core::backend::{Content, Rejection};

use crate::clock::NEVER;
use crate::header_order::sorted_by_name;
use crate::queue::arguments::{QueueKind, QueueRules};
use crate::queue::consumers::QueueConsumers;
use crate::queue::context::{QueueContext, QueueId};
use crate::queue::dead_letter::{DeadLetter, DeadLetterReason};
use crate::queue::delayed::DelayedMessages;
use crate::queue::held::HeldDeliveries;
use crate::queue::message::{QueuedMessage, RoutedMessage};
use crate::queue::ready::{Precedence, ReadyMessages};
use crate::queue::sink::{ConsumerKey, UnackedMessage};

/// The part of a queue that changes, under the queue's lock.
///
/// After every method, the caller sends dead letters on, once the lock is released.
#[derive(Debug)]
pub(crate) struct QueueState {
    id: QueueId,
    rules: Arc<QueueRules>,
    context: Arc<QueueContext>,
    pub(crate) ready: ReadyMessages,
    pub(crate) delayed: DelayedMessages,
    /// The number of messages that are delivered and not settled.
    pub(crate) unacked: usize,
    /// The number of these that were fetched with `get`.
    fetched: usize,
    /// The other ones, in a quorum queue.
    held: HeldDeliveries,
    last_number: u64,
    /// The number of messages that the queue has accepted.
    pub(crate) published: u64,
    /// The number of messages that it has delivered, again or for the first time.
    pub(crate) delivered: u64,
    pub(crate) consumers: QueueConsumers,
    /// The time of the last use that keeps the queue from expiring.
    pub(crate) last_used: u64,
    /// The time for which the earliest timer of this queue is set.
    pub(crate) timer: u64,
    pub(crate) is_deleted: bool,
}

/// How deliveries are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettleAction {
    Ack,
    /// Returns the messages to the queue.
    Requeue {
        failed: bool,
    },
    /// Drops or dead-letters the messages.
    Discard,
}

impl SettleAction {
    pub(crate) fn of(rejection: Rejection) -> SettleAction {
        match rejection {
            Rejection::Requeue => SettleAction::Requeue { failed: false },
            Rejection::RequeueFailed => SettleAction::Requeue { failed: true },
            Rejection::Discard => SettleAction::Discard,
        }
    }
}

/// Why messages return to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReturnCause {
    /// A consumer gave them back, with basic.nack.
    GivenBack,
    /// A consumer could not handle them, with basic.reject.
    Failed,
    /// The channel of the consumer was lost.
    ChannelLost,
}

impl QueueState {
    pub(crate) fn new(
        id: QueueId,
        rules: Arc<QueueRules>,
        context: Arc<QueueContext>,
    ) -> QueueState {
        let precedence = match (rules.kind, rules.max_priority) {
            (QueueKind::Quorum { .. }, _) => Precedence::First(context.rules.quorum.priorities),
            (QueueKind::Classic, Some(highest)) => Precedence::Priority(highest),
            (QueueKind::Classic, None) => Precedence::None,
        };
        QueueState {
            id,
            ready: ReadyMessages::new(precedence),
            delayed: DelayedMessages::default(),
            unacked: 0,
            fetched: 0,
            held: HeldDeliveries::default(),
            last_number: 0,
            published: 0,
            delivered: 0,
            consumers: QueueConsumers::new(rules.single_active),
            last_used: context.clock.now(),
            timer: NEVER,
            is_deleted: false,
            rules,
            context,
        }
    }

    /// Adds a message, which expires after `expiration` microseconds at the latest. Returns whether
    /// it is accepted.
    pub(crate) fn enqueue(&mut self, message: RoutedMessage, expiration: Option<u64>) -> bool {
        if self.is_deleted {
            return true;
        }
        if self.rules.overflow != Overflow::DropHead && self.would_overflow(&message) {
            if self.rules.overflow == Overflow::RejectPublishDeadLetter {
                let message = QueuedMessage::new(message, NEVER, 0);
                self.dead_letter(message, DeadLetterReason::MaxLength);
            }
            return false;
        }
        self.last_number += 1;
        self.published += 1;
        let expires = self.expiry(expiration);
        let mut message = QueuedMessage::new(message, expires, self.last_number);
        let is_classic = self.rules.kind == QueueKind::Classic;
        if self.ready.is_empty() {
            let returns = message.returns;
            if is_classic {
                // A classic queue shows no earlier failures in what it hands on at once.
                message.returns = 0;
            }
            match self.offer(message) {
                None => return true,
                Some(back) => message = back,
            }
            message.returns = returns;
        }
        if is_classic
            && self.rules.message_ttl == Some(0)
            && self.rules.dead_letter_exchange.is_none()
        {
            return true;
        }
        message.has_waited = true;
        self.ready.push(message);
        let dropped = self.drop_head();
        // A classic queue checks its head for expiry only if the head may have changed.
        let is_alone = self.ready.len() == 1;
        if !is_classic || ((dropped || is_alone) && !(dropped && is_alone && expires == NEVER)) {
            self.expire_head();
        }
        true
    }

    /// Returns when a message with this expiration expires.
    fn expiry(&self, expiration: Option<u64>) -> u64 {
        let ttl = match (self.rules.message_ttl, expiration) {
            (Some(queue), Some(message)) => Some(queue.min(message)),
            (queue, message) => queue.or(message),
        };
        ttl.map_or(NEVER, |ttl| self.context.clock.now().saturating_add(ttl).min(NEVER - 1))
    }

    /// Notes the acknowledgement of one delivery.
    pub(crate) fn acknowledge(&mut self, consumer: ConsumerKey) {
        if self.is_deleted {
            return;
        }
        self.unacked -= 1;
        self.note_settled(consumer);
        self.consumers.restore(consumer, 1);
        self.consumers.unblock();
        self.serve();
        self.note_if_idle();
    }

    /// Offers a message to the next consumer. Returns the message if no consumer has room.
    fn offer(&mut self, mut message: QueuedMessage) -> Option<QueuedMessage> {
        while let Some(key) = self.consumers.next() {
            let shown = self.shown(&message, false);
            let Some(consumer) = self.consumers.get(key) else { return Some(message) };
            let manual = consumer.manual;
            match consumer.sink.deliver(manual.then_some(key), message, shown) {
                Ok(()) => {
                    self.delivered += 1;
                    self.unacked += usize::from(manual);
                    if manual && self.rules.kind != QueueKind::Classic {
                        self.held.add(key);
                    }
                    self.consumers.served(key);
                    if self.rules.kind != QueueKind::Classic {
                        self.consumers.leave_if_full(key);
                    }
                    return None;
                }
                Err(back) => message = back,
            }
            if !self.consumers.skip(key) {
                break;
            }
        }
        Some(message)
    }

    /// Delivers ready messages as long as consumers have room.
    pub(crate) fn serve(&mut self) {
        if self.rules.single_active
            && self.rules.kind != QueueKind::Classic
            && self.context.rules.quorum.prefers_priority
        {
            self.consumers.prefer_priority(|key| self.held.holds(key));
        }
        // The room of consumers is checked only while a message is ready: a consumer without room
        // loses its turn.
        while !self.ready.is_empty() && self.consumers.next().is_some() {
            let Some(message) = self.ready.pop() else { break };
            if let Some(back) = self.offer(message) {
                self.ready.put_back_one(back);
                break;
            }
            self.expire_head();
        }
    }

    /// Requeues messages, marks them as redelivered, and serves consumers.
    ///
    /// A classic queue restores their positions. A quorum queue puts them to the front, in the
    /// order of their return. Some releases put settled messages to the end if nothing limits how
    /// often they may return.
    pub(crate) fn requeue(
        &mut self,
        messages: impl IntoIterator<Item = QueuedMessage>,
        cause: ReturnCause,
    ) {
        let rules = &self.context.rules.quorum;
        let has_failed = cause != ReturnCause::GivenBack || rules.every_return_fails;
        let to_end = rules.unlimited_returns_to_end && cause != ReturnCause::ChannelLost;
        let now = self.context.clock.now();
        let mut requeued = Vec::new();
        for mut message in messages {
            message.count_return(has_failed);
            message.has_waited |= message.expires > now;
            if let QueueKind::Quorum { delivery_limit } = self.rules.kind {
                if self.rules.kind.limit_is_exceeded_by(message.failures) {
                    self.dead_letter(message, DeadLetterReason::DeliveryLimit);
                    continue;
                }
                self.last_number += 1;
                message.number = self.last_number;
                message.first = delivery_limit.is_some() || !to_end;
                let delay = self.rules.retry_delay.as_ref();
                if let Some(pause) =
                    delay.and_then(|delay| delay.pause(has_failed, message.failures))
                {
                    self.delayed.add(self.context.clock.now().saturating_add(pause), message);
                    continue;
                }
            }
            requeued.push(message);
        }
        self.ready.put_back(requeued);
        self.set_timer();
        let is_classic = self.rules.kind == QueueKind::Classic;
        if is_classic {
            self.drop_head();
        }
        self.expire_head();
        self.serve();
        if !is_classic {
            // A quorum queue drops what no consumer takes.
            self.drop_head();
        }
    }

    /// Settles deliveries of one channel.
    pub(crate) fn settle(&mut self, deliveries: Vec<UnackedMessage>, action: SettleAction) {
        self.unacked -= deliveries.len();
        deliveries.iter().for_each(|delivery| {
            self.note_settled(delivery.consumer);
            let returns_twice = matches!(action, SettleAction::Requeue { .. })
                && self.context.rules.quorum.exceeding_returns_twice
                && self.rules.kind.limit_is_exceeded_by(delivery.message.failures + 1);
            self.consumers.restore(delivery.consumer, if returns_twice { 2 } else { 1 });
        });
        let messages = deliveries.into_iter().map(|delivery| delivery.message);
        self.consumers.unblock();
        match action {
            SettleAction::Requeue { failed } => {
                let cause = if failed { ReturnCause::Failed } else { ReturnCause::GivenBack };
                return self.requeue(messages, cause);
            }
            SettleAction::Discard if self.rules.dead_letter_exchange.is_some() => {
                let mut discarded: Vec<QueuedMessage> = messages.collect();
                self.ready.sort_by_precedence(&mut discarded);
                for message in discarded {
                    self.dead_letter(message, DeadLetterReason::Rejected);
                }
            }
            SettleAction::Ack | SettleAction::Discard => {}
        }
        self.serve();
    }

    /// Returns delayed messages whose pause has ended to the queue, and serves consumers.
    pub(crate) fn end_delays(&mut self, now: u64) {
        let mut returned = Vec::new();
        while let Some(message) = self.delayed.pop_ready(now) {
            returned.push(message);
        }
        if !returned.is_empty() {
            self.ready.put_back(returned);
            self.expire_head();
            self.serve();
            self.drop_head();
        }
    }

    fn would_overflow(&self, message: &RoutedMessage) -> bool {
        let length = self.ready.len() + self.delayed.len() + 1;
        let bytes = self.ready.bytes() + self.delayed.bytes() + message.size();
        self.rules.max_length.is_some_and(|most| length as u64 > most)
            || self.rules.max_bytes.is_some_and(|most| bytes > most)
    }

    /// Drops messages beyond the limits from the head. Returns whether there were any.
    fn drop_head(&mut self) -> bool {
        if self.rules.overflow != Overflow::DropHead || !self.rules.limits_length() {
            return false;
        }
        let mut dropped = false;
        // Delayed messages count, and are not dropped.
        let (delayed, delayed_bytes) = (self.delayed.len(), self.delayed.bytes());
        while self.rules.max_length.is_some_and(|most| (self.ready.len() + delayed) as u64 > most)
            || self.rules.max_bytes.is_some_and(|most| self.ready.bytes() + delayed_bytes > most)
        {
            let Some(message) = self.ready.pop() else { break };
            self.dead_letter(message, DeadLetterReason::MaxLength);
            dropped = true;
        }
        dropped
    }

    /// Drops expired messages from the head, and sets a timer for the next one.
    ///
    /// An expired message behind one that is not expired stays, as on RabbitMQ.
    pub(crate) fn expire_head(&mut self) {
        if !self.ready.has_expiring() {
            return;
        }
        let now = self.context.clock.now();
        while let Some(message) = self.ready.pop_expired(now) {
            self.dead_letter(message, DeadLetterReason::Expired);
        }
        self.set_timer();
    }

    /// Sets a timer for the next expiry, unless an earlier one is set.
    pub(crate) fn set_timer(&mut self) {
        let mut due = match self.ready.has_expiring() {
            true => self.ready.next_expiry(),
            false => NEVER,
        };
        due = due.min(self.delayed.next_due());
        if let Some(expires) = self.rules.expires
            && self.consumers.is_empty()
        {
            due = due.min(self.last_used.saturating_add(expires));
        }
        if due < self.timer {
            self.timer = due;
            self.context.timers.schedule(due, self.id.clone());
        }
    }

    /// Returns the content that a consumer sees, if it differs from what was published.
    ///
    /// A quorum queue adds the number of failed deliveries, and in some releases that of returns.
    pub(crate) fn shown(&self, message: &QueuedMessage, fetched: bool) -> Option<Arc<Content>> {
        if self.rules.kind == QueueKind::Classic {
            return None;
        }
        let rules = &self.context.rules.quorum;
        let acquired = (rules.shows_acquired_count && message.is_redelivered())
            .then_some(("x-acquired-count", message.returns));
        let is_counted =
            message.failures > 0 || (rules.get_shows_zero && (fetched || message.is_redelivered()));
        let failed = is_counted.then_some(("x-delivery-count", message.failures));
        if acquired.is_none() && failed.is_none() {
            return None;
        }
        let mut content = Content::clone(&message.message.content);
        let mut headers = content.properties.headers().cloned().unwrap_or_default();
        for (name, count) in acquired.into_iter().chain(failed) {
            headers.insert(name, i64::from(count));
        }
        content.properties = content.properties.with_headers(sorted_by_name(headers));
        Some(Arc::new(content))
    }

    /// Notes the delivery of a message that was fetched with `get`.
    pub(crate) fn note_fetched(&mut self, manual: bool) {
        self.delivered += 1;
        self.unacked += usize::from(manual);
        self.fetched += usize::from(manual);
    }

    /// Notes that a closed channel does not hold messages any more.
    pub(crate) fn note_released(&mut self, unacked: &[UnackedMessage]) {
        self.unacked -= unacked.len();
        unacked.iter().for_each(|unacked| self.note_settled(unacked.consumer));
    }

    fn note_settled(&mut self, consumer: ConsumerKey) {
        self.fetched -= usize::from(consumer == ConsumerKey::NONE);
        self.held.remove(consumer);
    }

    /// Returns the number of consumers that the broker announces.
    ///
    /// A quorum queue also counts each fetched message that is not settled, and cancelled consumers
    /// with unsettled deliveries. It does not count consumers that wait for the single active one
    /// to end.
    pub(crate) fn announced_consumers(&self) -> usize {
        if self.rules.kind == QueueKind::Classic {
            return self.consumers.len();
        }
        let is_gone = |consumer: &ConsumerKey| self.consumers.get(*consumer).is_none();
        let most = if self.rules.single_active { 1 } else { usize::MAX };
        let gone = self.held.holders().filter(is_gone).count();
        self.consumers.len().min(most) + gone + self.fetched
    }

    /// Hands a message to the dead-letter exchange, or drops it if the queue has none.
    fn dead_letter(&self, message: QueuedMessage, reason: DeadLetterReason) {
        let QueuedMessage { mut message, failures, has_waited, .. } = message;
        if self.context.rules.dead_letters.keeps_failures {
            message.failures = failures;
        }
        if self.rules.dead_letter_exchange.is_some() {
            let (queue, rules) = (Arc::clone(&self.id.name), Arc::clone(&self.rules));
            let hides_expiration = self.rules.lazy && has_waited;
            let letter = DeadLetter { message, reason, queue, rules, hides_expiration };
            self.context.dead_letters.push(letter);
        }
    }

    /// Whether no message is ready, delayed or delivered and not settled.
    pub(crate) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.unacked == 0 && self.delayed.len() == 0
    }

    /// Wakes the threads that wait for an empty queue, if this one is.
    pub(crate) fn note_if_idle(&self) {
        if self.is_idle() {
            self.context.idle.notify();
        }
    }
}
