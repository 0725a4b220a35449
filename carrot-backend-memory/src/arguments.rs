//! The arguments of queues, exchanges and consumers: which RabbitMQ refuses, which it compares, and what they mean.

use carrot_core::backend::ShortString;
use carrot_core::{Error, Headers, Overflow, Result, Value};

use crate::refusal;
use crate::refusal::{different, precondition};

/// Ten years, in milliseconds: the longest time that RabbitMQ takes.
pub(crate) const LONGEST_MILLISECONDS: i64 = 315_360_000_000;

const COMPARED: [&str; 19] = [
    "x-expires",
    "x-message-ttl",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-queue-master-locator",
    "x-single-active-consumer",
    "x-queue-type",
    "x-delivery-limit",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-quorum-initial-group-size",
    "x-queue-leader-locator",
    "x-dead-letter-strategy",
];

/// What only queues of other types than this take.
const NOT_FOR_CLASSIC: [&str; 10] = [
    "x-delivery-limit",
    "x-max-age",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-quorum-initial-group-size",
    "x-initial-cluster-size",
    "x-queue-leader-locator",
    "x-dead-letter-strategy",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
];
const NOT_FOR_QUORUM: [&str; 8] = [
    "x-max-priority",
    "x-queue-mode",
    "x-queue-version",
    "x-queue-master-locator",
    "x-max-age",
    "x-initial-cluster-size",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
];

/// The types of queues that are modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Classic,
    Quorum {
        /// How often a message may come back.
        delivery_limit: Option<u32>,
    },
}

/// What the arguments of a queue mean. Times are in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) kind: Kind,
    pub(crate) message_ttl: Option<u64>,
    pub(crate) expires: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) overflow: Overflow,
    pub(crate) dead_letter_exchange: Option<ShortString>,
    pub(crate) dead_letter_key: Option<ShortString>,
    pub(crate) max_priority: Option<u8>,
    pub(crate) single_active: bool,
    /// Whether it keeps its messages on disk.
    pub(crate) lazy: bool,
}

impl Rules {
    /// Whether a message that finds others ready can only queue up behind them.
    pub(crate) fn is_plain(&self) -> bool {
        self.kind == Kind::Classic
            && self.message_ttl.is_none()
            && self.max_priority.is_none()
            && !self.limits_length()
    }

    /// Reads and checks the arguments of a queue that is to be made.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] as RabbitMQ has it; also for the queue type that is not modelled, `stream`.
    pub(crate) fn new(queue: &str, arguments: &Headers) -> Result<Rules> {
        let reader = Reader { queue, arguments };
        let kind = reader.kind()?;
        let (misplaced, type_name) = match kind {
            Kind::Classic => (&NOT_FOR_CLASSIC[..], "rabbit_classic_queue"),
            Kind::Quorum { .. } => (&NOT_FOR_QUORUM[..], "rabbit_quorum_queue"),
        };
        if let Some(name) = misplaced.iter().find(|name| arguments.contains(name)) {
            return Err(precondition(format_args!(
                "invalid arg '{name}' for queue '{queue}' in vhost '/' of queue type {type_name}"
            )));
        }
        reader.check_quorum_arguments()?;
        reader.one_of("x-queue-mode", &["default", "lazy"])?;
        if let Some(version) = reader.integer("x-queue-version")?
            && !(1..=2).contains(&version)
        {
            return Err(reader.invalid(
                "x-queue-version",
                format_args!("\"unsupported queue version '{version}'\""),
            ));
        }
        let dead_letter_exchange = reader.exchange("x-dead-letter-exchange")?;
        let dead_letter_key = reader.string("x-dead-letter-routing-key")?;
        if dead_letter_key.is_some() && dead_letter_exchange.is_none() {
            return Err(
                reader.invalid("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined")
            );
        }
        let overflow = match reader.string("x-overflow")?.as_deref() {
            None | Some("drop-head") => Overflow::DropHead,
            Some("reject-publish") => Overflow::RejectPublish,
            // RabbitMQ takes this for a quorum queue, and drops from its head all the same.
            Some("reject-publish-dlx") if kind != Kind::Classic => Overflow::DropHead,
            Some("reject-publish-dlx") => Overflow::RejectPublishDeadLetter,
            Some(_) => return Err(reader.invalid("x-overflow", "invalid_overflow")),
        };
        let max_priority = match reader.count("x-max-priority")? {
            None => None,
            Some(priority) => Some(u8::try_from(priority).map_err(|_| {
                reader.invalid("x-max-priority", format_args!("{{max_value_exceeded,{priority}}}"))
            })?),
        };
        let single_active = match arguments.get("x-single-active-consumer") {
            None => false,
            Some(Value::Bool(truth)) => *truth,
            Some(other) => return Err(reader.unacceptable("x-single-active-consumer", other)),
        };
        let expires = reader.milliseconds("x-expires")?;
        if expires == Some(0) {
            return Err(reader.invalid("x-expires", "{value_zero,0}"));
        }
        Ok(Rules {
            kind,
            message_ttl: reader.milliseconds("x-message-ttl")?,
            expires,
            max_length: reader.count("x-max-length")?,
            max_bytes: reader.count("x-max-length-bytes")?,
            overflow,
            dead_letter_exchange,
            dead_letter_key,
            max_priority,
            single_active,
            lazy: arguments.get("x-queue-mode").and_then(Value::as_str) == Some("lazy"),
        })
    }

    /// Checks where a queue that several connections may use is to live. RabbitMQ does so last, and stumbles over what it does not know.
    ///
    /// # Errors
    /// [`Error::Disconnected`] for a way of finding a node that does not exist.
    pub(crate) fn check_locator(arguments: &Headers) -> Result<()> {
        match arguments.get("x-queue-master-locator") {
            Some(locator)
                if !matches!(locator.as_str(), Some("min-masters" | "client-local" | "random")) =>
            {
                Err(refusal::internal_error())
            }
            _ => Ok(()),
        }
    }

    /// Whether it limits how much the queue may hold.
    pub(crate) fn limits_length(&self) -> bool {
        self.max_length.is_some() || self.max_bytes.is_some()
    }
}

/// Whether the broker can make a name up for a queue of its type. RabbitMQ stumbles over types that it does not know.
///
/// # Errors
/// [`Error::Disconnected`] for a type that does not exist.
pub(crate) fn check_type_of_server_named(arguments: &Headers) -> Result<()> {
    match arguments.get("x-queue-type") {
        None => Ok(()),
        Some(kind) if matches!(kind.as_str(), Some("classic" | "quorum" | "stream")) => Ok(()),
        Some(_) => Err(refusal::internal_error()),
    }
}

struct Reader<'a> {
    queue: &'a str,
    arguments: &'a Headers,
}

impl Reader<'_> {
    fn invalid(&self, name: &str, why: impl std::fmt::Display) -> Error {
        precondition(format_args!(
            "invalid arg '{name}' for queue '{}' in vhost '/': {why}",
            self.queue
        ))
    }

    fn unacceptable(&self, name: &str, value: &Value) -> Error {
        self.invalid(name, format_args!("{{unacceptable_type,{}}}", type_name(value)))
    }

    fn kind(&self) -> Result<Kind> {
        match self.arguments.get("x-queue-type") {
            None => Ok(Kind::Classic),
            Some(Value::String(kind)) => match kind.as_str() {
                "classic" => Ok(Kind::Classic),
                "quorum" => Ok(Kind::Quorum { delivery_limit: self.delivery_limit() }),
                "stream" => Err(self.invalid(
                    "x-queue-type",
                    "stream queues are not modelled by the memory broker",
                )),
                _ => Err(self
                    .invalid("x-queue-type", format_args!("\"unsupported queue type '{kind}'\""))),
            },
            Some(other) => Err(self.unacceptable("x-queue-type", other)),
        }
    }

    /// RabbitMQ takes anything: what is no number is no limit, and a negative one is as zero.
    fn delivery_limit(&self) -> Option<u32> {
        let limit = self.arguments.get("x-delivery-limit")?.as_i64()?;
        Some(u32::try_from(limit.max(0)).unwrap_or(u32::MAX))
    }

    fn check_quorum_arguments(&self) -> Result<()> {
        self.count("x-max-in-memory-length")?;
        self.count("x-max-in-memory-bytes")?;
        if self.count("x-quorum-initial-group-size")? == Some(0) {
            return Err(self.invalid("x-quorum-initial-group-size", "{value_zero,0}"));
        }
        if let Some(locator) = self.string("x-queue-leader-locator")?
            && !matches!(&*locator, "client-local" | "balanced" | "random" | "least-leaders")
        {
            return Err(self.invalid("x-queue-leader-locator", "invalid_queue_locator_arg"));
        }
        match self.string("x-dead-letter-strategy")? {
            Some(strategy) if !matches!(&*strategy, "at-most-once" | "at-least-once") => {
                Err(self.invalid("x-dead-letter-strategy", "invalid_dlx_strategy"))
            }
            _ => Ok(()),
        }
    }

    fn integer(&self, name: &str) -> Result<Option<i64>> {
        match self.arguments.get(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(self
                    .invalid(name, format_args!("\"expected integer, got {}\"", type_name(value)))),
            },
        }
    }

    fn count(&self, name: &str) -> Result<Option<u64>> {
        match self.integer(name)? {
            None => Ok(None),
            Some(number) => match u64::try_from(number) {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.invalid(name, format_args!("{{value_negative,{number}}}"))),
            },
        }
    }

    fn milliseconds(&self, name: &str) -> Result<Option<u64>> {
        match self.count(name)? {
            Some(number) if number > LONGEST_MILLISECONDS.unsigned_abs() => {
                Err(self.invalid(name, format_args!("{{value_too_large,{number}}}")))
            }
            number => Ok(number.map(|number| number * 1000)),
        }
    }

    fn string(&self, name: &str) -> Result<Option<ShortString>> {
        match self.arguments.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str().into())),
            Some(other) => Err(self.unacceptable(name, other)),
        }
    }

    fn exchange(&self, name: &str) -> Result<Option<ShortString>> {
        exchange_argument(self.arguments, name, "queue", self.queue)
    }

    fn one_of(&self, name: &str, words: &[&str]) -> Result<()> {
        match self.string(name)? {
            Some(word) if !words.contains(&&*word) => {
                Err(self.invalid(name, format_args!("\"unsupported queue mode '{word}'\"")))
            }
            _ => Ok(()),
        }
    }
}

/// An argument that names an exchange.
pub(crate) fn exchange_argument(
    arguments: &Headers,
    argument: &str,
    kind: &str,
    name: &str,
) -> Result<Option<ShortString>> {
    match arguments.get(argument) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        Some(other) => Err(precondition(format_args!(
            "invalid type '{}' for arg '{argument}' in {kind} '{name}' in vhost '/'",
            type_name(other)
        ))),
    }
}

/// The priority of a consumer.
pub(crate) fn consumer_priority(queue: &str, arguments: &Headers) -> Result<i64> {
    let reader = Reader { queue, arguments };
    if let Some(value) = arguments.get("x-cancel-on-ha-failover")
        && value.as_bool().is_none()
    {
        return Err(reader.unacceptable("x-cancel-on-ha-failover", value));
    }
    Ok(reader.integer("x-priority")?.unwrap_or(0))
}

/// Compares the arguments of a queue with those of a second declaration.
pub(crate) fn compare_queue(queue: &str, current: &Headers, wanted: &Headers) -> Result<()> {
    let classic = Value::from("classic");
    let foreign: &[&str] = match current.get("x-queue-type").and_then(Value::as_str) {
        Some("quorum") => &NOT_FOR_QUORUM,
        _ => &NOT_FOR_CLASSIC,
    };
    COMPARED.iter().filter(|name| !foreign.contains(name)).try_for_each(|name| {
        let default = (*name == "x-queue-type").then_some(&classic);
        compare(name, "queue", queue, current.get(name).or(default), wanted.get(name).or(default))
    })
}

/// Compares one argument: numbers by value, whatever their width; everything else by type and value.
pub(crate) fn compare(
    name: &str,
    kind: &str,
    of: &str,
    current: Option<&Value>,
    wanted: Option<&Value>,
) -> Result<()> {
    let equal = match (current, wanted) {
        (None, None) => true,
        (Some(current), Some(wanted)) => match (current.as_i64(), wanted.as_i64()) {
            (Some(current), Some(wanted)) => current == wanted,
            _ => current == wanted,
        },
        _ => false,
    };
    if equal {
        return Ok(());
    }
    if let (Some(_), Some(Value::Decimal { .. })) | (Some(Value::Decimal { .. }), Some(_)) =
        (current, wanted)
    {
        // RabbitMQ stumbles over a decimal number when it wants to show the difference.
        return Err(refusal::internal_error());
    }
    let show =
        |value: Option<&Value>| value.map_or("none".to_string(), |value| format!("{value:?}"));
    Err(different(name, kind, of, show(wanted), show(current)))
}

/// The name that RabbitMQ has for the type of a value.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Void => "void",
        Value::Bool(_) => "bool",
        Value::I8(_) => "byte",
        Value::U8(_) => "unsignedbyte",
        Value::I16(_) => "short",
        Value::U16(_) => "unsignedshort",
        Value::I32(_) => "signedint",
        Value::U32(_) => "unsignedint",
        Value::I64(_) => "long",
        Value::F32(_) => "float",
        Value::F64(_) => "double",
        Value::Decimal { .. } => "decimal",
        Value::String(_) => "longstr",
        Value::Bytes(_) => "binary",
        Value::Timestamp(_) => "timestamp",
        Value::Array(_) => "array",
        Value::Table(_) => "table",
    }
}

/// Reads the `expiration` property: milliseconds in decimal digits. In microseconds.
pub(crate) fn expiration(text: &str) -> Result<u64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let refuse = |why: &str| precondition(format_args!("invalid expiration '{text}': {why}"));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse("no_integer"));
    }
    let number: i64 = text.parse().map_err(|_| refuse("value_too_large"))?;
    match u64::try_from(number) {
        Err(_) => Err(refuse("value_negative")),
        Ok(_) if number > LONGEST_MILLISECONDS => Err(refuse("value_too_large")),
        Ok(number) => Ok(number * 1000),
    }
}
