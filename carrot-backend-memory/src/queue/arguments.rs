//! The arguments of queues, exchanges and consumers: their checks, comparison and meaning.

use carrot_core::backend::ShortString;
use carrot_core::{Error, Headers, Overflow, Result, Value};

use crate::errors;
use crate::errors::{different, precondition};

/// The longest time that RabbitMQ accepts, in milliseconds: ten years.
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

/// Arguments that only other types of queues accept.
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

/// The modelled types of queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Classic,
    Quorum {
        /// How often a message may return before the queue drops it.
        delivery_limit: Option<u32>,
    },
}

/// The meaning of the arguments of a queue. Times are in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueRules {
    pub(crate) kind: QueueKind,
    pub(crate) message_ttl: Option<u64>,
    pub(crate) expires: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) overflow: Overflow,
    pub(crate) dead_letter_exchange: Option<ShortString>,
    pub(crate) dead_letter_key: Option<ShortString>,
    pub(crate) max_priority: Option<u8>,
    pub(crate) single_active: bool,
    /// Whether the queue keeps its messages on disk.
    pub(crate) lazy: bool,
}

impl QueueRules {
    /// Reads and checks the arguments of a new queue.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`]: RabbitMQ refuses the arguments, or the queue is a stream, which is
    /// not modelled.
    pub(crate) fn new(queue: &str, arguments: &Headers) -> Result<QueueRules> {
        let reader = ArgumentReader { queue, arguments };
        let kind = reader.kind()?;
        let (misplaced, type_name) = match kind {
            QueueKind::Classic => (&NOT_FOR_CLASSIC[..], "rabbit_classic_queue"),
            QueueKind::Quorum { .. } => (&NOT_FOR_QUORUM[..], "rabbit_quorum_queue"),
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
        let expires = reader.milliseconds("x-expires")?;
        if expires == Some(0) {
            return Err(reader.invalid("x-expires", "{value_zero,0}"));
        }
        Ok(QueueRules {
            kind,
            message_ttl: reader.milliseconds("x-message-ttl")?,
            expires,
            max_length: reader.count("x-max-length")?,
            max_bytes: reader.count("x-max-length-bytes")?,
            overflow: reader.overflow(kind)?,
            dead_letter_exchange,
            dead_letter_key,
            max_priority: reader.max_priority()?,
            single_active: reader.single_active()?,
            lazy: arguments.get("x-queue-mode").and_then(Value::as_str) == Some("lazy"),
        })
    }

    /// Checks how a node is chosen for a queue that several connections may use.
    ///
    /// RabbitMQ checks this last, and fails internally if the way is unknown.
    ///
    /// # Errors
    /// [`Error::Disconnected`]: the way does not exist.
    pub(crate) fn check_locator(arguments: &Headers) -> Result<()> {
        match arguments.get("x-queue-master-locator") {
            Some(locator)
                if !matches!(locator.as_str(), Some("min-masters" | "client-local" | "random")) =>
            {
                Err(errors::internal_error())
            }
            _ => Ok(()),
        }
    }

    /// Whether the queue has a length limit.
    pub(crate) fn limits_length(&self) -> bool {
        self.max_length.is_some() || self.max_bytes.is_some()
    }
}

/// Checks that the broker can generate a name for a queue of this type.
///
/// RabbitMQ fails internally if the type is unknown.
///
/// # Errors
/// [`Error::Disconnected`]: the type does not exist.
pub(crate) fn check_type_of_server_named(arguments: &Headers) -> Result<()> {
    match arguments.get("x-queue-type") {
        None => Ok(()),
        Some(kind) if matches!(kind.as_str(), Some("classic" | "quorum" | "stream")) => Ok(()),
        Some(_) => Err(errors::internal_error()),
    }
}

struct ArgumentReader<'a> {
    queue: &'a str,
    arguments: &'a Headers,
}

impl ArgumentReader<'_> {
    fn invalid(&self, name: &str, why: impl std::fmt::Display) -> Error {
        precondition(format_args!(
            "invalid arg '{name}' for queue '{}' in vhost '/': {why}",
            self.queue
        ))
    }

    fn unacceptable(&self, name: &str, value: &Value) -> Error {
        self.invalid(name, format_args!("{{unacceptable_type,{}}}", type_name(value)))
    }

    fn kind(&self) -> Result<QueueKind> {
        match self.arguments.get("x-queue-type") {
            None => Ok(QueueKind::Classic),
            Some(Value::String(kind)) => match kind.as_str() {
                "classic" => Ok(QueueKind::Classic),
                "quorum" => Ok(QueueKind::Quorum { delivery_limit: self.delivery_limit() }),
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

    fn overflow(&self, kind: QueueKind) -> Result<Overflow> {
        match self.string("x-overflow")?.as_deref() {
            None | Some("drop-head") => Ok(Overflow::DropHead),
            Some("reject-publish") => Ok(Overflow::RejectPublish),
            // RabbitMQ accepts this for a quorum queue, and drops from the head all the same.
            Some("reject-publish-dlx") if kind != QueueKind::Classic => Ok(Overflow::DropHead),
            Some("reject-publish-dlx") => Ok(Overflow::RejectPublishDeadLetter),
            Some(_) => Err(self.invalid("x-overflow", "invalid_overflow")),
        }
    }

    fn max_priority(&self) -> Result<Option<u8>> {
        let Some(priority) = self.count("x-max-priority")? else { return Ok(None) };
        let too_high =
            |_| self.invalid("x-max-priority", format_args!("{{max_value_exceeded,{priority}}}"));
        u8::try_from(priority).map(Some).map_err(too_high)
    }

    fn single_active(&self) -> Result<bool> {
        match self.arguments.get("x-single-active-consumer") {
            None => Ok(false),
            Some(Value::Bool(truth)) => Ok(*truth),
            Some(other) => Err(self.unacceptable("x-single-active-consumer", other)),
        }
    }

    /// Returns the delivery limit. RabbitMQ treats a value that is no number as no limit, and a
    /// negative number as zero.
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

/// Returns an argument that names an exchange.
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

/// Returns the priority of a consumer.
pub(crate) fn consumer_priority(queue: &str, arguments: &Headers) -> Result<i64> {
    let reader = ArgumentReader { queue, arguments };
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

/// Compares one argument: numbers by value, regardless of their width; other values by type and
/// value.
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
        // RabbitMQ fails internally when it formats the difference of a decimal number.
        return Err(errors::internal_error());
    }
    let show =
        |value: Option<&Value>| value.map_or("none".to_string(), |value| format!("{value:?}"));
    Err(different(name, kind, of, show(wanted), show(current)))
}

/// Returns RabbitMQ's name for the type of a value.
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

/// Reads the `expiration` property, milliseconds in decimal digits. Returns microseconds.
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
