//! The arguments of waiting queues; pure.

use std::time::Duration;

use crate::backend::Capabilities;
use crate::model::Queue;

/// Returns a queue that dead-letters each message to `exchange` after `wait`. Has no `x-expires`,
/// because an expiring queue deletes its messages.
pub(crate) fn waiting_queue(name: String, wait: Duration, exchange: &str) -> Queue {
    Queue::new(name).message_ttl(wait).dead_letter_exchange(exchange)
}

/// Sets that a waiting queue keeps each message until another queue has it, if the broker can.
pub(crate) fn kept(queue: Queue, capabilities: Capabilities) -> Queue {
    if capabilities.quorum_queues { queue.quorum().dead_letter_at_least_once() } else { queue }
}

/// Sets that a waiting queue drops each message that no queue takes after the wait.
pub(crate) fn dropped(queue: Queue, capabilities: Capabilities) -> Queue {
    if capabilities.quorum_queues { queue.quorum() } else { queue }
}
