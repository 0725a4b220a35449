//! Entities that are declared and deleted.

use crate::model::{Binding, DeleteIf, Exchange, Queue};

#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;

/// An entity to declare.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "a backend has to implement each")]
pub enum Declare<'a> {
    /// An exchange. The default exchange fails with [`Error::AccessRefused`], as with RabbitMQ.
    Exchange(&'a Exchange),
    /// A queue. The broker generates a name if its name is empty.
    Queue(&'a Queue),
    /// A binding. There is no passive form.
    Binding(&'a Binding),
}

/// An entity to delete.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "a backend has to implement each")]
pub enum Delete<'a> {
    /// An exchange, and every binding from or to it.
    Exchange {
        /// The name of the exchange.
        name: &'a str,
        /// The condition; `if_empty` does not apply.
        condition: DeleteIf,
    },
    /// A queue, with its messages and bindings.
    Queue {
        /// The name of the queue.
        name: &'a str,
        /// The condition.
        condition: DeleteIf,
    },
    /// The binding with the same source, destination, routing key and arguments.
    Binding(&'a Binding),
    /// The ready messages of a queue. Unacknowledged messages stay.
    Messages {
        /// The name of the queue.
        queue: &'a str,
    },
}

/// The result of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Deleted {
    /// The number of ready messages deleted; 0 for an exchange or a binding.
    pub message_count: u32,
}

impl Deleted {
    /// Creates a result with this number of deleted messages.
    pub fn new(message_count: u32) -> Deleted {
        Deleted { message_count }
    }
}
