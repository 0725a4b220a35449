//! Queues and their numbers, from the management API or by AMQP.

use carrot::{Connection, Queue};
use serde_json::Value;

use crate::exit::Result;
use crate::management::ManagementClient;
use crate::name_pattern::matches_any;

/// The numbers of one queue. A number is missing if AMQP does not have it, or if RabbitMQ has not
/// yet counted it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ListedQueue {
    pub(crate) name: String,
    pub(crate) kind: Option<String>,
    pub(crate) ready: Option<u64>,
    pub(crate) unacknowledged: Option<u64>,
    pub(crate) consumers: Option<u64>,
    /// Messages that reach the queue in a second.
    pub(crate) publish_rate: Option<f64>,
    /// Messages that the queue delivers in a second.
    pub(crate) deliver_rate: Option<f64>,
}

impl ListedQueue {
    fn of(entry: &Value) -> ListedQueue {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_string);
        let number = |name: &str| entry.get(name).and_then(Value::as_u64);
        // A queue without traffic has no rates.
        let rate = |name: &str| {
            let counted = number("messages_ready").is_some();
            let rate = entry.pointer(&format!("/message_stats/{name}_details/rate"));
            rate.and_then(Value::as_f64).or(counted.then_some(0.0))
        };
        ListedQueue {
            name: text("name").unwrap_or_default(),
            kind: text("type"),
            ready: number("messages_ready"),
            unacknowledged: number("messages_unacknowledged"),
            consumers: number("consumers"),
            publish_rate: rate("publish"),
            deliver_rate: rate("deliver_get"),
        }
    }
}

/// Asks the management API for the queues whose names match.
pub(crate) fn matching_queues(
    management: &ManagementClient,
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
    let entries = management.list("queues", &columns)?;
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
