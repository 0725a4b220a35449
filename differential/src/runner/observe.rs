//! The observation of consumers and queues after a step.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::backend::{Acknowledgement, Backend, ChannelOptions, Content, Declare, Delivery};
use carrot_core::{Error, Queue, Result};

use super::log::StepLog;
use super::state::{DEADLINE, KnownQueue, ReceivedDelivery, Runner};
use crate::text;
use crate::unspecified::{REQUEUE_TIME, Unspecified};

const PAUSE: Duration = Duration::from_millis(1);

/// The deliveries, ends of consumers and message counts after a step.
#[derive(Default)]
struct Observation {
    taken: Vec<Vec<Delivery>>,
    ended: Vec<Option<String>>,
    counts: Vec<String>,
    deleted: BTreeSet<String>,
}

impl Runner<'_> {
    /// Runs a call on a channel that no operation uses.
    pub(super) fn call_observer<T>(
        &mut self,
        owner: Option<usize>,
        call: impl Fn(&dyn Backend) -> Result<T>,
    ) -> Result<T> {
        let slot = owner.filter(|slot| self.connections[*slot].is_some()).unwrap_or(0);
        let mut attempts = 3;
        loop {
            let observer = match &self.observers[slot] {
                Some(observer) => Arc::clone(observer),
                None => {
                    let observer = self
                        .connection(slot)
                        .open(&ChannelOptions::publish().without_confirms(), DEADLINE)?;
                    Arc::clone(self.observers[slot].insert(observer))
                }
            };
            let result = call(&*observer);
            let Err(error) = &result else { return result };
            self.observers[slot] = None;
            attempts -= 1;
            if attempts == 0 || error.is_channel_error() {
                return result;
            }
        }
    }

    /// Receives deliveries and counts the messages of the queues, until both are as expected, with
    /// `twice` in two observations in a row, or the time limit has passed.
    pub(super) fn observe(
        &mut self,
        lines: &mut StepLog,
        receive: Option<(usize, u8)>,
        expected: Option<&[String]>,
        twice: bool,
    ) {
        if std::mem::take(&mut self.effect_pending) && expected.is_some() {
            thread::sleep(REQUEUE_TIME);
        }
        let deadline = Instant::now() + self.patience;
        let mut observation =
            Observation { taken: vec![], ended: vec![], ..Observation::default() };
        observation.taken.resize_with(self.subscribers.len(), Vec::new);
        observation.ended.resize(self.subscribers.len(), None);
        let known = lines.len();
        let mut again = twice && expected.is_some();
        loop {
            self.receive(&mut observation, receive);
            self.count(&mut observation);
            lines.truncate(known);
            self.describe(&observation, lines);
            let Some(expected) = expected else {
                if Instant::now() >= deadline {
                    break;
                }
                thread::sleep(PAUSE);
                continue;
            };
            let matches = expected == lines.as_slice();
            if matches && !again {
                break;
            }
            if Instant::now() >= deadline || expected.get(..known) != Some(&lines[..known]) {
                break;
            }
            again &= !matches;
            thread::sleep(PAUSE);
        }
        self.keep(observation);
    }

    fn receive(&mut self, observation: &mut Observation, receive: Option<(usize, u8)>) {
        for (index, subscriber) in self.subscribers.iter_mut().enumerate() {
            let most = match receive {
                Some((taken, most)) if taken == index && subscriber.lazy => usize::from(most),
                _ if subscriber.lazy => 0,
                _ => usize::MAX,
            };
            while observation.taken[index].len() < most
                && let Some(subscription) = &subscriber.subscription
            {
                match subscription.next(Duration::ZERO) {
                    Ok(Some(delivery)) => {
                        self.names.learn_reply_address(delivery.content.properties.reply_to());
                        observation.taken[index].push(delivery);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        observation.ended[index] = Some(text::error(&error));
                        subscriber.subscription = None;
                    }
                }
            }
        }
    }

    fn count(&mut self, observation: &mut Observation) {
        observation.counts.clear();
        observation.deleted.clear();
        for index in 0..self.queues.len() {
            let KnownQueue { name, owner } = &self.queues[index];
            let (name, owner) = (name.clone(), *owner);
            let line = match self.call_observer(owner, |channel| {
                channel.declare(Declare::Queue(&Queue::existing(&name)), DEADLINE)
            }) {
                Ok(declared) => format!(
                    "{name}: ready={} consumers={}",
                    declared.message_count, declared.consumer_count
                ),
                Err(error) => {
                    if matches!(error, Error::NotFound { .. }) {
                        observation.deleted.insert(name.clone());
                    }
                    format!("{name}: {}", text::error(&error))
                }
            };
            observation.counts.push(self.names.symbolic(&line));
        }
    }

    fn describe(&self, observation: &Observation, lines: &mut StepLog) {
        for (index, (taken, ended)) in observation.taken.iter().zip(&observation.ended).enumerate()
        {
            let subscriber = &self.subscribers[index];
            let with_tags = self.channels[usize::from(subscriber.channel)]
                .as_ref()
                .is_some_and(|channel| channel.sources.len() <= 1);
            for delivery in taken {
                lines
                    .push(format!("consumer {index} takes {}", self.delivery(delivery, with_tags)));
            }
            if let Some(error) = ended {
                lines.push(format!("consumer {index} ends: {error}"));
            }
        }
        lines.extend(observation.counts.iter().cloned());
    }

    /// Keeps the deliveries for their settlement, in the order of the consumers.
    fn keep(&mut self, observation: Observation) {
        let mut settled: Vec<(String, Vec<Arc<Content>>)> = Vec::new();
        for (index, (subscriber, taken)) in
            self.subscribers.iter().zip(observation.taken).enumerate()
        {
            match (subscriber.acknowledgement, &mut self.channels[usize::from(subscriber.channel)])
            {
                (Acknowledgement::Manual, Some(channel)) => {
                    channel.received.extend(taken.into_iter().map(|delivery| ReceivedDelivery {
                        tag: delivery.tag,
                        consumer: Some(index),
                        settled: false,
                    }));
                }
                _ => settled.push((
                    subscriber.queue.clone(),
                    taken.into_iter().map(|delivery| delivery.content).collect(),
                )),
            }
        }
        for queue in self.queues.iter().map(|queue| queue.name.clone()).collect::<Vec<_>>() {
            let Some(present) = self.broker.contents(&queue) else { continue };
            let passed = settled
                .iter()
                .filter(|(other, _)| *other == queue)
                .flat_map(|(_, contents)| contents);
            if self.arrivals.add(&queue, present.iter().chain(passed).map(|content| &**content)) {
                self.note_unspecified(Unspecified::SeveralPaths);
            }
        }
        self.queues.retain(|queue| !observation.deleted.contains(&queue.name));
        self.names.know_queues(self.queues.iter().map(|queue| queue.name.clone()));
    }
}
