//! The arguments of queues that this backend gives a meaning.

use std::fmt::Display;

use carrot_core::backend::Printable;
use carrot_core::{Error, Headers, Result, Value};

const TIME_TO_LIVE: &str = "x-message-ttl";
const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
const DEAD_LETTER_KEY: &str = "x-dead-letter-routing-key";
const SINGLE_ACTIVE: &str = "x-single-active-consumer";
/// The arguments that are stored and compared.
const STORED: [&str; 4] = [TIME_TO_LIVE, DEAD_LETTER_EXCHANGE, DEAD_LETTER_KEY, SINGLE_ACTIVE];
/// The longest time to live of RabbitMQ, in milliseconds: ten years.
pub(crate) const LONGEST_TIME: i64 = 315_360_000_000;
/// The longest routing key, in bytes.
const LONGEST_KEY: usize = 255;

/// The meaning of the arguments of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BrokerQueueRules {
    /// The time after which a message expires, in milliseconds.
    pub(crate) time_to_live: Option<i64>,
    pub(crate) dead_letters: Option<DeadLetterRoute>,
    /// Whether only one consumer receives.
    pub(crate) is_single_active: bool,
}

/// Where discarded messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetterRoute {
    pub(crate) exchange: String,
    /// The key that replaces the routing key of the message.
    pub(crate) routing_key: Option<String>,
}

/// Returns the arguments of a declaration that are stored and compared.
pub(crate) fn stored_arguments(arguments: &Headers) -> Headers {
    let stored = STORED.iter().filter_map(|name| arguments.get(name).map(|value| (*name, value)));
    stored.map(|(name, value)| (name, value.clone())).collect()
}

impl BrokerQueueRules {
    /// Reads the arguments of a declaration.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: an argument has a wrong type or value.
    /// - [`Error::Invalid`]: ActiveMQ cannot have these arguments together.
    pub(crate) fn new(queue: &str, arguments: &Headers) -> Result<BrokerQueueRules> {
        let reader = RuleReader { queue, arguments };
        let time_to_live = reader.time_to_live()?;
        let exchange = reader.text(DEAD_LETTER_EXCHANGE)?;
        let routing_key = reader.text(DEAD_LETTER_KEY)?;
        if routing_key.as_ref().is_some_and(|key| key.len() > LONGEST_KEY) {
            return Err(reader.refused(DEAD_LETTER_KEY, "at most 255 bytes"));
        }
        let dead_letters = match (exchange, routing_key) {
            (Some(exchange), routing_key) => Some(DeadLetterRoute { exchange, routing_key }),
            (None, Some(_)) => {
                return Err(reader.refused(DEAD_LETTER_KEY, "no dead-letter exchange is set"));
            }
            (None, None) => None,
        };
        if let (Some(route), Some(_)) = (&dead_letters, time_to_live) {
            return Err(Error::invalid(
                DEAD_LETTER_EXCHANGE,
                &route.exchange,
                "no x-message-ttl beside it, because ActiveMQ moves expired messages to its own \
                 dead letter queue",
            ));
        }
        let is_single_active = reader.flag(SINGLE_ACTIVE)?;
        Ok(BrokerQueueRules { time_to_live, dead_letters, is_single_active })
    }

    /// Reads stored arguments, which were checked.
    pub(crate) fn stored(arguments: &Headers) -> BrokerQueueRules {
        BrokerQueueRules::new("", arguments).unwrap_or_default()
    }
}

struct RuleReader<'a> {
    queue: &'a str,
    arguments: &'a Headers,
}

impl RuleReader<'_> {
    fn refused(&self, name: &str, reason: impl Display) -> Error {
        let queue = self.queue;
        let reason =
            format!("PRECONDITION_FAILED - invalid arg '{name}' for queue '{queue}': {reason}");
        Error::PreconditionFailed { reason }
    }

    fn time_to_live(&self) -> Result<Option<i64>> {
        let Some(value) = self.arguments.get(TIME_TO_LIVE) else { return Ok(None) };
        let number = value.as_i64().filter(|number| (0..=LONGEST_TIME).contains(number));
        let reason =
            format_args!("a whole number of milliseconds from 0 to {LONGEST_TIME} is needed");
        number.map(Some).ok_or_else(|| self.refused(TIME_TO_LIVE, reason))
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        match self.arguments.get(name) {
            None => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text.into())),
                None => Err(self.refused(name, "a string is needed")),
            },
        }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.arguments.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.refused(name, "a boolean is needed")),
        }
    }
}

/// Compares the arguments of a declaration with those of the existing entity. Integers of several
/// widths are equal.
///
/// # Errors
/// - [`Error::PreconditionFailed`]: names the argument that differs.
pub(crate) fn compare_arguments(
    kind: &str,
    of: &str,
    names: &[&str],
    wanted: &Headers,
    current: &Headers,
) -> Result<()> {
    for name in names {
        let (wanted, current) = (wanted.get(name), current.get(name));
        let is_equal = match (wanted, current) {
            (Some(one), Some(other)) => match (one.as_i64(), other.as_i64()) {
                (Some(one), Some(other)) => one == other,
                _ => one == other,
            },
            (one, other) => one == other,
        };
        if !is_equal {
            return Err(inequivalent(
                name,
                kind,
                of,
                ShownArgument(wanted),
                ShownArgument(current),
            ));
        }
    }
    Ok(())
}

/// Compares the arguments of a queue.
///
/// # Errors
/// - [`Error::PreconditionFailed`]: names the argument that differs.
pub(crate) fn compare_queue(queue: &str, wanted: &Headers, current: &Headers) -> Result<()> {
    compare_arguments("queue", queue, &STORED, wanted, current)
}

/// Returns the error of a declaration that differs from the existing entity.
pub(crate) fn inequivalent(
    field: &str,
    kind: &str,
    of: &str,
    wanted: impl Display,
    current: impl Display,
) -> Error {
    let reason = format!(
        "PRECONDITION_FAILED - inequivalent arg '{field}' for {kind} '{of}': received {wanted} but \
         current is {current}"
    );
    Error::PreconditionFailed { reason }
}

struct ShownArgument<'a>(Option<&'a Value>);

impl Display for ShownArgument<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => formatter.write_str("none"),
            Some(value) => {
                let text = match (value.as_i64(), value.as_str()) {
                    (Some(number), _) => number.to_string(),
                    (_, Some(text)) => text.to_string(),
                    _ => format!("{value:?}"),
                };
                write!(formatter, "'{}'", Printable::new(LONGEST_KEY, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use carrot_core::Queue;

    use super::*;

    fn rules(queue: &Queue) -> Result<BrokerQueueRules> {
        BrokerQueueRules::new(&queue.name, &queue.arguments)
    }

    #[test]
    fn arguments_are_read() {
        let queue = Queue::new("q").dead_letter_exchange("dead").dead_letter_routing_key("k");
        let route = DeadLetterRoute { exchange: "dead".into(), routing_key: Some("k".into()) };
        assert_eq!(rules(&queue).unwrap().dead_letters, Some(route));
        let queue = Queue::new("q").argument("x-message-ttl", 50).single_active_consumer();
        let read = rules(&queue).unwrap();
        assert_eq!((read.time_to_live, read.is_single_active), (Some(50), true));
    }

    #[test]
    fn dead_letters_of_expiry_are_refused_by_name() {
        let queue = Queue::new("q").dead_letter_exchange("dead").argument("x-message-ttl", 50);
        let error = rules(&queue).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("x-dead-letter-exchange") && text.contains("expired"), "{text}");
    }

    #[test]
    fn wrong_arguments_are_refused_by_name() {
        for (name, value) in [
            ("x-message-ttl", Value::from("soon")),
            ("x-message-ttl", Value::I32(-1)),
            ("x-dead-letter-exchange", Value::I32(1)),
            ("x-dead-letter-routing-key", "no exchange".into()),
            ("x-single-active-consumer", "yes".into()),
        ] {
            let error = rules(&Queue::new("q").argument(name, value)).unwrap_err();
            assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn only_stored_arguments_are_compared() {
        let one = Headers::from([("x-message-ttl", Value::I32(5)), ("x-note", "a".into())]);
        let same = Headers::from([("x-message-ttl", Value::I64(5))]);
        compare_queue("q", &one, &same).unwrap();
        for (other, current) in
            [(Headers::new(), "none"), (Headers::from([("x-message-ttl", 6)]), "'6'")]
        {
            let error = compare_queue("q", &one, &other).unwrap_err().to_string();
            assert!(error.contains("x-message-ttl"), "{error}");
            assert!(error.ends_with(&format!("received '5' but current is {current}")), "{error}");
        }
    }
}
