//! The chores of an operator: counts messages, shows them, and moves failed ones back.

use carrot::{Connection, Message, Queue};

/// Returns the number of ready messages of a queue.
///
/// # Errors
/// If the queue does not exist, or the broker does not answer.
pub fn count(connection: &Connection, queue: &str) -> carrot::Result<u32> {
    Ok(connection.declare_queue(Queue::existing(queue))?.message_count)
}

/// Returns the first messages of a queue, at most `most`. They return to the queue when they are
/// dropped, marked as redelivered, and no consumer receives them before.
///
/// A classic queue puts them at their old places. A quorum queue without a delivery limit, such as
/// a parking queue, puts them at its end.
///
/// # Errors
/// If the queue does not exist, or the broker does not answer.
pub fn peek(connection: &Connection, queue: &str, most: usize) -> carrot::Result<Vec<Message>> {
    connection.consumer(Queue::existing(queue)).build()?.fetch_all().take(most).collect()
}

/// Moves failed messages back to the queues where they failed, at most `most`, the oldest first.
/// Returns their number.
///
/// Serves parked messages and dead letters. Each message is acknowledged after the broker has
/// confirmed its copy: a crash duplicates one message, and loses none.
///
/// # Errors
/// If a message names no queue, its queue was deleted, or the broker does not answer. The message
/// and the following ones stay.
pub fn move_back(connection: &Connection, queue: &str, most: usize) -> carrot::Result<usize> {
    // Messages that fail again meanwhile are not moved a second time.
    let now = count(connection, queue)?.try_into().unwrap_or(usize::MAX);
    let consumer = connection.consumer(Queue::existing(queue)).build()?;
    let mut moved = 0;
    for message in consumer.fetch_all().take(most.min(now)) {
        message?.forward()?;
        moved += 1;
    }
    Ok(moved)
}

/// Describes a message in one line: its id, where and why it failed, and the start of its body.
pub fn describe(message: &Message) -> String {
    let id = message.id().unwrap_or("no id");
    let header = |name| message.header(name).and_then(|value| value.as_str());
    let reason = match (header("carrot-error"), message.deaths().first()) {
        (Some(error), _) => format!("{error:?}"),
        (None, Some(death)) => death.reason.clone(),
        (None, None) => "not failed".into(),
    };
    let origin = header("carrot-queue").map(str::to_string);
    let origin = origin.or_else(|| message.deaths().first().map(|death| death.queue.clone()));
    let body: String = String::from_utf8_lossy(message.body()).chars().take(60).collect();
    format!("{id}  {}  {reason}  {body:?}", origin.unwrap_or_default())
}
