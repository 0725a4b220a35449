//! What is declared and deleted.

use crate::model::{Binding, DeleteIf, Exchange, Queue};

#[cfg(doc)]
use crate::error::Error;

/// What to declare.
#[derive(Debug, Clone, Copy)]
pub enum Declare<'a> {
    /// An exchange. The default exchange is refused with [`Error::AccessRefused`], as RabbitMQ
    /// does.
    Exchange(&'a Exchange),
    /// A queue. If its name is empty, the broker makes one up.
    Queue(&'a Queue),
    /// A binding. There is no passive form.
    Binding(&'a Binding),
}

/// What to delete.
#[derive(Debug, Clone, Copy)]
pub enum Delete<'a> {
    /// An exchange, and every binding from or to it.
    Exchange {
        /// Its name.
        name: &'a str,
        /// On what condition; `if_empty` does not apply.
        condition: DeleteIf,
    },
    /// A queue, with its messages and bindings.
    Queue {
        /// Its name.
        name: &'a str,
        /// On what condition.
        condition: DeleteIf,
    },
    /// One binding: the one with the same ends, routing key and arguments.
    Binding(&'a Binding),
    /// The ready messages of a queue; unsettled ones stay.
    Messages {
        /// The queue.
        queue: &'a str,
    },
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
