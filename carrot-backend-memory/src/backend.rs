//! One open channel, and the deliveries of one consumer, as the contract wants them.

use std::sync::{Arc, Condvar};
use std::time::{Duration, Instant};

use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Declare, Declared, Delete, Deleted, Delivery, DeliveryTag, Extent, Outcome, Publication,
    PublishTag, Rejection, Subscription,
};
use carrot_core::{Binding, Destination, Error, Exchange, Result};

use crate::arguments::{Rules, compare_queue, consumer_priority};
use crate::broker::{Core, token};
use crate::channel::{Answer, Channel};
use crate::connection::Connection;
use crate::consumers::Consumer;
use crate::dead_letter::DeadLetter;
use crate::faults::{Operation, Verdict};
use crate::queue::{Queue, Settlement};
use crate::refusal;
use crate::reply_to;
use crate::sync::{lock, read, write};
use crate::unacked::Unacked;

/// One channel of the memory broker.
#[derive(Debug)]
pub(crate) struct MemoryBackend {
    handle: Arc<Handle>,
}

/// Holds a channel open; the channel closes when the last of its backend and subscriptions lets go.
#[derive(Debug)]
struct Handle {
    connection: Arc<Connection>,
    channel: Arc<Channel>,
    call_timeout: Duration,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end(Error::closed("channel"));
    }
}

impl Handle {
    fn core(&self) -> &Arc<Core> {
        &self.connection.core
    }

    fn end(&self, error: Error) {
        if let Some(remains) = self.channel.fail(error) {
            self.core().bury_channel(remains);
        }
    }

    /// Ends the channel, or the connection, if that is what an error does.
    fn judge<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            match error {
                Error::Disconnected { .. } => self.connection.fail(error.clone()),
                Error::Timeout { .. } => self.end(error.clone()),
                error if error.is_channel_error() => self.end(error.clone()),
                _ => {}
            }
        }
        result
    }

    /// Lets what was ordered for an operation happen; the channel's first error if it is dead.
    fn begin(&self, operation: Operation) -> Result<Verdict> {
        self.channel.check()?;
        if !self.core().faults.is_armed() {
            return Ok(Verdict::Proceed);
        }
        self.judge(self.core().meet(operation, Some(&self.channel), self.call_timeout))
    }

    /// As [`begin`](Handle::begin), for what only waits: what is left of its timeout. Running out of it closes nothing.
    fn begin_wait(&self, operation: Operation, timeout: Duration) -> Result<Duration> {
        if !self.core().faults.is_armed() {
            return Ok(timeout);
        }
        let started = Instant::now();
        match self.core().meet(operation, Some(&self.channel), timeout) {
            Err(error @ Error::Timeout { .. }) => Err(error),
            verdict => self.judge(verdict).map(|_| timeout.saturating_sub(started.elapsed())),
        }
    }

    fn queue(&self, name: &str) -> Result<Arc<Queue>> {
        let last;
        let name = if name.is_empty() {
            last = self.channel.last_queue()?;
            &*last
        } else {
            name
        };
        let queue = read(&self.core().topology).queue(name).cloned().ok_or_else(|| refusal::no_queue(name))?;
        self.check_owner(&queue)?;
        Ok(queue)
    }

    fn check_owner(&self, queue: &Queue) -> Result<()> {
        match queue.owner {
            Some(owner) if owner != self.connection.id => Err(refusal::locked(&queue.name)),
            _ => Ok(()),
        }
    }

    fn with_dead<T>(&self, action: impl FnOnce(&mut Vec<DeadLetter>) -> T) -> T {
        let mut dead = Vec::new();
        let result = action(&mut dead);
        self.core().send_dead_letters(dead);
        result
    }

    fn declare_exchange(&self, declared: &Exchange) -> Result<Declared> {
        let name = &declared.name;
        if declared.is_default() {
            return Err(refusal::default_exchange());
        }
        if declared.passive {
            return match read(&self.core().topology).exchanges.contains_key(name.as_str()) {
                true => Ok(Declared::new(name, 0, 0)),
                false => Err(refusal::no_exchange(name)),
            };
        }
        let mut topology = write(&self.core().topology);
        let behaviour = topology
            .behaviour(&declared.kind)
            .ok_or_else(|| Error::disconnected(format!("COMMAND_INVALID - unknown exchange type '{}'", declared.kind)))?;
        topology.declare_exchange(declared, &behaviour)?;
        Ok(Declared::new(name, 0, 0))
    }

    fn declare_queue(&self, declared: &carrot_core::Queue) -> Result<Declared> {
        let mut name = declared.name.clone();
        if name == reply_to::PSEUDO_QUEUE || name.starts_with(reply_to::PREFIX) {
            self.core().check_reply(&name)?;
            return Ok(Declared::new(name, 0, 1));
        }
        if declared.passive {
            let queue = self.queue(&name)?;
            return self.declared(&queue);
        }
        if name.is_empty() {
            name = format!("amq.gen-{}", token());
        } else if name.starts_with("amq.") {
            return Err(refusal::reserved("queue", &name));
        }
        let existing = read(&self.core().topology).queue(&name).cloned();
        if let Some(queue) = existing {
            self.assert_equal(&queue, declared)?;
            return self.declared(&queue);
        }
        let rules = Rules::new(&name, &declared.arguments)?;
        let owner = declared.exclusive.then_some(self.connection.id);
        let mut topology = write(&self.core().topology);
        if let Some(gone) = topology.queues.get(name.as_str()).filter(|queue| queue.is_gone()).cloned() {
            topology.remove_queue(&gone);
        }
        if let Some(queue) = topology.queue(&name).cloned() {
            drop(topology);
            self.assert_equal(&queue, declared)?;
            return self.declared(&queue);
        }
        let shared: Arc<str> = name.as_str().into();
        let queue = Arc::new(Queue::new(topology.next_id(), declared, Arc::clone(&shared), owner, rules, self.core().clock.now()));
        topology.queues.insert(shared, Arc::clone(&queue));
        drop(topology);
        queue.start(self.core());
        if owner.is_some() {
            self.connection.adopt();
        }
        self.channel.set_last_queue(&name);
        Ok(Declared::new(name, 0, 0))
    }

    fn assert_equal(&self, queue: &Queue, declared: &carrot_core::Queue) -> Result<()> {
        let owner = declared.exclusive.then_some(self.connection.id);
        if queue.owner != owner {
            return Err(refusal::locked(&queue.name));
        }
        let durable = declared.durable && !declared.exclusive;
        if queue.durable != durable {
            return Err(refusal::different("durable", "queue", &queue.name, durable, queue.durable));
        }
        if queue.auto_delete != declared.auto_delete {
            return Err(refusal::different("auto_delete", "queue", &queue.name, declared.auto_delete, queue.auto_delete));
        }
        compare_queue(&queue.name, &queue.arguments, &declared.arguments)
    }

    fn declared(&self, queue: &Arc<Queue>) -> Result<Declared> {
        let (ready, consumers) = self.with_dead(|dead| queue.counts(self.core(), dead))?;
        self.channel.set_last_queue(&queue.name);
        let clamp = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Declared::new(&*queue.name, clamp(ready), clamp(consumers)))
    }

    /// The binding with the queue that an empty name stands for, once it is known to be allowed.
    fn resolve(&self, binding: &Binding) -> Result<Binding> {
        let mut binding = binding.clone();
        if let Destination::Queue(name) = &mut binding.destination
            && name.is_empty()
        {
            *name = self.channel.last_queue()?.to_string();
            if binding.routing_key.is_empty() {
                binding.routing_key.clone_from(name);
            }
        }
        if binding.source.is_empty() || binding.destination == Destination::Exchange(String::new()) {
            return Err(refusal::default_exchange());
        }
        Ok(binding)
    }

    fn check_destination(&self, binding: &Binding) -> Result<()> {
        if let Destination::Queue(name) = &binding.destination
            && let Some(queue) = read(&self.core().topology).queue(name)
        {
            return self.check_owner(queue);
        }
        Ok(())
    }

    fn delete_exchange(&self, name: &str, condition: carrot_core::backend::Condition) -> Result<Deleted> {
        if name.is_empty() {
            return Err(refusal::default_exchange());
        }
        if name.starts_with("amq.") {
            return Err(refusal::access(format_args!("deletion of system exchange '{name}' in vhost '/' not allowed")));
        }
        write(&self.core().topology).delete_exchange(name, condition)?;
        Ok(Deleted::default())
    }

    fn delete_queue(&self, name: &str, condition: carrot_core::backend::Condition) -> Result<Deleted> {
        let queue = match self.queue(name) {
            Ok(queue) => queue,
            Err(Error::NotFound { .. }) if !name.is_empty() => return Ok(Deleted::default()),
            Err(error) => return Err(error),
        };
        let Some(estate) = self.with_dead(|dead| queue.delete(self.core(), condition, dead))? else {
            return Ok(Deleted::default());
        };
        let count = estate.ready;
        self.core().settle_estate(&queue, estate);
        Ok(Deleted::new(u32::try_from(count).unwrap_or(u32::MAX)))
    }

    fn consume(self: &Arc<Handle>, name: &str, options: &ConsumeOptions) -> Result<MemorySubscription> {
        let manual = options.acknowledgement == Acknowledgement::Manual;
        if name == reply_to::PSEUDO_QUEUE {
            if manual {
                return Err(refusal::precondition("reply consumer cannot acknowledge"));
            }
            let (stream, arrived) = self.channel.open_stream()?;
            let subscription = MemorySubscription { handle: Arc::clone(self), queue: name.into(), stream, arrived };
            self.core().open_reply(&self.channel, stream)?;
            return Ok(subscription);
        }
        let queue = self.queue(name)?;
        let priority = consumer_priority(&queue.name, &options.arguments)?;
        let (stream, arrived) = self.channel.open_stream()?;
        let subscription = MemorySubscription { handle: Arc::clone(self), queue: Arc::clone(&queue.name), stream, arrived };
        let consumer = Consumer {
            channel: Arc::clone(&self.channel),
            stream,
            priority,
            credit: (options.prefetch > 0).then_some(options.prefetch.into()),
            manual,
            exclusive: options.exclusive,
        };
        let key = self.with_dead(|dead| queue.add_consumer(self.core(), consumer, dead))?;
        if let Err(error) = self.channel.attach_stream(stream, &queue, key) {
            let fate = self.with_dead(|dead| queue.remove_consumer(self.core(), key, dead));
            self.core().conclude(&queue, fate);
            return Err(error);
        }
        Ok(subscription)
    }

    fn settle(&self, tag: DeliveryTag, extent: Extent, settlement: Settlement) -> Result<()> {
        let stale = |error| Error::Stale { cause: Some(Arc::new(error)) };
        let operation = if settlement == Settlement::Ack { Operation::Ack } else { Operation::Reject };
        self.channel.check().map_err(stale)?;
        if let Err(error) = self.begin(operation) {
            return match self.channel.check() {
                Err(_) if error.is_channel_error() => Ok(()),
                Err(failure) => Err(stale(failure)),
                Ok(()) => Err(error),
            };
        }
        match extent {
            Extent::One => match self.channel.take(tag).map_err(stale)? {
                Some(unacked) => {
                    let queue = Arc::clone(&unacked.queue);
                    self.with_dead(|dead| queue.settle(self.core(), [unacked], settlement, dead));
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

    fn settle_all(&self, all: Vec<Unacked>, settlement: Settlement) {
        let mut parts: Vec<(Arc<Queue>, Vec<Unacked>)> = Vec::new();
        for unacked in all {
            match parts.iter_mut().find(|(queue, _)| Arc::ptr_eq(queue, &unacked.queue)) {
                Some((_, part)) => part.push(unacked),
                None => parts.push((Arc::clone(&unacked.queue), vec![unacked])),
            }
        }
        for (queue, part) in parts {
            self.with_dead(|dead| queue.settle(self.core(), part, settlement, dead));
        }
    }
}

impl MemoryBackend {
    pub(crate) fn new(connection: Arc<Connection>, channel: Arc<Channel>, call_timeout: Duration) -> MemoryBackend {
        MemoryBackend { handle: Arc::new(Handle { connection, channel, call_timeout }) }
    }
}

impl Backend for MemoryBackend {
    fn declare(&self, entity: Declare<'_>) -> Result<Declared> {
        entity.validate()?;
        let handle = &self.handle;
        handle.begin(Operation::Declare)?;
        handle.judge(match entity {
            Declare::Exchange(exchange) => handle.declare_exchange(exchange),
            Declare::Queue(queue) => handle.declare_queue(queue),
            Declare::Binding(binding) => handle.resolve(binding).and_then(|binding| {
                handle.check_destination(&binding)?;
                write(&handle.core().topology).bind(&binding)?;
                Ok(Declared::default())
            }),
        })
    }

    fn delete(&self, entity: Delete<'_>) -> Result<Deleted> {
        entity.validate()?;
        let handle = &self.handle;
        handle.begin(Operation::Delete)?;
        handle.judge(match entity {
            Delete::Exchange { name, condition } => handle.delete_exchange(name, condition),
            Delete::Queue { name, condition } => handle.delete_queue(name, condition),
            Delete::Binding(binding) => handle.resolve(binding).and_then(|binding| {
                handle.check_destination(&binding)?;
                write(&handle.core().topology).unbind(&binding);
                Ok(Deleted::default())
            }),
            Delete::Messages { queue } => handle.queue(queue).and_then(|queue| {
                let count = handle.with_dead(|dead| queue.purge(handle.core(), dead))?;
                Ok(Deleted::new(u32::try_from(count).unwrap_or(u32::MAX)))
            }),
        })
    }

    fn publish(&self, publication: &Publication<'_>) -> Result<PublishTag> {
        publication.validate()?;
        let handle = &*self.handle;
        handle.channel.check()?;
        let verdict = match handle.begin(Operation::Publish) {
            // What the broker refuses is told by `confirm`, here under a tag that is never answered.
            Err(error) if error.is_channel_error() => return Ok(PublishTag(u64::MAX)),
            verdict => verdict?,
        };
        let mut publishing = lock(&handle.channel.publishing);
        handle.channel.check()?;
        publishing.count += 1;
        let tag = PublishTag(publishing.count);
        let answer = match verdict {
            Verdict::Nack => Ok(Answer::Refused),
            _ => handle.core().publish(&handle.channel, &handle.connection.user, publication.content, publication.mandatory),
        };
        let answer = if verdict == Verdict::LoseConfirm { answer.map(|_| Answer::Lost) } else { answer };
        match answer {
            Ok(answer) => {
                if handle.channel.confirms {
                    publishing.answer(answer);
                }
            }
            Err(error) => {
                publishing.count -= 1;
                drop(publishing);
                handle.end(error);
            }
        }
        Ok(tag)
    }

    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
        if !self.handle.channel.confirms {
            return Err(Error::invalid("channel", "without confirms", "only a channel opened with confirms can be asked for them"));
        }
        let left = self.handle.begin_wait(Operation::Confirm, timeout)?;
        self.handle.channel.confirm(tag.0, left)
    }

    fn get(&self, queue: &str, acknowledgement: Acknowledgement) -> Result<Option<Delivery>> {
        let handle = &self.handle;
        carrot_core::validate::short_string("queue", queue)?;
        handle.begin(Operation::Get)?;
        let manual = acknowledgement == Acknowledgement::Manual;
        handle.judge(handle.queue(queue).and_then(|queue| handle.with_dead(|dead| queue.get(handle.core(), &handle.channel, manual, dead))))
    }

    fn consume(&self, queue: &str, options: &ConsumeOptions) -> Result<Box<dyn Subscription>> {
        carrot_core::validate::short_string("queue", queue)?;
        options.validate()?;
        let handle = &self.handle;
        handle.begin(Operation::Consume)?;
        Ok(Box::new(handle.judge(handle.consume(queue, options))?))
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.handle.settle(tag, extent, Settlement::Ack)
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        let settlement = match rejection {
            Rejection::Requeue => Settlement::Requeue,
            Rejection::Discard => Settlement::Discard,
        };
        self.handle.settle(tag, extent, settlement)
    }

    fn close(&self, _timeout: Duration) -> Result<()> {
        self.handle.end(Error::closed("channel"));
        Ok(())
    }
}

/// The deliveries of one consumer of the memory broker.
#[derive(Debug)]
struct MemorySubscription {
    handle: Arc<Handle>,
    queue: Arc<str>,
    stream: u64,
    arrived: Arc<Condvar>,
}

impl MemorySubscription {
    fn stop(&self) {
        let handle = &self.handle;
        if let Some((queue, key)) = handle.channel.end_stream(self.stream, "it was told to stop", &self.queue) {
            let fate = handle.with_dead(|dead| queue.remove_consumer(handle.core(), key, dead));
            handle.core().conclude(&queue, fate);
        }
        if &*self.queue == reply_to::PSEUDO_QUEUE
            && let Some(name) = handle.channel.reply_to()
        {
            handle.core().close_reply(&name);
            let _ = handle.channel.set_reply_to(None);
        }
    }
}

impl Subscription for MemorySubscription {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        match self.handle.begin_wait(Operation::Next, timeout) {
            Err(Error::Timeout { .. }) => Ok(None),
            left => self.handle.channel.next(self.stream, &self.arrived, left?),
        }
    }

    fn cancel(&self) -> Result<()> {
        self.handle.channel.check()?;
        self.stop();
        Ok(())
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        self.stop();
        let unseen = self.handle.channel.drop_stream(self.stream);
        self.handle.settle_all(unseen, Settlement::Requeue);
    }
}
