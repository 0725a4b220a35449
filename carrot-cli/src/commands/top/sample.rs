//! One look at the queues.

use std::time::{Duration, Instant, SystemTime};

use carrot::Connection;
use serde_json::Value;

use crate::broker_arguments::BrokerArguments;
use crate::exit::{CommandFailure, Result};
use crate::management::ManagementClient;
use crate::printing::counted;
use crate::queue_listing::{ListedQueue, matching_queues, named_queues};

/// Where the numbers come from.
pub(super) enum QueueSource {
    Management(ManagementClient, Vec<String>),
    Amqp(Connection, Vec<String>),
}

impl QueueSource {
    pub(super) fn open(broker: &BrokerArguments, queues: &[String]) -> Result<QueueSource> {
        match broker.management()? {
            Some(management) => Ok(QueueSource::Management(management, queues.to_vec())),
            None if queues.is_empty() => Err(CommandFailure::input(
                "AMQP cannot list queues: name them, or give the URL of RabbitMQ's management API \
                 with --management",
            )),
            None => Ok(QueueSource::Amqp(broker.connect()?, queues.to_vec())),
        }
    }

    /// Asks the broker.
    pub(super) fn ask(&self) -> Result<Vec<ListedQueue>> {
        match self {
            QueueSource::Management(client, patterns) => matching_queues(client, patterns),
            QueueSource::Amqp(connection, names) => named_queues(connection, names),
        }
    }

    pub(super) fn has_rates(&self) -> bool {
        matches!(self, QueueSource::Management(..))
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
        let queues = listed.into_iter().map(|listed| {
            let change = last.and_then(|last| last.change_to(&listed, taken));
            SampledQueue { listed, change }
        });
        let mut queues: Vec<_> = queues.collect();
        queues.sort_by(|a, b| {
            let order = messages_of(&b.listed).cmp(&messages_of(&a.listed));
            order.then_with(|| a.listed.name.cmp(&b.listed.name))
        });
        Sample { queues, taken, has_rates }
    }

    fn change_to(&self, now: &ListedQueue, taken: Instant) -> Option<f64> {
        let before = self.queues.iter().find(|queue| queue.listed.name == now.name)?;
        let (before, now) = (before.listed.ready?, now.ready?);
        let passed = taken.saturating_duration_since(self.taken);
        let passed = passed.max(Duration::from_millis(1)).as_secs_f64();
        Some((now as f64 - before as f64) / passed)
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
        let rate = |rate: fn(&SampledQueue) -> Option<f64>| -> f64 {
            self.queues.iter().filter_map(rate).sum()
        };
        let queues = counted(self.queues.len() as u64, "queue");
        let ready = format!("{} ready", sum(|queue| queue.ready));
        if !self.has_rates {
            return vec![queues, ready, format!("{:+.1}/s", rate(|queue| queue.change))];
        }
        vec![
            queues,
            ready,
            format!("{} unacknowledged", sum(|queue| queue.unacknowledged)),
            format!("{:.1}/s published", rate(|queue| queue.listed.publish_rate)),
            format!("{:.1}/s delivered", rate(|queue| queue.listed.deliver_rate)),
        ]
    }

    /// The fields of the entries. Lines of JSON have the time in Unix seconds, too.
    pub(super) fn names(&self, json: bool) -> Vec<&'static str> {
        let names: &[_] = match self.has_rates {
            true => {
                &["queue", "ready", "unacknowledged", "consumers", "publish_rate", "deliver_rate"]
            }
            false => &["queue", "ready", "consumers", "change_rate"],
        };
        json.then_some("time").into_iter().chain(names.iter().copied()).collect()
    }

    pub(super) fn entries(&self, json: bool) -> Vec<Vec<Value>> {
        let time = SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |time| time.as_secs_f64());
        let time = json.then(|| Value::from((time * 1000.0).round() / 1000.0));
        let entry = |queue: &SampledQueue| {
            let ListedQueue { name, ready, unacknowledged, consumers, .. } = &queue.listed;
            let name = Value::from(name.as_str());
            let mut fields: Vec<Value> = time.iter().cloned().collect();
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

fn rounded(rate: Option<f64>) -> Value {
    rate.map(|rate| (rate * 10.0).round() / 10.0).into()
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
    fn names_and_entries_have_the_same_number() {
        for has_rates in [true, false] {
            let sample = Sample::of(vec![queue("a", 1)], has_rates, Instant::now(), None);
            for json in [true, false] {
                assert_eq!(sample.names(json).len(), sample.entries(json)[0].len());
            }
        }
    }
}
