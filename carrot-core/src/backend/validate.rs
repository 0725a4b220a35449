//! Checks the limits of AMQP 0-9-1 that hold for every broker, before anything is sent.

use crate::backend::content::Publication;
use crate::backend::delivery::ConsumeOptions;
use crate::backend::entities::{Declare, Delete};
use crate::error::{Error, Result};
use crate::model::{
    Binding, Destination, Exchange, ExchangeKind, Headers, Queue, ShortString, Value,
};

const SHORT_STRING: usize = 255;
const SHORT_STRING_LIMIT: &str = "at most 255 bytes";
/// The argument of a queue that becomes the routing key of messages.
const DEAD_LETTER_KEY: &str = "x-dead-letter-routing-key";
/// Deeper tables overflow the stack of naive decoders, and indicate a mistake.
const DEPTH: usize = 32;
const DEPTH_LIMIT: &str = "at most 32 levels of nesting";

/// Refuses a string longer than 255 bytes, the maximum of an AMQP short string.
///
/// # Errors
/// - [`Error::Invalid`]: names `field`.
#[inline]
pub fn short_string(field: &'static str, value: &str) -> Result<()> {
    if value.len() > SHORT_STRING {
        return Err(Error::invalid(field, value, SHORT_STRING_LIMIT));
    }
    Ok(())
}

/// Refuses more than 255 octets.
fn octets(field: &'static str, value: &ShortString) -> Result<()> {
    if value.len() > SHORT_STRING {
        return Err(Error::invalid(field, value, SHORT_STRING_LIMIT));
    }
    Ok(())
}

/// Refuses a body longer than `most` bytes.
///
/// # Errors
/// - [`Error::Invalid`]: names the body.
pub fn body(body: &[u8], most: u64) -> Result<()> {
    if body.len() as u64 > most {
        return Err(Error::Invalid {
            field: "body".into(),
            value: format!("{} bytes", body.len()),
            limit: format!("at most {most} bytes, the option max_message_size").into(),
        });
    }
    Ok(())
}

/// Refuses a table with a name longer than 255 bytes, a number that is not finite, or more than 32
/// levels of nesting.
///
/// RabbitMQ closes the whole connection over NaN and infinity in a table.
///
/// # Errors
/// - [`Error::Invalid`]: names `field` and the path of the value in it, such as
///   `headers.trace[2].ratio`.
#[inline]
pub fn table(field: &'static str, headers: &Headers) -> Result<()> {
    if is_plain(headers) { Ok(()) } else { nested_table(field, headers) }
}

/// Returns whether a table is valid, and holds no value that could be invalid.
#[inline]
fn is_plain(headers: &Headers) -> bool {
    headers.iter().all(|(name, value)| name.len() <= SHORT_STRING && is_always_valid(value))
}

#[inline(never)]
fn nested_table(field: &'static str, headers: &Headers) -> Result<()> {
    table_at(headers, 1).map_err(|Flaw { path, value, limit }| {
        let separator = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        Error::Invalid {
            field: format!("{field}{separator}{path}").into(),
            value,
            limit: limit.into(),
        }
    })
}

/// An invalid value in a table.
struct Flaw {
    /// The path of the value, from the table that is checked.
    path: String,
    value: String,
    limit: &'static str,
}

impl Flaw {
    /// Creates a flaw of the checked value itself.
    fn here(value: &str, limit: &'static str) -> Flaw {
        match Error::invalid("", value, limit) {
            Error::Invalid { value, .. } => Flaw { path: String::new(), value, limit },
            _ => Flaw { path: String::new(), value: value.into(), limit },
        }
    }

    /// Adds a step to the front of the path.
    fn inside(self, step: &str) -> Flaw {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Flaw { path: format!("{step}{separator}{}", self.path), ..self }
    }
}

fn table_at(headers: &Headers, depth: usize) -> Result<(), Flaw> {
    if depth > DEPTH {
        return Err(Flaw::here("nested table", DEPTH_LIMIT));
    }
    if is_plain(headers) {
        return Ok(());
    }
    headers.iter().try_for_each(|(name, value)| {
        if name.len() > SHORT_STRING {
            return Err(Flaw::here(name, "names of at most 255 bytes"));
        }
        value_at(value, depth)
            .map_err(|flaw| if flaw.limit == DEPTH_LIMIT { flaw } else { flaw.inside(name) })
    })
}

/// Returns whether a value is of a type without invalid values.
#[inline]
fn is_always_valid(value: &Value) -> bool {
    !matches!(value, Value::Table(_) | Value::Array(_) | Value::F32(_) | Value::F64(_))
}

fn value_at(value: &Value, depth: usize) -> Result<(), Flaw> {
    match value {
        Value::Table(table) => table_at(table, depth + 1),
        Value::Array(_) if depth >= DEPTH => Err(Flaw::here("nested array", DEPTH_LIMIT)),
        Value::Array(values) => values.iter().enumerate().try_for_each(|(index, value)| {
            let inside = |flaw: Flaw| {
                if flaw.limit == DEPTH_LIMIT { flaw } else { flaw.inside(&format!("[{index}]")) }
            };
            value_at(value, depth + 1).map_err(inside)
        }),
        Value::F32(number) => finite(f64::from(*number)),
        Value::F64(number) => finite(*number),
        _ => Ok(()),
    }
}

fn finite(number: f64) -> Result<(), Flaw> {
    if number.is_finite() {
        return Ok(());
    }
    Err(Flaw {
        path: String::new(),
        value: number.to_string(),
        limit: "a finite number, because brokers refuse NaN and infinity",
    })
}

impl Publication<'_> {
    /// Checks every limit that holds for all brokers.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the exchange, the routing key or a string property is longer than 255
    ///   bytes, a delayed message is mandatory, or [`table`] refuses the headers.
    pub fn validate(&self) -> Result<()> {
        self.validate_with(self.content.properties.string_bytes())
    }

    /// Checks as [`validate`](Publication::validate) does, given the total length of the string
    /// properties.
    pub(crate) fn validate_with(&self, string_bytes: usize) -> Result<()> {
        if self.mandatory && self.delay.is_some() {
            return Err(self.invalid_delay("no delay of a mandatory message"));
        }
        if self.is_validated() {
            return Ok(());
        }
        octets("exchange", &self.content.exchange)?;
        octets("routing key", &self.content.routing_key)?;
        let properties = &self.content.properties;
        if string_bytes > SHORT_STRING {
            properties.strings().try_for_each(|(name, value)| octets(name, value))?;
        }
        properties.headers().map_or(Ok(()), |headers| table("headers", headers))
    }
}

impl Publication<'_> {
    /// Refuses a delay, for a backend without [`Capabilities::delayed_publish`].
    ///
    /// [`Capabilities::delayed_publish`]: crate::backend::Capabilities::delayed_publish
    ///
    /// # Errors
    /// - [`Error::Invalid`]: names the delay.
    #[inline]
    pub fn refuse_delay(&self) -> Result<()> {
        match self.delay {
            Some(_) => Err(self.invalid_delay("no delay, which this backend does not support")),
            None => Ok(()),
        }
    }

    fn invalid_delay(&self, limit: &'static str) -> Error {
        Error::Invalid {
            field: "delay".into(),
            value: format!("{:?}", self.delay.unwrap_or_default()),
            limit: limit.into(),
        }
    }
}

impl Declare<'_> {
    /// Checks every limit that holds for all brokers.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: a name or routing key is longer than 255 bytes, that of dead letters
    ///   included, or [`table`] refuses the arguments.
    pub fn validate(&self) -> Result<()> {
        match self {
            Declare::Exchange(Exchange { name, kind, arguments, .. }) => {
                short_string("exchange", name)?;
                if let ExchangeKind::Custom(kind) = kind {
                    short_string("exchange type", kind)?;
                }
                table("exchange arguments", arguments)
            }
            Declare::Queue(Queue { name, arguments, .. }) => {
                short_string("queue", name)?;
                // RabbitMQ closes the connection of each consumer that the dead letter reaches.
                if let Some(Value::String(key)) = arguments.get(DEAD_LETTER_KEY) {
                    short_string("queue arguments.x-dead-letter-routing-key", key)?;
                }
                table("queue arguments", arguments)
            }
            Declare::Binding(binding) => validate_binding(binding),
        }
    }
}

impl Delete<'_> {
    /// Checks every limit that holds for all brokers.
    ///
    /// # Errors
    /// As [`Declare::validate`].
    pub fn validate(&self) -> Result<()> {
        match self {
            Delete::Exchange { name, .. } => short_string("exchange", name),
            Delete::Queue { name, .. } | Delete::Messages { queue: name } => {
                short_string("queue", name)
            }
            Delete::Binding(binding) => validate_binding(binding),
        }
    }
}

impl ConsumeOptions {
    /// Checks every limit that holds for all brokers.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: [`table`] refuses the arguments.
    pub fn validate(&self) -> Result<()> {
        table("consumer arguments", &self.arguments)
    }
}

fn validate_binding(binding: &Binding) -> Result<()> {
    short_string("exchange", &binding.source)?;
    match &binding.destination {
        Destination::Queue(name) => short_string("queue", name)?,
        Destination::Exchange(name) => short_string("exchange", name)?,
    }
    short_string("routing key", &binding.routing_key)?;
    table("binding arguments", &binding.arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw(headers: &Headers) -> Option<(String, String)> {
        match table("headers", headers) {
            Ok(()) => None,
            Err(Error::Invalid { field, value, .. }) => Some((field.into_owned(), value)),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_at_any_depth() {
        let infinite: [(Value, &str); 4] = [
            (f64::NAN.into(), "NaN"),
            (f32::NAN.into(), "NaN"),
            (f64::INFINITY.into(), "inf"),
            (f32::NEG_INFINITY.into(), "-inf"),
        ];
        for (value, shown) in infinite {
            let at = |path: &str| Some((path.to_string(), shown.to_string()));
            assert_eq!(flaw(&[("ratio", value.clone())].into()), at("headers.ratio"));
            let inner = Headers::from([("ratio", value)]);
            let list = Value::Array(vec![1.into(), Value::Array(vec![inner.clone().into()])]);
            assert_eq!(flaw(&[("list", list)].into()), at("headers.list[1][0].ratio"));
            assert_eq!(flaw(&[("outer", inner)].into()), at("headers.outer.ratio"));
        }
        assert_eq!(
            flaw(&[("most", f64::MAX), ("least", f64::MIN_POSITIVE), ("zero", -0.0)].into()),
            None
        );
        assert_eq!(flaw(&[("most", f32::MAX), ("least", f32::MIN)].into()), None);
    }

    #[test]
    fn routing_key_of_dead_letters_has_the_limit_of_routing_keys() {
        let with_key = |length| Queue::new("q").dead_letter_routing_key("k".repeat(length));
        assert!(Declare::Queue(&with_key(255)).validate().is_ok());
        let refused = Declare::Queue(&with_key(256)).validate();
        let Err(Error::Invalid { field, value, limit }) = refused else { panic!("{refused:?}") };
        assert_eq!(field, "queue arguments.x-dead-letter-routing-key");
        assert!(value.contains("kkk") && limit.contains("255"), "{value} {limit}");
    }

    #[test]
    fn every_argument_table_is_checked() {
        let nan = || Value::from(f32::NAN);
        let named = |result: Result<()>| match result {
            Err(Error::Invalid { field, .. }) => field.into_owned(),
            other => panic!("{other:?}"),
        };
        let exchange = Exchange::direct("e").argument("a", nan());
        assert_eq!(named(Declare::Exchange(&exchange).validate()), "exchange arguments.a");
        assert_eq!(
            named(Declare::Queue(&Queue::new("q").argument("a", nan())).validate()),
            "queue arguments.a"
        );
        let binding = Binding::queue("e", "q", "k").argument("a", nan());
        assert_eq!(named(Declare::Binding(&binding).validate()), "binding arguments.a");
        assert_eq!(named(Delete::Binding(&binding).validate()), "binding arguments.a");
        assert_eq!(
            named(ConsumeOptions::default().argument("a", nan()).validate()),
            "consumer arguments.a"
        );
        let properties = crate::Properties::new().with_header("a", nan());
        let content = std::sync::Arc::new(
            crate::backend::Content::new("", "q", "").with_properties(properties),
        );
        assert_eq!(named(Publication::new(&content).validate()), "headers.a");
    }

    #[test]
    fn octets_that_are_not_utf_8_are_counted_as_octets() {
        let content = |length: usize| {
            let octets = ShortString::from_octets(&vec![0xE9; length]);
            let properties = crate::Properties::new()
                .with_message_id(octets.clone())
                .with_app_id(octets.clone())
                .with_header(octets.clone(), 1);
            std::sync::Arc::new(
                crate::backend::Content::new(octets.clone(), octets, "")
                    .with_properties(properties),
            )
        };
        let (longest, too_long) = (content(255), content(256));
        assert!(Publication::new(&longest).validate().is_ok());
        let refused = Publication::new(&too_long).validate();
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == "exchange"));
        assert_eq!(longest.properties.string_bytes(), 2 * 256);
    }
}
