use crate::backend::{Acknowledgement, ConsumeOptions};
use crate::model::{Queue, Value};

/// The place where messages of a consumer pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PausePlace {
    /// In waiting queues, or delayed on the way back to the queue.
    Broker,
    /// In the process, because the queue is deleted with its connection or consumer, or its order
    /// matters.
    Process,
    /// In the process, because a stream takes no message back.
    Stream,
    /// Nowhere: messages are acknowledged before they are handled.
    Nowhere,
}

impl PausePlace {
    pub(super) fn of(queue: &Queue, is_stream: bool, options: &ConsumeOptions) -> PausePlace {
        if options.acknowledgement == Acknowledgement::Automatic {
            return PausePlace::Nowhere;
        }
        let is_set = |name| queue.arguments.get(name).and_then(Value::as_bool) == Some(true);
        if is_stream {
            PausePlace::Stream
        } else if lasts(queue) && !is_set("x-single-active-consumer") {
            PausePlace::Broker
        } else {
            PausePlace::Process
        }
    }
}

/// Returns whether a queue outlives its connection and its consumers.
pub(super) fn lasts(queue: &Queue) -> bool {
    !queue.name.is_empty()
        && (queue.passive || (queue.durable && !queue.exclusive && !queue.auto_delete))
}
