use std::collections::BTreeMap;

use carrot::{Connection, Message, Queue, topology::DeleteIf};

use crate::accounting::{Accounting, SendOutcome};
use crate::error::Result;
use crate::failing_worker::{PAUSES, is_undecodable};
use crate::node::BrokerNode;
use crate::wait::eventually;

/// The number of messages that a failure lists.
pub(super) const LISTED: usize = 20;
/// The time in which the broker has to notice the end of a killed process.
const GONE_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Publishes numbered messages. One in a hundred cannot be decoded.
pub(super) fn publish(
    connection: &Connection,
    queue: &str,
    accounting: &Accounting,
    messages: u64,
) -> Result<()> {
    let publisher = connection.publisher().routing_key(queue).build()?;
    let mut receipts = Vec::new();
    for _ in 0..messages {
        let id = accounting.send();
        let message = publisher
            .message()
            .message_id(id.to_string())
            .properties(|properties| properties.with_content_type("application/json"));
        receipts.push((id, message.publish_bytes(body(id))?));
    }
    for (id, receipt) in receipts {
        receipt.wait()?;
        accounting.record_send(id, SendOutcome::Confirmed);
    }
    Ok(publisher.close()?)
}

pub(super) fn body(message: u64) -> String {
    if is_undecodable(message) { format!("{{{message}") } else { message.to_string() }
}

pub(super) fn id(message: &Message) -> Result<u64> {
    Ok(message.id().ok_or("a message has no id")?.parse()?)
}

pub(super) fn retry_queues(queue: &str) -> impl Iterator<Item = String> {
    PAUSES.into_iter().map(move |pause| format!("{queue}.retry.v1.{pause}s"))
}

pub(super) fn parking_queue(queue: &str) -> String {
    format!("{queue}.failed")
}

/// Consumes all messages of the scenario's queues, and deletes the queues. Returns the ids by
/// queue.
///
/// The parked messages that were fetched before are unacknowledged, so they are not included.
pub(super) fn drain_queues(
    node: &BrokerNode,
    connection: &Connection,
    queue: &str,
) -> Result<BTreeMap<String, Vec<u64>>> {
    let listed = node.control(["list_queues", "name", "--formatter", "json"])?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let names =
        listed.as_array().into_iter().flatten().filter_map(|listed| listed["name"].as_str());
    let mut left = BTreeMap::new();
    // The retry queues come first, because the broker moves their messages to the main queue.
    let mut names: Vec<&str> = names.filter(|name| name.starts_with(queue)).collect();
    names.sort_unstable_by_key(|name| std::cmp::Reverse(name.len()));
    for name in names {
        let state = || connection.declare_queue(Queue::existing(name));
        if name == queue
            && !eventually(GONE_WITHIN, || state().is_ok_and(|state| state.consumer_count == 0))
        {
            return Err(format!(
                "queue \"{name}\" has consumers {GONE_WITHIN:?} after the process was killed"
            )
            .into());
        }
        let consumer = connection.consumer(Queue::existing(name)).build()?;
        let mut ids = Vec::new();
        while let Some(message) = consumer.fetch()? {
            ids.push(id(&message)?);
            message.ack()?;
        }
        consumer.close()?;
        connection.delete_queue(name, DeleteIf::ALWAYS)?;
        if !ids.is_empty() {
            left.insert(
                name.strip_prefix(queue)
                    .filter(|rest| !rest.is_empty())
                    .unwrap_or("main queue")
                    .to_string(),
                ids,
            );
        }
    }
    Ok(left)
}

/// Formats the result of [`drain_queues`].
pub(super) fn list(left: &BTreeMap<String, Vec<u64>>) -> String {
    if left.is_empty() {
        return "nothing".into();
    }
    let queues = left.iter().map(|(name, ids)| {
        let first: Vec<_> = ids.iter().take(LISTED).map(u64::to_string).collect();
        format!(
            "{name}: {} messages ({}{})",
            ids.len(),
            first.join(", "),
            if ids.len() > LISTED { ", ..." } else { "" }
        )
    });
    queues.collect::<Vec<_>>().join("; ")
}
