//! The arguments of queues, exchanges and consumers: their checks, comparison and meaning.

use carrot_core::backend::ShortString;
use carrot_core::{Error, Headers, Overflow, Result, Value};

use crate::errors;
use crate::errors::{different_argument, precondition};
use crate::queue::delayed::RetryDelay;
use crate::release_rules::{QueueArgumentRules, QuorumRules, ReleaseRules};
use crate::value_text::{AsText, type_name};

/// The longest time that RabbitMQ accepts, in milliseconds: ten years.
pub(crate) const LONGEST_MILLISECONDS: i64 = 315_360_000_000;

/// The longest routing key, in bytes.
const LONGEST_KEY: usize = 255;

/// The modelled types of queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Classic,
    Quorum {
        /// How often a message may return before the queue drops it.
        delivery_limit: Option<u32>,
    },
}

impl QueueKind {
    /// Returns whether this number of failed deliveries exceeds the delivery limit.
    pub(crate) fn limit_is_exceeded_by(self, failures: u32) -> bool {
        matches!(self, QueueKind::Quorum { delivery_limit: Some(limit) } if failures > limit)
    }
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
    pub(crate) retry_delay: Option<RetryDelay>,
    /// Whether the queue keeps its messages on disk.
    pub(crate) lazy: bool,
}

impl QueueRules {
    /// Reads and checks the arguments of a new queue.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`]: RabbitMQ refuses the arguments, or the queue is a stream, which is
    /// not modelled.
    pub(crate) fn new(
        queue: &str,
        arguments: &Headers,
        release: &ReleaseRules,
    ) -> Result<QueueRules> {
        let reader = ArgumentReader { queue, arguments };
        let dead_letter_exchange = reader.exchange("x-dead-letter-exchange")?;
        let kind = reader.kind(release)?;
        let rules = &release.queues;
        reader.refuse(kind, rules.foreign_to_classic, rules.foreign_to_quorum)?;
        // In the order in which RabbitMQ checks them.
        let expires = reader.milliseconds("x-expires")?;
        if expires == Some(0) {
            return Err(reader.invalid("x-expires", "{value_zero,0}"));
        }
        let message_ttl = reader.milliseconds("x-message-ttl")?;
        let dead_letter_key = reader.string("x-dead-letter-routing-key")?;
        if dead_letter_key.is_some() && dead_letter_exchange.is_none() {
            return Err(
                reader.invalid("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined")
            );
        }
        if let Some(key) = dead_letter_key.as_ref().filter(|key| key.len() > LONGEST_KEY) {
            // RabbitMQ accepts the queue, and closes the connection of each consumer later.
            let length = key.len();
            let why = format_args!("{length} bytes, and a routing key has at most {LONGEST_KEY}");
            return Err(reader.invalid("x-dead-letter-routing-key", why));
        }
        reader.check_dead_letter_strategy()?;
        let max_length = reader.count("x-max-length")?;
        let max_bytes = reader.count("x-max-length-bytes")?;
        reader.count("x-max-in-memory-length")?;
        reader.count("x-max-in-memory-bytes")?;
        let max_priority = reader.max_priority()?.map(|highest| match highest {
            0 => rules.zero_max_priority,
            highest => highest,
        });
        let overflow = reader.overflow(kind)?;
        if rules.has_modes {
            reader.one_of("x-queue-mode", &["default", "lazy"])?;
        }
        reader.check_version(rules.oldest_version)?;
        let single_active = reader.single_active()?;
        reader.check_group()?;
        let is_lazy = arguments.get("x-queue-mode").and_then(Value::as_str) == Some("lazy");
        Ok(QueueRules {
            kind,
            message_ttl,
            expires,
            max_length,
            max_bytes,
            overflow,
            dead_letter_exchange,
            dead_letter_key,
            max_priority,
            single_active,
            retry_delay: reader.retry_delay(kind, &release.quorum),
            lazy: rules.has_modes && is_lazy,
        })
    }

    /// Checks how a node is chosen for a queue.
    ///
    /// RabbitMQ checks this last. Where it knows `x-queue-master-locator`, it fails internally if
    /// the way is unknown and several connections may use the queue. Where it does not, it fails in
    /// any case.
    ///
    /// # Errors
    /// - [`Error::Disconnected`]: the way does not exist.
    /// - [`Error::HardError`]: RabbitMQ does not know the argument any more.
    pub(crate) fn check_locator(
        arguments: &Headers,
        is_exclusive: bool,
        rules: &QueueArgumentRules,
    ) -> Result<()> {
        let Some(locator) = arguments.get("x-queue-master-locator") else { return Ok(()) };
        let is_known = matches!(locator.as_str(), Some("min-masters" | "client-local" | "random"));
        match rules.has_master_locator {
            false => Err(errors::deprecated_master_locator()),
            true if is_known || is_exclusive => Ok(()),
            true => Err(errors::internal_error()),
        }
    }

    /// Whether the queue has a length limit.
    pub(crate) fn limits_length(&self) -> bool {
        self.max_length.is_some() || self.max_bytes.is_some()
    }
}

/// Checks that the broker can generate a name for a queue of this type.
///
/// # Errors
/// - [`Error::Disconnected`]: the type is unknown, and RabbitMQ fails internally.
/// - [`Error::PreconditionFailed`]: the type has no generated names, or is unknown, and RabbitMQ
///   refuses it.
pub(crate) fn check_type_of_server_named(
    arguments: &Headers,
    rules: &QueueArgumentRules,
) -> Result<()> {
    let Some(kind) = arguments.get("x-queue-type") else { return Ok(()) };
    match kind {
        Value::String(kind) => match kind.as_str() {
            "classic" => Ok(()),
            "quorum" | "stream" => Err(precondition(format_args!(
                "Cannot declare a server-named queue for type rabbit_{kind}_queue"
            ))),
            "" if rules.empty_type_is_default => Ok(()),
            _ if rules.unknown_type_closes_connection => Err(errors::internal_error()),
            _ => Err(precondition(format_args!("unknown queue type '{kind}'"))),
        },
        Value::Bool(kind) if !rules.unknown_type_closes_connection => {
            Err(precondition(format_args!("unknown queue type '{kind}'")))
        }
        // Refused later, under the generated name.
        Value::Void if !rules.unknown_type_closes_connection => Ok(()),
        _ => Err(errors::internal_error()),
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

    fn kind(&self, release: &ReleaseRules) -> Result<QueueKind> {
        match self.arguments.get("x-queue-type") {
            None => Ok(QueueKind::Classic),
            Some(Value::String(kind)) => match kind.as_str() {
                "classic" => Ok(QueueKind::Classic),
                "quorum" => {
                    let delivery_limit = self.delivery_limit(&release.quorum);
                    Ok(QueueKind::Quorum { delivery_limit })
                }
                "" if release.queues.empty_type_is_default => Ok(QueueKind::Classic),
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

    /// Returns the delivery limit. RabbitMQ treats a value that is no number as absent.
    fn delivery_limit(&self, rules: &QuorumRules) -> Option<u32> {
        let limit = self.arguments.get("x-delivery-limit").and_then(Value::as_i64);
        match limit {
            None => rules.default_delivery_limit,
            Some(..0) if rules.negative_limit_is_none => None,
            Some(limit) => Some(u32::try_from(limit.max(0)).unwrap_or(u32::MAX)),
        }
    }

    /// Returns which returned messages are delayed. RabbitMQ treats values that make no sense as
    /// absent. Without a longest pause, the shortest one does not grow.
    fn retry_delay(&self, kind: QueueKind, rules: &QuorumRules) -> Option<RetryDelay> {
        if kind == QueueKind::Classic || !rules.delays_retries {
            return None;
        }
        let (failed, returned) = match self.arguments.get("x-delayed-retry-type")?.as_str()? {
            "all" => (true, true),
            "failed" => (true, false),
            "returned" => (false, true),
            _ => return None,
        };
        let pause = |name| {
            let milliseconds = self.arguments.get(name).and_then(Value::as_i64)?;
            u64::try_from(milliseconds).ok().filter(|milliseconds| *milliseconds > 0)
        };
        let shortest = pause("x-delayed-retry-min")?;
        let longest = pause("x-delayed-retry-max").unwrap_or(shortest);
        let [shortest, longest] = [shortest, longest].map(|pause| pause.saturating_mul(1000));
        Some(RetryDelay { failed, returned, shortest, longest })
    }

    fn check_version(&self, oldest: i64) -> Result<()> {
        match self.count("x-queue-version")? {
            Some(version)
                if i64::try_from(version).is_ok_and(|version| version < oldest) || version > 2 =>
            {
                Err(self.invalid(
                    "x-queue-version",
                    format_args!("\"unsupported queue version '{version}'\""),
                ))
            }
            _ => Ok(()),
        }
    }

    fn check_dead_letter_strategy(&self) -> Result<()> {
        match self.string("x-dead-letter-strategy")? {
            Some(strategy) if !matches!(&*strategy, "at-most-once" | "at-least-once") => {
                Err(self.invalid("x-dead-letter-strategy", "invalid_dlx_strategy"))
            }
            _ => Ok(()),
        }
    }

    /// Checks how many nodes have a queue, and which one leads it.
    fn check_group(&self) -> Result<()> {
        if self.count("x-quorum-initial-group-size")? == Some(0) {
            return Err(self.invalid("x-quorum-initial-group-size", "{value_zero,0}"));
        }
        match self.string("x-queue-leader-locator")? {
            Some(locator)
                if !matches!(
                    &*locator,
                    "client-local" | "balanced" | "random" | "least-leaders"
                ) =>
            {
                Err(self.invalid("x-queue-leader-locator", "invalid_queue_locator_arg"))
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

    /// Refuses the arguments that only other types of queues accept.
    fn refuse(
        &self,
        kind: QueueKind,
        foreign_to_classic: &[&str],
        foreign_to_quorum: &[&str],
    ) -> Result<()> {
        let (foreign, type_name) = match kind {
            QueueKind::Classic => (foreign_to_classic, "rabbit_classic_queue"),
            QueueKind::Quorum { .. } => (foreign_to_quorum, "rabbit_quorum_queue"),
        };
        match foreign.iter().find(|name| self.arguments.contains(name)) {
            None => Ok(()),
            Some(name) => Err(precondition(format_args!(
                "invalid arg '{name}' for queue '{}' in vhost '/' of queue type {type_name}",
                self.queue
            ))),
        }
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

/// Checks the arguments of a consumer, and returns its priority.
pub(crate) fn consumer_priority(
    queue: &str,
    kind: QueueKind,
    arguments: &Headers,
    rules: &QueueArgumentRules,
) -> Result<i64> {
    let reader = ArgumentReader { queue, arguments };
    reader.refuse(kind, rules.foreign_to_classic_consumer, rules.foreign_to_quorum_consumer)?;
    if let Some(value) = arguments.get("x-cancel-on-ha-failover")
        && rules.checks_failover
        && value.as_bool().is_none()
    {
        return Err(reader.unacceptable("x-cancel-on-ha-failover", value));
    }
    Ok(reader.integer("x-priority")?.unwrap_or(0))
}

/// Compares the arguments of a queue with those of a second declaration.
pub(crate) fn compare_queue(
    queue: &str,
    kind: QueueKind,
    current: &Headers,
    wanted: &Headers,
    rules: &QueueArgumentRules,
) -> Result<()> {
    let classic = Value::from("classic");
    let compared = match kind {
        QueueKind::Quorum { .. } => rules.compared_by_quorum,
        QueueKind::Classic => rules.compared_by_classic,
    };
    compared.iter().try_for_each(|name| {
        if *name != "x-queue-type" {
            return compare(name, "queue", queue, current.get(name), wanted.get(name));
        }
        let [here, there] = [current, wanted].map(|arguments| arguments.get("x-queue-type"));
        let is_equal = here.unwrap_or(&classic) == there.unwrap_or(&classic);
        match (is_equal, rules.shows_default_type) {
            (true, _) => Ok(()),
            (false, true) => {
                compare(name, "queue", queue, here.or(Some(&classic)), there.or(Some(&classic)))
            }
            (false, false) => compare(name, "queue", queue, here, there),
        }
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
    Err(different_argument(name, kind, of, wanted, current))
}

/// Reads the `expiration` property, milliseconds in decimal digits. Returns microseconds.
pub(crate) fn expiration(text: &str) -> Result<u64> {
    let refuse = |why: &str| {
        let shown = AsText(&text.into()).to_string();
        precondition(format_args!("invalid expiration '{shown}': {why}"))
    };
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|character: char| !character.is_ascii_digit());
    match end {
        _ if unsigned.is_empty() => return Err(refuse("no_integer")),
        Some(0) => return Err(refuse("no_integer")),
        Some(end) => {
            let left = AsText(&unsigned[end..].into()).to_string();
            return Err(refuse(&format!("{{leftover_string,\"{left}\"}}")));
        }
        None => {}
    }
    let number: i64 = text.parse().map_err(|_| {
        let kind = if text.starts_with('-') { "value_negative" } else { "value_too_large" };
        refuse(&format!("{{{kind},{}}}", text.trim_start_matches('+')))
    })?;
    match u64::try_from(number) {
        Err(_) => Err(refuse(&format!("{{value_negative,{number}}}"))),
        Ok(_) if number > LONGEST_MILLISECONDS => {
            Err(refuse(&format!("{{value_too_large,{number}}}")))
        }
        Ok(number) => Ok(number * 1000),
    }
}
