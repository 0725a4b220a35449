//! The exchanges and queues that delay messages, and the way of a message through them; pure.
//!
//! A chain belongs to one target: an exchange, or a queue behind the default exchange. Level `n`
//! of a chain is a topic exchange and a queue in which messages wait for 2^n seconds. A blind
//! routing key of the message holds one word for each level: whether the message waits there. After
//! the levels, each message waits for the last second in a queue that dead-letters to the target.
//! The routing key of the program stays the first one all the way.
//!
//! Names and arguments outlive a version of this crate, because the queues stay at the broker. They
//! never change. Another rule gets another `v`.

use std::time::Duration;

use crate::backend::{Capabilities, Content, Declare};
use crate::error::{Error, Result};
use crate::model::{Binding, Exchange, Queue, Value};
use crate::waiting_queues::arguments::{dropped, kept, waiting_queue};
use crate::waiting_queues::delay_levels::{
    DelayLevels, LAST_SECONDS, PASSES, Unrouted, WAITS, blind_key, last_pattern, level_pattern,
};
use crate::waiting_queues::names;

const TO_QUEUE: &str = ".delay.v";
const TO_EXCHANGE: &str = ".exchange-delay.v";
const VERSION: &str = "1.";
const LAST: &str = "last";

/// An exchange, a queue or a binding of a chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ChainPart {
    Exchange(Exchange),
    Queue(Queue),
    Binding(Binding),
}

impl ChainPart {
    pub(crate) fn declare(&self) -> Declare<'_> {
        match self {
            ChainPart::Exchange(exchange) => Declare::Exchange(exchange),
            ChainPart::Queue(queue) => Declare::Queue(queue),
            ChainPart::Binding(binding) => Declare::Binding(binding),
        }
    }
}

/// The names of the chain of one target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DelayChain {
    /// The exchange to which messages go after their delay; empty for the default exchange.
    exchange: String,
    /// The first part of all names.
    stem: String,
}

impl DelayChain {
    /// Returns the chain for messages with this exchange and routing key.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the default exchange, and a routing key that names no lasting queue.
    pub(crate) fn of(exchange: &str, routing_key: &str) -> Result<DelayChain> {
        const RESERVED: &str = "amq.";
        if exchange.is_empty() && (routing_key.is_empty() || routing_key.starts_with(RESERVED)) {
            return Err(Error::invalid(
                "routing key of a delayed message",
                routing_key,
                "the name of a queue that the broker has not named, or an exchange",
            ));
        }
        let target = if exchange.is_empty() { routing_key } else { exchange };
        // Clients may not declare reserved names.
        let prefix = if target.starts_with(RESERVED) { "carrot." } else { "" };
        Ok(DelayChain { exchange: exchange.into(), stem: format!("{prefix}{target}") })
    }

    /// Returns the queue behind the default exchange, if that is the target.
    pub(crate) fn queue(&self) -> Option<&str> {
        self.exchange.is_empty().then_some(&*self.stem)
    }

    fn name(&self, end: &str) -> String {
        let infix = if self.exchange.is_empty() { TO_QUEUE } else { TO_EXCHANGE };
        names::with_suffix(&self.stem, &format!("{infix}{VERSION}{end}"))
    }

    /// Returns the name of the exchange and the queue of a level.
    pub(crate) fn level_name(&self, level: u32) -> String {
        self.name(&format!("{}s", 1_u64 << level))
    }

    /// Returns the name of the exchange before the last queues.
    pub(crate) fn last_name(&self) -> String {
        self.name(LAST)
    }

    pub(crate) fn last_queue_name(&self, unrouted: Unrouted) -> String {
        self.name(&format!("{LAST}.{}", unrouted.word()))
    }

    /// Returns the exchange in which a message with these levels begins.
    pub(crate) fn entry(&self, levels: DelayLevels) -> String {
        match levels.depth() {
            0 => self.last_name(),
            depth => self.level_name(depth - 1),
        }
    }

    /// Returns the queue in which a message with these levels waits first.
    pub(crate) fn first_queue(&self, levels: DelayLevels, unrouted: Unrouted) -> String {
        match levels.depth() {
            0 => self.last_queue_name(unrouted),
            depth => self.level_name(depth - 1),
        }
    }

    /// Returns the parts after all levels, in the order of their declaration.
    pub(crate) fn last(&self, unrouted: Unrouted, capabilities: Capabilities) -> [ChainPart; 3] {
        let (exchange, queue) = (self.last_name(), self.last_queue_name(unrouted));
        let waits = waiting_queue(queue.clone(), Duration::from_secs(LAST_SECONDS), &self.exchange);
        let waits = match unrouted {
            Unrouted::Kept => kept(waits, capabilities),
            Unrouted::Dropped => dropped(waits, capabilities),
        };
        [
            ChainPart::Exchange(Exchange::topic(&*exchange)),
            ChainPart::Queue(waits),
            ChainPart::Binding(Binding::queue(exchange, queue, last_pattern(unrouted))),
        ]
    }

    /// Returns the parts of a level, in the order of their declaration. The next lower level must
    /// exist.
    pub(crate) fn level(&self, level: u32, capabilities: Capabilities) -> [ChainPart; 4] {
        let name = self.level_name(level);
        let next = match level {
            0 => self.last_name(),
            level => self.level_name(level - 1),
        };
        let wait = Duration::from_secs(1 << level);
        let waits = kept(waiting_queue(name.clone(), wait, &next), capabilities);
        [
            ChainPart::Exchange(Exchange::topic(&*name)),
            ChainPart::Queue(waits),
            ChainPart::Binding(Binding::queue(&*name, &*name, level_pattern(level, WAITS))),
            ChainPart::Binding(Binding::exchange(name, next, level_pattern(level, PASSES))),
        ]
    }

    /// Returns a message as published to the chain.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the message has an expiration, which would end its delay, or its header
    /// `BCC` is no list.
    pub(crate) fn delayed(
        &self,
        content: &Content,
        levels: DelayLevels,
        unrouted: Unrouted,
    ) -> Result<Content> {
        if let Some(expiration) = content.properties.expiration() {
            return Err(Error::invalid(
                "expiration",
                expiration,
                "no expiration of a delayed message, because it would end the delay",
            ));
        }
        let mut headers = content.properties.headers().cloned().unwrap_or_default();
        let mut blind = match headers.remove("BCC") {
            None => Vec::new(),
            Some(Value::Array(keys)) => keys,
            Some(_) => return Err(Error::invalid("header BCC", "", "a list of routing keys")),
        };
        blind.push(blind_key(levels, unrouted).into());
        headers.insert("BCC", blind);
        // RabbitMQ before 4.0 takes the record of an earlier delay for a cycle, and drops the
        // message.
        if let Some(Value::Array(mut deaths)) = headers.remove("x-death") {
            deaths.retain(|death| {
                let queue = death.as_table().and_then(|death| death.get("queue"));
                !queue.and_then(Value::as_str).is_some_and(is_delay_queue)
            });
            if !deaths.is_empty() {
                headers.insert("x-death", deaths);
            }
        }
        Ok(Content {
            exchange: self.entry(levels).into(),
            routing_key: content.routing_key.clone(),
            properties: content.properties.clone().with_headers(headers),
            body: content.body.clone(),
        })
    }
}

/// Returns whether delayed messages wait in the queue `name`, by the rule of any version.
pub(crate) fn is_delay_queue(name: &str) -> bool {
    [TO_QUEUE, TO_EXCHANGE].into_iter().any(|infix| {
        names::split(name, infix).is_some_and(|(_, end)| {
            let seconds = end.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok());
            seconds.is_some() || end.split('.').next() == Some(LAST)
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::model::{Destination, Headers, Properties};

    fn quorum() -> Capabilities {
        Capabilities { waiting_queues: true, quorum_queues: true, ..Capabilities::default() }
    }

    fn levels(seconds: u64) -> DelayLevels {
        DelayLevels::of(Duration::from_secs(seconds)).unwrap()
    }

    fn queue_of(parts: &[ChainPart]) -> &Queue {
        let queue = parts.iter().find_map(|part| match part {
            ChainPart::Queue(queue) => Some(queue),
            _ => None,
        });
        queue.unwrap()
    }

    fn bindings(parts: &[ChainPart]) -> Vec<(String, String, Destination)> {
        let bindings = parts.iter().filter_map(|part| match part {
            ChainPart::Binding(Binding { source, routing_key, destination, .. }) => {
                Some((source.clone(), routing_key.clone(), destination.clone()))
            }
            _ => None,
        });
        bindings.collect()
    }

    // These names, arguments and patterns exist at brokers: this test must never be changed.
    #[test]
    fn names_arguments_and_patterns_never_change() {
        let chain = DelayChain::of("", "orders").unwrap();
        let level = chain.level(2, quorum());
        assert_eq!(level[0], ChainPart::Exchange(Exchange::topic("orders.delay.v1.4s")));
        let expected = Queue::new("orders.delay.v1.4s")
            .message_ttl(Duration::from_secs(4))
            .dead_letter_exchange("orders.delay.v1.2s")
            .argument("x-queue-type", "quorum")
            .argument("x-dead-letter-strategy", "at-least-once")
            .argument("x-overflow", "reject-publish");
        assert_eq!(queue_of(&level), &expected);
        let stars = "*.".repeat(21);
        assert_eq!(
            bindings(&level),
            [
                (
                    "orders.delay.v1.4s".into(),
                    format!("carrot-delay-v1.{stars}~1.#"),
                    Destination::Queue("orders.delay.v1.4s".into())
                ),
                (
                    "orders.delay.v1.4s".into(),
                    format!("carrot-delay-v1.{stars}~0.#"),
                    Destination::Exchange("orders.delay.v1.2s".into())
                ),
            ]
        );
        let last = chain.last(Unrouted::Kept, quorum());
        assert_eq!(last[0], ChainPart::Exchange(Exchange::topic("orders.delay.v1.last")));
        let expected = Queue::new("orders.delay.v1.last.kept")
            .message_ttl(Duration::from_secs(1))
            .dead_letter_exchange("")
            .argument("x-queue-type", "quorum")
            .argument("x-dead-letter-strategy", "at-least-once")
            .argument("x-overflow", "reject-publish");
        assert_eq!(queue_of(&last), &expected);
        assert_eq!(
            bindings(&last),
            [(
                "orders.delay.v1.last".into(),
                "carrot-delay-v1.kept.#".into(),
                Destination::Queue("orders.delay.v1.last.kept".into())
            )]
        );
        let dropped = Queue::new("shop.exchange-delay.v1.last.dropped")
            .message_ttl(Duration::from_secs(1))
            .dead_letter_exchange("shop")
            .argument("x-queue-type", "quorum");
        let chain = DelayChain::of("shop", "any").unwrap();
        assert_eq!(queue_of(&chain.last(Unrouted::Dropped, quorum())), &dropped);
        let classic = chain.level(0, Capabilities::default());
        let expected = Queue::new("shop.exchange-delay.v1.1s")
            .message_ttl(Duration::from_secs(1))
            .dead_letter_exchange("shop.exchange-delay.v1.last");
        assert_eq!(queue_of(&classic), &expected);
        let of_broker = DelayChain::of("amq.topic", "any").unwrap();
        assert_eq!(of_broker.last_name(), "carrot.amq.topic.exchange-delay.v1.last");
    }

    #[test]
    fn long_names_are_cut() {
        let chain = DelayChain::of("", &"x".repeat(255)).unwrap();
        assert_eq!(chain.last_queue_name(Unrouted::Dropped).len(), 255);
        assert!(is_delay_queue(&chain.level_name(22)));
    }

    #[test]
    fn delayed_message_keeps_its_key_and_its_headers() {
        let record = |queue: &str| {
            Value::Table(Headers::from([("queue", Value::from(queue)), ("count", 1.into())]))
        };
        let headers = Headers::from([
            ("BCC", Value::Array(vec!["blind".into()])),
            ("CC", Value::Array(vec!["copy".into()])),
            ("tenant", Value::from("acme")),
            ("x-death", Value::Array(vec![record("shop.delay.v1.4s"), record("elsewhere")])),
        ]);
        let content = Content::new("shop", "orders.new", "body")
            .with_properties(Properties::new().with_priority(3).with_headers(headers));
        let chain = DelayChain::of("shop", "orders.new").unwrap();
        let delayed = chain.delayed(&content, levels(6), Unrouted::Dropped).unwrap();
        assert_eq!(&*delayed.exchange, "shop.exchange-delay.v1.4s");
        assert_eq!((&*delayed.routing_key, &*delayed.body), ("orders.new", &b"body"[..]));
        let header = |name: &str| delayed.properties.header(name).cloned();
        assert_eq!(delayed.properties.priority(), Some(3));
        assert_eq!(header("tenant"), Some("acme".into()));
        assert_eq!(header("CC"), Some(Value::Array(vec!["copy".into()])));
        let key = blind_key(levels(6), Unrouted::Dropped);
        assert_eq!(header("BCC"), Some(Value::Array(vec!["blind".into(), key.into()])));
        assert_eq!(header("x-death"), Some(Value::Array(vec![record("elsewhere")])));
        let shortest = chain.delayed(&content, levels(1), Unrouted::Dropped).unwrap();
        assert_eq!(&*shortest.exchange, "shop.exchange-delay.v1.last");
    }

    #[test]
    fn message_that_cannot_be_delayed_is_invalid() {
        let chain = DelayChain::of("shop", "").unwrap();
        let expiring = Properties::new().with_expiration("5000");
        let no_list = Properties::new().with_header("BCC", "blind");
        for (properties, field) in [(expiring, "expiration"), (no_list, "header BCC")] {
            let content = Content::new("shop", "", "x").with_properties(properties);
            let error = chain.delayed(&content, levels(1), Unrouted::Kept).unwrap_err();
            assert!(matches!(error, Error::Invalid { field: of, .. } if of == field));
        }
        for routing_key in ["", "amq.gen-JzTY20BRgKO-HjmUJj0wLg"] {
            assert!(matches!(DelayChain::of("", routing_key), Err(Error::Invalid { .. })));
        }
    }

    #[test]
    fn a_delay_queue_is_recognized_by_its_name() {
        for name in [
            "orders.delay.v1.4s",
            "orders.delay.v2.7s",
            "shop.exchange-delay.v1.last.kept",
            "shop.delay.v1.last.dropped",
        ] {
            assert!(is_delay_queue(name), "{name}");
        }
        for name in
            ["orders", "orders.retry.v1.4s", "orders.delay.vx.4s", "orders.delay.v1.4", "delay.v1."]
        {
            assert!(!is_delay_queue(name), "{name}");
        }
    }
}
