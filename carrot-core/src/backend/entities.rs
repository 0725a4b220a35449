//! What is declared and deleted.

use crate::model::{Binding, Exchange, Queue};

#[cfg(doc)]
use crate::error::Error;

/// What to declare.
#[derive(Debug, Clone, Copy)]
pub enum Declare<'a> {
    /// An exchange. The default exchange is refused with [`Error::AccessRefused`], as RabbitMQ does.
    Exchange(&'a Exchange),
    /// A queue. If its name is empty, the broker makes one up.
    Queue(&'a Queue),
    /// A binding. There is no passive form.
    Binding(&'a Binding),
}

/// What came of a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Declared {
    /// The name of the queue or exchange: the one asked for, or the one the broker made up. Empty for a binding.
    pub name: String,
    /// For a queue, how many messages are ready in it; otherwise 0.
    pub message_count: u32,
    /// For a queue, how many consumers it has; otherwise 0.
    pub consumer_count: u32,
}

impl Declared {
    /// An exchange or queue of this name.
    pub fn new(name: impl Into<String>, message_count: u32, consumer_count: u32) -> Declared {
        Declared { name: name.into(), message_count, consumer_count }
    }
}

/// What to delete.
#[derive(Debug, Clone, Copy)]
pub enum Delete<'a> {
    /// An exchange, and every binding from or to it.
    Exchange {
        /// Its name.
        name: &'a str,
        /// On what condition; `if_empty` does not apply.
        condition: Condition,
    },
    /// A queue, with its messages and bindings.
    Queue {
        /// Its name.
        name: &'a str,
        /// On what condition.
        condition: Condition,
    },
    /// One binding: the one with the same ends, routing key and arguments.
    Binding(&'a Binding),
    /// The ready messages of a queue; unsettled ones stay.
    Messages {
        /// The queue.
        queue: &'a str,
    },
}

/// On what condition something is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub struct Condition {
    /// Only if nothing uses it: no consumer of the queue, no binding from the exchange.
    pub if_unused: bool,
    /// Only if the queue holds no ready message.
    pub if_empty: bool,
}

impl Condition {
    /// In any case.
    pub const ALWAYS: Condition = Condition { if_unused: false, if_empty: false };
    /// Only if nothing uses it.
    pub const IF_UNUSED: Condition = Condition { if_unused: true, if_empty: false };
    /// Only if it is empty.
    pub const IF_EMPTY: Condition = Condition { if_unused: false, if_empty: true };
    /// Only if nothing uses it and it is empty.
    pub const IF_UNUSED_AND_EMPTY: Condition = Condition { if_unused: true, if_empty: true };
}

/// What came of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Deleted {
    /// How many ready messages went with it; 0 for an exchange or binding.
    pub message_count: u32,
}

impl Deleted {
    /// So many messages went with it.
    pub fn new(message_count: u32) -> Deleted {
        Deleted { message_count }
    }
}
