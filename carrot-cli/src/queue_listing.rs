//! Queues and their numbers, from an interface for listings or by AMQP.

use carrot::{Connection, Queue};
use serde_json::Value;

use crate::exit::Result;
use crate::inspection::{EntityKind, Inspection, VhostScope, text_of};
use crate::name_pattern::matches_any;

/// The numbers of one queue. A number is missing if AMQP does not have it, or if RabbitMQ has not
/// yet counted it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ListedQueue {
    pub(crate) name: String,
    /// The virtual host, if all are listed.
    pub(crate) vhost: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) ready: Option<u64>,
    pub(crate) unacknowledged: Option<u64>,
    pub(crate) consumers: Option<u64>,
    /// Messages that reach the queue in a second.
    pub(crate) publish_rate: Option<f64>,
    /// Messages that the queue delivers in a second.
    pub(crate) deliver_rate: Option<f64>,
    /// Messages that have reached the queue since its declaration, from a broker that has no rate.
    pub(crate) published: Option<u64>,
    /// Messages that the queue has delivered since its declaration, in the same case.
    pub(crate) delivered: Option<u64>,
}

impl ListedQueue {
    fn of(entry: &Value) -> ListedQueue {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_string);
        let number = |name: &str| entry.get(name).and_then(Value::as_u64);
        let count = |name: &str| entry.pointer(&format!("/message_stats/{name}"))?.as_u64();
        // A queue without traffic has neither rates nor counts.
        let rate = |name: &str| {
            let is_idle = number("messages_ready").is_some() && count(name).is_none();
            let rate = entry.pointer(&format!("/message_stats/{name}_details/rate"));
            rate.and_then(Value::as_f64).or(is_idle.then_some(0.0))
        };
        ListedQueue {
            name: text_of(entry, "name").into(),
            vhost: text("vhost"),
            kind: text("type"),
            ready: number("messages_ready"),
            unacknowledged: number("messages_unacknowledged"),
            consumers: number("consumers"),
            publish_rate: rate("publish"),
            deliver_rate: rate("deliver_get"),
            published: count("publish"),
            delivered: count("deliver_get"),
        }
    }
}

/// Lists the queues whose names match.
pub(crate) fn matching_queues(
    inspection: &dyn Inspection,
    scope: &VhostScope,
    patterns: &[String],
) -> Result<Vec<ListedQueue>> {
    let columns = [
        "name",
        "type",
        "messages_ready",
        "messages_unacknowledged",
        "consumers",
        "message_stats.publish_details.rate",
        "message_stats.deliver_get_details.rate",
    ];
    let entries = inspection.list(scope, EntityKind::Queues, &columns)?;
    let queues = entries.iter().map(ListedQueue::of);
    Ok(queues.filter(|queue| matches_any(patterns, &queue.name)).collect())
}

/// Asks a broker for the queues of these names, by passive declares.
pub(crate) fn named_queues(connection: &Connection, names: &[String]) -> Result<Vec<ListedQueue>> {
    let mut queues = Vec::new();
    for name in names {
        let info = connection.declare_queue(Queue::existing(name))?;
        queues.push(ListedQueue {
            name: name.clone(),
            ready: Some(info.message_count.into()),
            consumers: Some(info.consumer_count.into()),
            ..ListedQueue::default()
        });
    }
    Ok(queues)
}
