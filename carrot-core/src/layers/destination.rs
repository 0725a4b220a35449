//! The names of destinations in metrics and spans.

use crate::model::{ShortString, TEMPORARY_QUEUE};

/// The name that stands for all destinations beyond the limit, and for names that AMQP forbids.
pub(super) const OTHER: &str = "_OTHER";
/// The longest name of an exchange or a queue, in bytes.
const LONGEST: usize = 255;
/// The name of the default exchange where a message names no queue.
const DEFAULT_EXCHANGE: &str = "amq.default";
/// The name that stands for all queues that the broker names.
const SERVER_NAMED: &str = "amq.gen";

/// Returns the name of the destination of a sent message: the exchange, or the queue for the
/// default exchange, whose routing keys are names of queues.
#[inline]
pub(super) fn of_sent<'a>(exchange: &'a ShortString, routing_key: &'a ShortString) -> &'a str {
    match (exchange.is_empty(), routing_key.is_empty()) {
        (true, true) => DEFAULT_EXCHANGE,
        (true, false) => group(routing_key),
        (false, _) => group(exchange),
    }
}

/// Returns the name of a queue, or one name for all queues that the broker names.
#[inline]
pub(super) fn group(name: &str) -> &str {
    if name.len() > LONGEST {
        return OTHER;
    }
    if name.starts_with(TEMPORARY_QUEUE) {
        return SERVER_NAMED;
    }
    if name.starts_with("amq.") {
        for group in [SERVER_NAMED, "amq.rabbitmq.reply-to", "amq.rabbitmq"] {
            if name.starts_with(group) {
                return group;
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destination_of_the_default_exchange_is_the_queue_and_else_the_exchange() {
        for (exchange, routing_key, name) in [
            ("", "orders", "orders"),
            ("shop", "orders.new", "shop"),
            ("shop", "", "shop"),
            ("amq.topic", "eur.stock", "amq.topic"),
            ("", "", "amq.default"),
        ] {
            assert_eq!(of_sent(&exchange.into(), &routing_key.into()), name);
        }
    }

    #[test]
    fn destinations_that_the_broker_names_have_one_name() {
        for (name, group_name) in [
            ("amq.gen-JzTY20BRgKO-HjmUJj0wLg", "amq.gen"),
            ("temp-queue://carrot-consume-f6de79bd:7", "amq.gen"),
            ("amq.rabbitmq.reply-to.g1h2AA5yZXBseUAyNzc", "amq.rabbitmq.reply-to"),
            ("amq.rabbitmq.trace", "amq.rabbitmq"),
            ("amq.direct", "amq.direct"),
            ("generated", "generated"),
        ] {
            assert_eq!(group(name), group_name);
        }
        assert_eq!(group(&"x".repeat(255)).len(), 255);
        assert_eq!(group(&"x".repeat(256)), OTHER);
    }
}
