//! The class queue (AMQP 0-9-1 1.7).

use crate::arguments::Arguments;
use crate::strings::ShortStr;

method_fields! {
    /// Declares a queue (`queue.declare`).
    QueueDeclare<'a> [u16] {
        /// The name of the queue. The broker generates a name if this is empty.
        queue: ShortStr<'a>,
        /// Whether the broker only checks that the queue exists.
        passive: bool,
        /// Whether the queue survives a broker restart.
        durable: bool,
        /// Whether only this connection may use the queue.
        exclusive: bool,
        /// Whether the broker deletes the queue when the last consumer is removed.
        auto_delete: bool,
        /// Whether the broker sends no answer.
        no_wait: bool,
        /// Further arguments.
        arguments: Arguments<'a>,
    }

    /// Answers `queue.declare` (`queue.declare-ok`).
    QueueDeclareOk<'a> {
        /// The name of the queue.
        queue: ShortStr<'a>,
        /// The number of ready messages.
        message_count: u32,
        /// The number of consumers.
        consumer_count: u32,
    }

    /// Binds a queue to an exchange (`queue.bind`).
    QueueBind<'a> [u16] {
        /// The name of the queue.
        queue: ShortStr<'a>,
        /// The name of the exchange.
        exchange: ShortStr<'a>,
        /// The routing key of the binding.
        routing_key: ShortStr<'a>,
        /// Whether the broker sends no answer.
        no_wait: bool,
        /// Further arguments.
        arguments: Arguments<'a>,
    }

    /// Removes the ready messages of a queue (`queue.purge`).
    QueuePurge<'a> [u16] {
        /// The name of the queue.
        queue: ShortStr<'a>,
        /// Whether the broker sends no answer.
        no_wait: bool,
    }

    /// Answers `queue.purge` (`queue.purge-ok`).
    QueuePurgeOk {
        /// The number of removed messages.
        message_count: u32,
    }

    /// Deletes a queue (`queue.delete`).
    QueueDelete<'a> [u16] {
        /// The name of the queue.
        queue: ShortStr<'a>,
        /// Whether the broker deletes the queue only if it has no consumers.
        if_unused: bool,
        /// Whether the broker deletes the queue only if it has no messages.
        if_empty: bool,
        /// Whether the broker sends no answer.
        no_wait: bool,
    }

    /// Answers `queue.delete` (`queue.delete-ok`).
    QueueDeleteOk {
        /// The number of removed messages.
        message_count: u32,
    }

    /// Removes a binding of a queue (`queue.unbind`).
    QueueUnbind<'a> [u16] {
        /// The name of the queue.
        queue: ShortStr<'a>,
        /// The name of the exchange.
        exchange: ShortStr<'a>,
        /// The routing key of the binding.
        routing_key: ShortStr<'a>,
        /// The arguments of the binding.
        arguments: Arguments<'a>,
    }
}
