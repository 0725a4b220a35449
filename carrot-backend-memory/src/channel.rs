//! One open channel, as the broker sees it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use carrot_core::backend::{Content, Delivery, DeliveryTag, Outcome};
use carrot_core::{Error, Result};

use crate::consumers::ConsumerKey;
use crate::publishing::Publishing;
use crate::queue::{Departed, Queue};
use crate::ready::Entry;
use crate::refusal;
use crate::stream::Stream;
use crate::sync::{Deadline, lock};
use crate::unacked::{Unacked, UnackedByTag};

/// How often whoever waits for a delivery lets other threads run before it sleeps: to wake it takes a publisher longer than to publish.
const YIELDS: u32 = 8;

/// So many acknowledgements a queue may not know of.
const MOST_OWED: u32 = 32;

/// A channel: delivery tags, unsettled deliveries, inboxes of its subscriptions, answers to its publications, its first error.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) id: u64,
    pub(crate) confirms: bool,
    dead: AtomicBool,
    state: Mutex<State>,
    pub(crate) publishing: Mutex<Publishing>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct State {
    failure: Option<Error>,
    last_tag: u64,
    unacked: UnackedByTag,
    streams: Vec<Stream>,
    last_stream: u64,
    last_queue: Option<Arc<str>>,
    reply_to: Option<Arc<str>>,
}

/// A delivery that is acknowledged.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    pub(crate) unacked: Unacked,
    /// If its queue is to be told at once: how many more it has not been told of.
    pub(crate) owed: Option<u32>,
}

/// What a dead channel leaves behind for its queues to take back.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) consumers: Vec<(Arc<Queue>, Departed)>,
    pub(crate) unacked: Vec<Unacked>,
    pub(crate) reply_to: Option<Arc<str>>,
}

impl Channel {
    pub(crate) fn new(id: u64, confirms: bool) -> Channel {
        Channel {
            id,
            confirms,
            dead: AtomicBool::new(false),
            state: Mutex::default(),
            publishing: Mutex::default(),
            answered: Condvar::new(),
        }
    }

    /// The channel's first error, if it is dead.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.dead.load(Ordering::Acquire) { self.failure() } else { Ok(()) }
    }

    #[cold]
    fn failure(&self) -> Result<()> {
        lock(&self.state).failure.clone().map_or(Ok(()), Err)
    }

    /// Ends the channel; nothing if it had ended before. To be called with no lock held.
    pub(crate) fn fail(&self, error: Error) -> Option<Remains> {
        let feeding: Vec<Arc<Queue>> =
            lock(&self.state).streams.iter().filter_map(Stream::feeds).collect();
        feeding.iter().for_each(Queue::collect);
        let mut state = lock(&self.state);
        if state.failure.is_some() {
            return None;
        }
        state.failure = Some(error);
        self.dead.store(true, Ordering::Release);
        let unacked = state.unacked.take_all();
        let mut consumers = Vec::new();
        for stream in &mut state.streams {
            if let Some((queue, key)) = stream.source.take() {
                consumers.push((queue, Departed { key, owed: std::mem::take(&mut stream.owed) }));
            }
            stream.inbox = VecDeque::new();
            stream.arrived.notify_all();
        }
        let reply_to = state.reply_to.take();
        drop(state);
        drop(lock(&self.publishing));
        self.answered.notify_all();
        Some(Remains { consumers, unacked, reply_to })
    }

    /// Wakes whoever waits for an answer that came late.
    pub(crate) fn wake_publishers(&self) {
        self.answered.notify_all();
    }

    /// Waits for the answer to one publication.
    pub(crate) fn confirm(&self, tag: u64, timeout: Duration) -> Result<Outcome> {
        let deadline = Deadline::after(timeout);
        let mut publishing = lock(&self.publishing);
        loop {
            if let Some(outcome) = publishing.take(tag) {
                return Ok(outcome);
            }
            if self.dead.load(Ordering::Acquire) {
                drop(publishing);
                self.check()?;
                return Err(Error::closed("channel"));
            }
            let passed;
            (publishing, passed) = deadline.wait(&self.answered, publishing);
            if passed {
                return Err(Error::timeout("confirm", timeout));
            }
        }
    }

    /// Hands a message that a `get` took to its caller, who sees it as `shown`, if that is something else.
    pub(crate) fn hand_over(
        &self,
        entry: Entry,
        shown: Option<Arc<Content>>,
        queue: Option<&Arc<Queue>>,
    ) -> Result<Delivery, Box<(Entry, Error)>> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            let failure = failure.clone();
            return Err(Box::new((entry, failure)));
        }
        Ok(state.deliver(entry, shown, queue.map(|queue| (queue, ConsumerKey::NONE))))
    }

    /// Puts a message into the inbox of a subscription; gives it back if that is gone.
    pub(crate) fn deliver(
        &self,
        stream: u64,
        entry: Entry,
        shown: Option<Arc<Content>>,
        source: Option<(&Arc<Queue>, ConsumerKey)>,
    ) -> Result<(), Entry> {
        let mut state = lock(&self.state);
        if state.failure.is_some() {
            return Err(entry);
        }
        let Some(index) = state.find(stream) else { return Err(entry) };
        let delivery = state.deliver(entry, shown, source);
        let stream = &mut state.streams[index];
        stream.inbox.push_back(delivery);
        stream.let_wait();
        let waiter = stream.waiter();
        drop(state);
        waiter.inspect(|arrived| arrived.notify_one());
        Ok(())
    }

    /// Puts messages into the inbox of a subscription as long as `next` gives some, `most` at most; how many, none if it is gone,
    /// and whether it has enough at hand.
    pub(crate) fn deliver_all(
        &self,
        stream: u64,
        most: u32,
        mut next: impl FnMut() -> Option<Entry>,
        source: Option<(&Arc<Queue>, ConsumerKey)>,
    ) -> (u32, bool) {
        let mut state = lock(&self.state);
        let Some(index) = state.find(stream).filter(|_| state.failure.is_none()) else {
            return (0, false);
        };
        let mut count = 0;
        while count < most
            && let Some(entry) = next()
        {
            let delivery = state.deliver(entry, None, source);
            state.streams[index].inbox.push_back(delivery);
            count += 1;
        }
        let busy = state.streams[index].let_wait();
        let waiter = state.streams[index].waiter();
        drop(state);
        waiter.inspect(|arrived| arrived.notify_one());
        (count, busy)
    }

    /// Puts a direct answer into the inbox of a subscription, if that is there. Like RabbitMQ, it gives it the tag of the delivery that
    /// will come next.
    pub(crate) fn deliver_answer(&self, stream: u64, content: Arc<Content>) {
        let mut state = lock(&self.state);
        if state.failure.is_none()
            && let Some(index) = state.find(stream)
        {
            let delivery = Delivery {
                tag: DeliveryTag(state.last_tag + 1),
                redelivered: false,
                is_whole: true,
                content,
            };
            let stream = &mut state.streams[index];
            stream.inbox.push_back(delivery);
            let waiter = stream.waiter();
            drop(state);
            waiter.inspect(|arrived| arrived.notify_one());
        }
    }

    /// Takes a delivery out for settlement. The channel is to be failed if there is none of that tag.
    pub(crate) fn take(&self, tag: DeliveryTag) -> Result<Option<Unacked>> {
        let mut state = lock(&self.state);
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(state.unacked.take(tag.0)),
        }
    }

    /// Takes a delivery out that is acknowledged, as [`take`](Channel::take). If its queue need not know at once, that is put down as owed.
    pub(crate) fn acknowledge(&self, tag: DeliveryTag) -> Result<Option<Acknowledged>> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let Some(unacked) = state.unacked.take(tag.0) else { return Ok(None) };
        let from = |stream: &&mut Stream| {
            stream.source.as_ref().is_some_and(|(queue, key)| {
                *key == unacked.consumer && Arc::ptr_eq(queue, &unacked.queue)
            })
        };
        let Some(stream) = state.streams.iter_mut().find(from) else {
            return Ok(Some(Acknowledged { unacked, owed: Some(0) }));
        };
        if stream.owed < MOST_OWED && !stream.inbox.is_empty() && unacked.queue.can_wait() {
            stream.owed += 1;
            return Ok(Some(Acknowledged { unacked, owed: None }));
        }
        Ok(Some(Acknowledged { unacked, owed: Some(stream.owed) }))
    }

    /// The acknowledgements of a subscription that its queue has not been told of; now it is. To be called with the queue locked.
    pub(crate) fn collect(&self, stream: u64) -> u32 {
        let mut state = lock(&self.state);
        state.find(stream).map_or(0, |index| std::mem::take(&mut state.streams[index].owed))
    }

    /// Takes a delivery and all before it that were handed out for settlement, as [`take`](Channel::take). What lies in the inbox of a
    /// subscription is not settled unseen.
    pub(crate) fn take_up_to(&self, tag: DeliveryTag) -> Result<Option<Vec<Unacked>>> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let mut unseen: Vec<u64> = state.streams.iter().flat_map(Stream::unseen).collect();
        unseen.sort_unstable();
        Ok(state.unacked.take_up_to(tag.0, &unseen))
    }

    /// Makes room for one more subscription: of a queue, or of direct answers.
    pub(crate) fn open_stream(&self, answers: bool) -> Result<(u64, Arc<Condvar>)> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.last_stream += 1;
        let id = state.last_stream;
        let arrived = Arc::new(Condvar::new());
        state.streams.push(Stream::new(id, answers, Arc::clone(&arrived)));
        Ok((id, arrived))
    }

    /// Notes which consumer feeds a subscription.
    pub(crate) fn attach_stream(
        &self,
        stream: u64,
        queue: &Arc<Queue>,
        consumer: ConsumerKey,
    ) -> Result<()> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if let Some(index) = state.find(stream) {
            state.streams[index].source = Some((Arc::clone(queue), consumer));
        }
        Ok(())
    }

    /// Ends a subscription: what is in its inbox can still be taken. Which consumer fed it, if it had not ended before.
    pub(crate) fn end_stream(
        &self,
        stream: u64,
        reason: &'static str,
        queue: &str,
    ) -> Option<(Arc<Queue>, ConsumerKey)> {
        let mut state = lock(&self.state);
        let index = state.find(stream)?;
        let stream = &mut state.streams[index];
        stream
            .ended
            .get_or_insert_with(|| Error::Cancelled { queue: queue.into(), reason: reason.into() });
        stream.arrived.notify_all();
        stream.source.take()
    }

    /// Forgets a subscription; gives back what it had not handed out.
    pub(crate) fn drop_stream(&self, stream: u64) -> Vec<Unacked> {
        let mut state = lock(&self.state);
        let Some(index) = state.find(stream) else { return Vec::new() };
        let stream = state.streams.remove(index);
        stream.unseen().filter_map(|tag| state.unacked.take(tag)).collect()
    }

    /// Waits for the next delivery of a subscription.
    pub(crate) fn next(
        &self,
        stream: u64,
        arrived: &Condvar,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        let mut deadline = None;
        let mut yielded = 0;
        let mut asked = false;
        let mut state = lock(&self.state);
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            let Some(index) = state.find(stream) else { return Err(Error::closed("subscription")) };
            let found = &mut state.streams[index];
            if let Some(delivery) = found.inbox.pop_front() {
                let queue = found.to_ask();
                let waiter = found.waiter();
                drop(state);
                waiter.inspect(|arrived| arrived.notify_one());
                queue.inspect(|queue| queue.collect());
                return Ok(Some(delivery));
            }
            if !asked && let Some(queue) = found.to_ask() {
                asked = true;
                drop(state);
                queue.collect();
                state = lock(&self.state);
                continue;
            }
            if let Some(ended) = &found.ended {
                return Err(ended.clone());
            }
            if timeout.is_zero() {
                return Ok(None);
            }
            if yielded < YIELDS && !found.searching {
                yielded += 1;
                found.searching = true;
                drop(state);
                thread::yield_now();
                state = lock(&self.state);
                if let Some(index) = state.find(stream) {
                    state.streams[index].searching = false;
                }
                continue;
            }
            let deadline = *deadline.get_or_insert_with(|| Deadline::after(timeout));
            found.waiting += 1;
            let passed;
            (state, passed) = deadline.wait(arrived, state);
            if let Some(index) = state.find(stream) {
                let found = &mut state.streams[index];
                found.waiting -= 1;
                found.woken = found.woken.saturating_sub(1);
            }
            if passed {
                return Ok(None);
            }
        }
    }

    /// The queue that an empty name stands for: the one declared last on this channel.
    pub(crate) fn last_queue(&self) -> Result<Arc<str>> {
        let last = lock(&self.state).last_queue.clone();
        last.ok_or_else(|| Error::NotFound {
            reason: "NOT_FOUND - no previously declared queue".into(),
        })
    }

    pub(crate) fn set_last_queue(&self, name: &str) {
        let mut state = lock(&self.state);
        if state.last_queue.as_deref() != Some(name) {
            state.last_queue = Some(name.into());
        }
    }

    /// The name under which answers reach this channel directly, if it consumes them.
    pub(crate) fn reply_to(&self) -> Option<Arc<str>> {
        lock(&self.state).reply_to.clone()
    }

    /// Sets or clears [`reply_to`](Channel::reply_to).
    pub(crate) fn set_reply_to(&self, name: Option<Arc<str>>) -> Result<()> {
        let mut state = lock(&self.state);
        if name.is_some() && state.reply_to.is_some() {
            return Err(refusal::precondition("reply consumer already set"));
        }
        state.reply_to = name;
        Ok(())
    }

    /// Calls `each` with the unsettled deliveries.
    pub(crate) fn each_unacked(&self, mut each: impl FnMut(DeliveryTag, &Unacked)) {
        lock(&self.state).unacked.iter().for_each(|(tag, unacked)| each(DeliveryTag(tag), unacked));
    }
}

impl State {
    fn find(&self, stream: u64) -> Option<usize> {
        self.streams.binary_search_by_key(&stream, |stream| stream.id).ok()
    }

    fn deliver(
        &mut self,
        mut entry: Entry,
        shown: Option<Arc<Content>>,
        source: Option<(&Arc<Queue>, ConsumerKey)>,
    ) -> Delivery {
        self.last_tag += 1;
        let tag = self.last_tag;
        let redelivered = entry.redelivered();
        let content = match source {
            Some((queue, consumer)) => {
                let content = shown.unwrap_or_else(|| entry.parcel.handle());
                self.unacked.push(tag, Unacked { queue: Arc::clone(queue), consumer, entry });
                content
            }
            None => shown.unwrap_or(entry.parcel.content),
        };
        Delivery { tag: DeliveryTag(tag), redelivered, is_whole: true, content }
    }
}
