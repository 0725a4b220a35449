//! What can be seen of the consumers and the queues after a step.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::backend::{Acknowledgement, Backend, ChannelOptions, Content, Declare, Delivery};
use carrot_core::{Error, Queue, Result};

use super::{DEADLINE, Held, KnownQueue, Runner, Step};
use crate::open::{Freedom, GIVING_BACK};
use crate::text;

const PAUSE: Duration = Duration::from_millis(1);

/// What a look at subscriptions and queues shows.
#[derive(Default)]
struct View {
    taken: Vec<Vec<Delivery>>,
    ended: Vec<Option<String>>,
    counts: Vec<String>,
    vanished: BTreeSet<String>,
}

impl Runner<'_> {
    /// Makes a call on a channel that no operation uses.
    pub(super) fn watch<T>(
        &mut self,
        owner: Option<usize>,
        call: impl Fn(&dyn Backend) -> Result<T>,
    ) -> Result<T> {
        let slot = owner.filter(|slot| self.connections[*slot].is_some()).unwrap_or(0);
        let mut attempts = 3;
        loop {
            let watcher = match &self.watchers[slot] {
                Some(watcher) => Arc::clone(watcher),
                None => {
                    let watcher = self
                        .connection(slot)
                        .open(&ChannelOptions::publish().without_confirms(), DEADLINE)?;
                    Arc::clone(self.watchers[slot].insert(watcher))
                }
            };
            let result = call(&*watcher);
            let Err(error) = &result else { return result };
            self.watchers[slot] = None;
            attempts -= 1;
            if attempts == 0 || error.is_channel_error() {
                return result;
            }
        }
    }

    /// Takes what was delivered, and counts what is in the queues, until it is as expected or time is up.
    pub(super) fn look(
        &mut self,
        lines: &mut Step,
        taking: Option<(usize, u8)>,
        expected: Option<&[String]>,
        thoroughly: bool,
    ) {
        if std::mem::take(&mut self.giving_back) && expected.is_some() {
            thread::sleep(GIVING_BACK);
        }
        let deadline = Instant::now() + self.patience;
        let mut view = View { taken: vec![], ended: vec![], ..View::default() };
        view.taken.resize_with(self.subscribers.len(), Vec::new);
        view.ended.resize(self.subscribers.len(), None);
        let known = lines.len();
        let mut again = thoroughly && expected.is_some();
        loop {
            self.take(&mut view, taking);
            self.count(&mut view);
            lines.truncate(known);
            self.describe(&view, lines);
            let Some(expected) = expected else {
                if Instant::now() >= deadline {
                    break;
                }
                thread::sleep(PAUSE);
                continue;
            };
            let matches = expected.get(..lines.len()) == Some(lines)
                && (thoroughly || expected.len() == lines.len());
            if matches && !again {
                break;
            }
            if Instant::now() >= deadline || expected.get(..known) != Some(&lines[..known]) {
                break;
            }
            again &= !matches;
            thread::sleep(PAUSE);
        }
        self.hold(view);
    }

    fn take(&mut self, view: &mut View, taking: Option<(usize, u8)>) {
        for (index, subscriber) in self.subscribers.iter_mut().enumerate() {
            let most = match taking {
                Some((taken, most)) if taken == index && subscriber.lazy => usize::from(most),
                _ if subscriber.lazy => 0,
                _ => usize::MAX,
            };
            while view.taken[index].len() < most
                && let Some(subscription) = &subscriber.subscription
            {
                match subscription.next(Duration::ZERO) {
                    Ok(Some(delivery)) => {
                        self.names.learn_answer(delivery.content.properties.reply_to());
                        view.taken[index].push(delivery);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        view.ended[index] = Some(text::error(&error));
                        subscriber.subscription = None;
                    }
                }
            }
        }
    }

    fn count(&mut self, view: &mut View) {
        view.counts.clear();
        view.vanished.clear();
        for index in 0..self.queues.len() {
            let KnownQueue { name, owner } = &self.queues[index];
            let (name, owner) = (name.clone(), *owner);
            let line = match self
                .watch(owner, |watcher| watcher.declare(Declare::Queue(&Queue::existing(&name))))
            {
                Ok(declared) => format!(
                    "{name}: ready={} consumers={}",
                    declared.message_count, declared.consumer_count
                ),
                Err(error) => {
                    if matches!(error, Error::NotFound { .. }) {
                        view.vanished.insert(name.clone());
                    }
                    format!("{name}: {}", text::error(&error))
                }
            };
            view.counts.push(self.names.symbolic(&line));
        }
    }

    fn describe(&self, view: &View, lines: &mut Step) {
        for (index, (taken, ended)) in view.taken.iter().zip(&view.ended).enumerate() {
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
        lines.extend(view.counts.iter().cloned());
    }

    pub(crate) fn delivery(&self, delivery: &Delivery, with_tag: bool) -> String {
        let tag = if with_tag { format!("tag={} ", delivery.tag.0) } else { String::new() };
        let text = format!(
            "{tag}redelivered={} {}",
            delivery.redelivered,
            text::content(&delivery.content)
        );
        self.names.symbolic(&text)
    }

    /// Keeps what was taken, for settling; in the order of consumers, whatever the order of arrival.
    fn hold(&mut self, view: View) {
        let mut gone: Vec<(String, Vec<Arc<Content>>)> = Vec::new();
        for (index, (subscriber, taken)) in self.subscribers.iter().zip(view.taken).enumerate() {
            match (subscriber.acknowledgement, &mut self.channels[usize::from(subscriber.channel)])
            {
                (Acknowledgement::Manual, Some(channel)) => {
                    channel.held.extend(taken.into_iter().map(|delivery| Held {
                        tag: delivery.tag,
                        consumer: Some(index),
                        settled: false,
                    }));
                }
                _ => gone.push((
                    subscriber.queue.clone(),
                    taken.into_iter().map(|delivery| delivery.content).collect(),
                )),
            }
        }
        for queue in self.queues.iter().map(|queue| queue.name.clone()).collect::<Vec<_>>() {
            let Some(present) = self.side.contents(&queue) else { continue };
            let passed =
                gone.iter().filter(|(other, _)| *other == queue).flat_map(|(_, contents)| contents);
            if self.arrivals.note(&queue, present.iter().chain(passed).map(|content| &**content)) {
                self.leave_open(Freedom::DifferentWays);
            }
        }
        self.queues.retain(|queue| !view.vanished.contains(&queue.name));
        self.names.know_queues(self.queues.iter().map(|queue| queue.name.clone()));
    }
}
