//! The class exchange (AMQP 0-9-1 1.6).

use crate::arguments::Arguments;
use crate::strings::ShortStr;

method_fields! {
    /// Declares an exchange (`exchange.declare`).
    ExchangeDeclare<'a> [u16] {
        /// The name of the exchange.
        exchange: ShortStr<'a>,
        /// The type of the exchange (AMQP `type`).
        kind: ShortStr<'a>,
        /// Whether the broker only checks that the exchange exists.
        passive: bool,
        /// Whether the exchange survives a broker restart.
        durable: bool,
        /// Whether the broker deletes the exchange when the last binding is removed.
        auto_delete: bool,
        /// Whether clients cannot publish to the exchange.
        internal: bool,
        /// Whether the broker sends no answer.
        no_wait: bool,
        /// Further arguments.
        arguments: Arguments<'a>,
    }

    /// Deletes an exchange (`exchange.delete`).
    ExchangeDelete<'a> [u16] {
        /// The name of the exchange.
        exchange: ShortStr<'a>,
        /// Whether the broker deletes the exchange only if it has no bindings.
        if_unused: bool,
        /// Whether the broker sends no answer.
        no_wait: bool,
    }

    /// Binds an exchange to an exchange (`exchange.bind`, an extension of RabbitMQ).
    ExchangeBind<'a> [u16] {
        /// The name of the exchange that receives messages.
        destination: ShortStr<'a>,
        /// The name of the exchange that routes messages.
        source: ShortStr<'a>,
        /// The routing key of the binding.
        routing_key: ShortStr<'a>,
        /// Whether the broker sends no answer.
        no_wait: bool,
        /// Further arguments.
        arguments: Arguments<'a>,
    }

    /// Removes a binding of an exchange to an exchange (`exchange.unbind`, an extension of
    /// RabbitMQ).
    ExchangeUnbind<'a> [u16] {
        /// The name of the exchange that receives messages.
        destination: ShortStr<'a>,
        /// The name of the exchange that routes messages.
        source: ShortStr<'a>,
        /// The routing key of the binding.
        routing_key: ShortStr<'a>,
        /// Whether the broker sends no answer.
        no_wait: bool,
        /// The arguments of the binding.
        arguments: Arguments<'a>,
    }
}
