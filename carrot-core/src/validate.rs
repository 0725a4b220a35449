//! The limits of AMQP 0-9-1 that hold for every broker, checked before anything leaves.

use crate::backend::{ConsumeOptions, Declare, Delete, Publication};
use crate::{Binding, Destination, Error, Exchange, ExchangeKind, Headers, Queue, Result, Value};

const SHORT_STRING: usize = 255;
const SHORT_STRING_LIMIT: &str = "at most 255 bytes";
/// Deeper tables overflow the stack of naive decoders, and mean a mistake.
const DEPTH: usize = 32;

/// Refuses a string of over 255 bytes, the most that an AMQP short string holds.
///
/// # Errors
/// [`Error::Invalid`] naming `field`.
pub fn short_string(field: &'static str, value: &str) -> Result<()> {
    if value.len() > SHORT_STRING {
        return Err(Error::invalid(field, value, SHORT_STRING_LIMIT));
    }
    Ok(())
}

/// Refuses a body of more than `most` bytes.
///
/// # Errors
/// [`Error::Invalid`] naming the body.
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

/// Refuses a table with a name of over 255 bytes, or nested over 32 deep.
///
/// # Errors
/// [`Error::Invalid`] naming `field`.
pub fn table(field: &'static str, headers: &Headers) -> Result<()> {
    table_at(field, headers, 1)
}

fn table_at(field: &'static str, headers: &Headers, depth: usize) -> Result<()> {
    if depth > DEPTH {
        return Err(Error::invalid(field, "nested table", "at most 32 levels of nesting"));
    }
    headers.iter().try_for_each(|(name, value)| {
        if name.len() > SHORT_STRING {
            return Err(Error::invalid(field, name, "names of at most 255 bytes"));
        }
        value_at(field, value, depth)
    })
}

fn value_at(field: &'static str, value: &Value, depth: usize) -> Result<()> {
    match value {
        Value::Table(table) => table_at(field, table, depth + 1),
        Value::Array(_) if depth >= DEPTH => Err(Error::invalid(field, "nested array", "at most 32 levels of nesting")),
        Value::Array(values) => values.iter().try_for_each(|value| value_at(field, value, depth + 1)),
        _ => Ok(()),
    }
}

impl Publication<'_> {
    /// Checks every limit that holds for all brokers.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the exchange, the routing key or a string property of over 255 bytes; a header table as [`table`] refuses it.
    pub fn validate(&self) -> Result<()> {
        short_string("exchange", &self.content.exchange)?;
        short_string("routing key", &self.content.routing_key)?;
        let properties = &self.content.properties;
        properties.try_each_string(short_string)?;
        properties.headers().map_or(Ok(()), |headers| table("headers", headers))
    }
}

impl Declare<'_> {
    /// Checks every limit that holds for all brokers.
    ///
    /// # Errors
    /// [`Error::Invalid`]: a name or routing key of over 255 bytes; an argument table as [`table`] refuses it.
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
            Delete::Queue { name, .. } | Delete::Messages { queue: name } => short_string("queue", name),
            Delete::Binding(binding) => validate_binding(binding),
        }
    }
}

impl ConsumeOptions {
    /// Checks every limit that holds for all brokers.
    ///
    /// # Errors
    /// [`Error::Invalid`]: an argument table as [`table`] refuses it.
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
