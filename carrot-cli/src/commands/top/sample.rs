//! One look at the queues.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use carrot::Connection;
use serde_json::Value;

use crate::broker_arguments::BrokerArguments;
use crate::exit::{CommandFailure, Result};
use crate::inspection::{Inspection, VhostScope};
use crate::inspection_arguments::NEEDS_INSPECTION;
use crate::printing::counted;
use crate::queue_listing::{ListedQueue, matching_queues, named_queues};

/// Where the numbers come from.
pub(super) enum QueueSource {
    Listed(Box<dyn Inspection>, VhostScope, Vec<String>),
    Amqp(Connection, Vec<String>),
}

impl QueueSource {
    pub(super) fn open(
        broker: &BrokerArguments,
        queues: &[String],
        all_vhosts: bool,
    ) -> Result<QueueSource> {
        match broker.inspection()? {
            Some(inspection) => {
                Ok(QueueSource::Listed(inspection, broker.vhosts(all_vhosts)?, queues.to_vec()))
            }
            None if all_vhosts => Err(CommandFailure::input(format!(
                "AMQP lists no virtual hosts: {NEEDS_INSPECTION}"
            ))),
            None if queues.is_empty() => Err(CommandFailure::input(format!(
                "the protocol of the broker cannot list queues: name them, or {NEEDS_INSPECTION}"
            ))),
            None => Ok(QueueSource::Amqp(broker.connect()?, queues.to_vec())),
        }
    }

    /// Asks the broker.
    pub(super) fn ask(&self) -> Result<Vec<ListedQueue>> {
        match self {
            QueueSource::Listed(inspection, scope, patterns) => {
                matching_queues(&**inspection, scope, patterns)
            }
            QueueSource::Amqp(connection, names) => named_queues(connection, names),
        }
    }

    pub(super) fn has_rates(&self) -> bool {
        matches!(self, QueueSource::Listed(..))
    }
}

/// The queues at one time, those with the most messages first.
pub(super) struct Sample {
    pub(super) queues: Vec<SampledQueue>,
    taken: Instant,
    has_rates: bool,
}

pub(super) struct SampledQueue {
    pub(super) listed: ListedQueue,
    /// By how many ready messages the queue grew in a second.
    change: Option<f64>,
}

impl Sample {
    pub(super) fn of(
        listed: Vec<ListedQueue>,
        has_rates: bool,
        taken: Instant,
        last: Option<&Sample>,
    ) -> Sample {
        let passed =
            last.map_or(Duration::ZERO, |last| taken.saturating_duration_since(last.taken));
        let before: HashMap<_, &ListedQueue> = last
            .into_iter()
            .flat_map(|last| &last.queues)
            .map(|queue| (identity_of(&queue.listed), &queue.listed))
            .collect();
        let queues = listed.into_iter().map(|mut listed| {
            let before = before.get(&identity_of(&listed)).copied();
            let change = before.and_then(|before| change_of(before, &listed, passed));
            if let Some(before) = before {
                listed.add_rates(before, passed);
            }
            SampledQueue { listed, change }
        });
        let mut queues: Vec<_> = queues.collect();
        queues.sort_by(|a, b| {
            let order = messages_of(&b.listed).cmp(&messages_of(&a.listed));
            order.then_with(|| identity_of(&a.listed).cmp(&identity_of(&b.listed)))
        });
        Sample { queues, taken, has_rates }
    }

    /// The messages of all queues.
    pub(super) fn total(&self) -> u64 {
        self.queues.iter().map(|queue| messages_of(&queue.listed)).sum()
    }

    /// The numbers of all queues, the most important first.
    pub(super) fn summary(&self) -> Vec<String> {
        let sum = |number: fn(&ListedQueue) -> Option<u64>| -> u64 {
            self.queues.iter().filter_map(|queue| number(&queue.listed)).sum()
        };
        let sum_of_rates = |rate: fn(&SampledQueue) -> Option<f64>| -> f64 {
            self.queues.iter().filter_map(rate).sum()
        };
        // At the first look, a broker that counts has no rates.
        let rate = |rate: fn(&SampledQueue) -> Option<f64>| -> String {
            match self.queues.is_empty() || self.queues.iter().any(|queue| rate(queue).is_some()) {
                true => format!("{:.1}", sum_of_rates(rate)),
                false => "-".into(),
            }
        };
        let queues = counted(self.queues.len() as u64, "queue");
        let ready = format!("{} ready", sum(|queue| queue.ready));
        if !self.has_rates {
            return vec![queues, ready, format!("{:+.1}/s", sum_of_rates(|queue| queue.change))];
        }
        vec![
            queues,
            ready,
            format!("{} unacknowledged", sum(|queue| queue.unacknowledged)),
            format!("{}/s published", rate(|queue| queue.listed.publish_rate)),
            format!("{}/s delivered", rate(|queue| queue.listed.deliver_rate)),
        ]
    }

    /// Whether the queues are those of all virtual hosts.
    fn has_vhosts(&self) -> bool {
        self.queues.iter().any(|queue| queue.listed.vhost.is_some())
    }

    /// The fields of the entries. Lines of JSON have the time in Unix seconds, too.
    pub(super) fn names(&self, json: bool) -> Vec<&'static str> {
        let names: &[_] = match self.has_rates {
            true => {
                &["queue", "ready", "unacknowledged", "consumers", "publish_rate", "deliver_rate"]
            }
            false => &["queue", "ready", "consumers", "change_rate"],
        };
        let first = [json.then_some("time"), self.has_vhosts().then_some("vhost")];
        first.into_iter().flatten().chain(names.iter().copied()).collect()
    }

    pub(super) fn entries(&self, json: bool) -> Vec<Vec<Value>> {
        let time = SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |time| time.as_secs_f64());
        let time = json.then(|| Value::from((time * 1000.0).round() / 1000.0));
        let has_vhosts = self.has_vhosts();
        let entry = |queue: &SampledQueue| {
            let ListedQueue { name, ready, unacknowledged, consumers, .. } = &queue.listed;
            let name = Value::from(name.as_str());
            let mut fields: Vec<Value> = time.iter().cloned().collect();
            if has_vhosts {
                fields.push(queue.listed.vhost.clone().into());
            }
            fields.extend(match self.has_rates {
                true => vec![
                    name,
                    (*ready).into(),
                    (*unacknowledged).into(),
                    (*consumers).into(),
                    rounded(queue.listed.publish_rate),
                    rounded(queue.listed.deliver_rate),
                ],
                false => vec![name, (*ready).into(), (*consumers).into(), rounded(queue.change)],
            });
            fields
        };
        self.queues.iter().map(entry).collect()
    }
}

/// By how many ready messages a queue grew in a second.
fn change_of(before: &ListedQueue, now: &ListedQueue, passed: Duration) -> Option<f64> {
    let (before, now) = (before.ready?, now.ready?);
    Some((now as f64 - before as f64) / seconds_of(passed))
}

impl ListedQueue {
    /// Adds the rates that follow from the counts of an earlier look.
    fn add_rates(&mut self, before: &ListedQueue, passed: Duration) {
        // A queue that was declared again counts from zero.
        let rate = |before: Option<u64>, now: Option<u64>| {
            Some(now?.checked_sub(before?)? as f64 / seconds_of(passed))
        };
        self.publish_rate = self.publish_rate.or(rate(before.published, self.published));
        self.deliver_rate = self.deliver_rate.or(rate(before.delivered, self.delivered));
    }
}

fn seconds_of(passed: Duration) -> f64 {
    passed.max(Duration::from_millis(1)).as_secs_f64()
}

fn rounded(rate: Option<f64>) -> Value {
    rate.map(|rate| (rate * 10.0).round() / 10.0).into()
}

/// Returns what two looks have in common of a queue.
fn identity_of(queue: &ListedQueue) -> (&str, Option<&str>) {
    (&queue.name, queue.vhost.as_deref())
}

fn messages_of(queue: &ListedQueue) -> u64 {
    queue.ready.unwrap_or(0).saturating_add(queue.unacknowledged.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str, ready: u64) -> ListedQueue {
        ListedQueue { name: name.into(), ready: Some(ready), ..ListedQueue::default() }
    }

    #[test]
    fn change_is_a_rate() {
        let start = Instant::now();
        let first = Sample::of(vec![queue("a", 10), queue("b", 5)], false, start, None);
        assert_eq!(first.entries(false)[0][3], Value::Null);
        let listed = vec![queue("b", 25), queue("a", 0), queue("new", 1)];
        let later = Sample::of(listed, false, start + Duration::from_secs(4), Some(&first));
        let rates: Vec<_> =
            later.entries(false).into_iter().map(|entry| entry[3].clone()).collect();
        assert_eq!(rates, [Value::from(5.0), Value::Null, Value::from(-2.5)]);
        assert_eq!(later.total(), 26);
        assert_eq!(later.summary(), ["3 queues", "26 ready", "+2.5/s"]);
    }

    #[test]
    fn queues_of_the_same_name_are_those_of_their_virtual_host() {
        let of =
            |vhost: &str, ready| ListedQueue { vhost: Some(vhost.into()), ..queue("a", ready) };
        let start = Instant::now();
        let first = Sample::of(vec![of("/", 10), of("shop", 90)], false, start, None);
        let listed = vec![of("/", 12), of("shop", 50)];
        let later = Sample::of(listed, false, start + Duration::from_secs(2), Some(&first));
        assert_eq!(later.names(false)[..2], ["vhost", "queue"]);
        let entries = later.entries(false);
        let of_entry = |entry: &Vec<Value>| (entry[0].clone(), entry[4].clone());
        let rates: Vec<_> = entries.iter().map(of_entry).collect();
        assert_eq!(rates, [("shop".into(), (-20.0).into()), ("/".into(), 1.0.into())]);
    }

    #[test]
    fn counts_become_rates_at_the_second_look() {
        let queue = |published, delivered| ListedQueue {
            published: Some(published),
            delivered: Some(delivered),
            ..queue("a", 0)
        };
        let start = Instant::now();
        let first = Sample::of(vec![queue(10, 5)], true, start, None);
        assert_eq!(first.entries(false)[0][4..], [Value::Null, Value::Null]);
        assert_eq!(first.summary()[3..], ["-/s published", "-/s delivered"]);
        let later = start + Duration::from_secs(2);
        let second = Sample::of(vec![queue(30, 6)], true, later, Some(&first));
        assert_eq!(second.entries(false)[0][4..], [Value::from(10.0), Value::from(0.5)]);
        // The queue was deleted and declared again.
        let third = Sample::of(vec![queue(1, 9)], true, later + (later - start), Some(&second));
        assert_eq!(third.entries(false)[0][4..], [Value::Null, Value::from(1.5)]);
    }

    #[test]
    fn rate_of_the_broker_is_kept() {
        let queue = ListedQueue { publish_rate: Some(7.0), published: Some(9), ..queue("a", 0) };
        let first = Sample::of(vec![queue.clone()], true, Instant::now(), None);
        let second = Sample::of(vec![queue], true, Instant::now(), Some(&first));
        assert_eq!(second.entries(false)[0][4], Value::from(7.0));
    }

    #[test]
    fn names_and_entries_have_the_same_number() {
        for has_rates in [true, false] {
            let sample = Sample::of(vec![queue("a", 1)], has_rates, Instant::now(), None);
            for json in [true, false] {
                assert_eq!(sample.names(json).len(), sample.entries(json)[0].len());
            }
        }
    }
}
