//! Computes the sizes of AMQP 0-9-1 frames, and checks them against the frame limit; pure.
//!
//! A method or a content header must fit one frame. RabbitMQ closes the connection over a larger
//! one, so backends refuse it before sending. Bodies are split into as many frames as needed.

use crate::backend::content::Publication;
use crate::backend::delivery::ConsumeOptions;
use crate::backend::entities::{Declare, Delete};
use crate::error::{Error, Result};
use crate::model::{Binding, Destination, Headers, Properties, Value};

/// The bytes around the payload of each frame: type, channel, size and end.
pub const FRAME_OVERHEAD: usize = 8;
/// Class and method number, the reserved short, and at most two octets of flags.
const METHOD: usize = 4 + 2 + 2;
/// The same for a publication, which has one octet of flags.
const PUBLISH: usize = METHOD - 1;
/// Class, weight, body size and property flags.
const HEADER: usize = 2 + 2 + 8 + FLAGS;
/// The flags of properties.
const FLAGS: usize = 2;

/// Returns the size of a short string of `length` octets.
fn short(length: usize) -> usize {
    1 + length
}

fn table_size(headers: &Headers) -> usize {
    4 + headers.iter().map(|(name, value)| short(name.len()) + value_size(value)).sum::<usize>()
}

fn value_size(value: &Value) -> usize {
    1 + match value {
        Value::Void => 0,
        Value::Bool(_) | Value::I8(_) | Value::U8(_) => 1,
        Value::I16(_) | Value::U16(_) => 2,
        Value::I32(_) | Value::U32(_) | Value::F32(_) => 4,
        Value::I64(_) | Value::F64(_) | Value::Timestamp(_) => 8,
        Value::Decimal { .. } => 5,
        Value::String(text) => 4 + text.len(),
        Value::Bytes(bytes) => 4 + bytes.len(),
        Value::Array(values) => 4 + values.iter().map(value_size).sum::<usize>(),
        Value::Table(table) => table_size(table),
    }
}

fn properties_size(properties: &Properties, string_bytes: usize) -> usize {
    string_bytes
        + properties.headers().map_or(0, table_size)
        + properties.delivery_mode().map_or(0, |_| 1)
        + properties.priority().map_or(0, |_| 1)
        + properties.timestamp().map_or(0, |_| 8)
}

fn fits(field: &'static str, payload: usize, frame_max: usize) -> Result<()> {
    let limit = frame_max - FRAME_OVERHEAD;
    if payload > limit {
        return Err(Error::Invalid {
            field: field.into(),
            value: format!("{payload} bytes when encoded"),
            limit: format!("at most {limit} bytes, so that it fits one frame").into(),
        });
    }
    Ok(())
}

/// Checks a publication as [`Publication::validate`] does, and the size of its header. Returns its
/// size on the wire, in bytes.
///
/// # Errors
/// - [`Error::Invalid`]: names the field; `headers` if the properties together do not fit a frame
///   of `frame_max` bytes; `delay` if there is one, because AMQP 0-9-1 has no field for it.
pub fn check_publication(publication: &Publication<'_>, frame_max: usize) -> Result<usize> {
    let content = publication.content;
    let string_bytes = content.properties.string_bytes();
    publication.validate_with(string_bytes)?;
    publication.refuse_delay()?;
    let header = HEADER + properties_size(&content.properties, string_bytes);
    fits("headers", header, frame_max)?;
    let method = PUBLISH + short(content.exchange.len()) + short(content.routing_key.len());
    let body_frames = content.body.len().div_ceil(frame_max - FRAME_OVERHEAD);
    Ok(method + header + content.body.len() + FRAME_OVERHEAD * (2 + body_frames))
}

/// Checks that encoded properties fit the header of a message, in a frame of `frame_max` bytes.
/// `octets` is their size with their flags, as AMQP 0-9-1 encodes them.
///
/// # Errors
/// - [`Error::Invalid`]: names `headers`, which are the largest part.
pub fn check_encoded_properties(octets: usize, frame_max: usize) -> Result<()> {
    fits("headers", HEADER - FLAGS + octets, frame_max)
}

/// Checks a declaration as [`Declare::validate`] does, and the size of its arguments.
///
/// # Errors
/// - [`Error::Invalid`]: names the field.
pub fn check_declare(entity: &Declare<'_>, frame_max: usize) -> Result<()> {
    entity.validate()?;
    match entity {
        Declare::Exchange(exchange) => {
            let size = METHOD
                + short(exchange.name.len())
                + short(exchange.kind.as_str().len())
                + table_size(&exchange.arguments);
            fits("exchange arguments", size, frame_max)
        }
        Declare::Queue(queue) => fits(
            "queue arguments",
            METHOD + short(queue.name.len()) + table_size(&queue.arguments),
            frame_max,
        ),
        Declare::Binding(binding) => check_binding(binding, frame_max),
    }
}

/// Checks a deletion as [`Delete::validate`] does, and the size of its arguments.
///
/// # Errors
/// - [`Error::Invalid`]: names the field.
pub fn check_delete(entity: &Delete<'_>, frame_max: usize) -> Result<()> {
    entity.validate()?;
    match entity {
        Delete::Binding(binding) => check_binding(binding, frame_max),
        _ => Ok(()),
    }
}

/// Checks a consumer as [`ConsumeOptions::validate`] does, and the size of its arguments.
///
/// # Errors
/// - [`Error::Invalid`]: names the field.
pub fn check_consume(queue: &str, options: &ConsumeOptions, frame_max: usize) -> Result<()> {
    crate::backend::validate::short_string("queue", queue)?;
    options.validate()?;
    fits(
        "consumer arguments",
        METHOD + short(queue.len()) + short(0) + table_size(&options.arguments),
        frame_max,
    )
}

fn check_binding(binding: &Binding, frame_max: usize) -> Result<()> {
    let (Destination::Queue(destination) | Destination::Exchange(destination)) =
        &binding.destination;
    let size = METHOD
        + short(binding.source.len())
        + short(destination.len())
        + short(binding.routing_key.len())
        + table_size(&binding.arguments);
    fits("binding arguments", size, frame_max)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::sync::Arc;

    use crate::backend::content::Content;
    use crate::model::{DeliveryMode, Queue};

    use super::*;

    const FRAME_MAX: usize = 4096;

    fn publication_with_header_of(bytes: usize) -> Arc<Content> {
        Arc::new(
            Content::new("e", "k", vec![1; 10])
                .with_properties(Properties::new().with_header("h", "x".repeat(bytes))),
        )
    }

    #[test]
    fn a_header_may_fill_a_frame_exactly() {
        let overhead = FRAME_OVERHEAD + HEADER + 4 + 2 + 1 + 4;
        let fitting = publication_with_header_of(FRAME_MAX - overhead);
        check_publication(&Publication::new(&fitting), FRAME_MAX).unwrap();
        let larger = publication_with_header_of(FRAME_MAX - overhead + 1);
        let error = check_publication(&Publication::new(&larger), FRAME_MAX).unwrap_err();
        let Error::Invalid { field, value, limit } = &error else { panic!("{error}") };
        assert_eq!(field, "headers");
        assert!(value.contains("4089") && limit.contains("4088"), "{error}");
    }

    #[test]
    fn encoded_properties_may_fill_a_frame_exactly() {
        let most = FRAME_MAX - FRAME_OVERHEAD - 12;
        check_encoded_properties(most, FRAME_MAX).unwrap();
        let error = check_encoded_properties(most + 1, FRAME_MAX).unwrap_err();
        assert!(matches!(&error, Error::Invalid { field, .. } if field == "headers"), "{error}");
    }

    #[test]
    fn fixed_size_properties_count_towards_the_header() {
        let properties = Properties::new()
            .with_delivery_mode(DeliveryMode::Persistent)
            .with_timestamp(1)
            .with_priority(1)
            .with_kind("abc");
        assert_eq!(properties_size(&properties, properties.string_bytes()), 1 + 8 + 1 + 4);
    }

    #[test]
    fn arguments_larger_than_a_frame_name_their_field() {
        let queue = Queue::new("q").argument("x", "y".repeat(FRAME_MAX));
        let error = check_declare(&Declare::Queue(&queue), FRAME_MAX).unwrap_err();
        assert!(
            matches!(&error, Error::Invalid { field, .. } if field == "queue arguments"),
            "{error}"
        );

        let binding = Binding::queue("e", "q", "k").argument("x", "y".repeat(FRAME_MAX));
        let error = check_delete(&Delete::Binding(&binding), FRAME_MAX).unwrap_err();
        assert!(
            matches!(&error, Error::Invalid { field, .. } if field == "binding arguments"),
            "{error}"
        );

        let options = ConsumeOptions::with_prefetch(1).argument("x", "y".repeat(FRAME_MAX));
        let error = check_consume("q", &options, FRAME_MAX).unwrap_err();
        assert!(
            matches!(&error, Error::Invalid { field, .. } if field == "consumer arguments"),
            "{error}"
        );
    }

    #[test]
    fn the_size_of_a_publication_includes_its_body_frames() {
        let content = Arc::new(Content::new("e", "k", vec![0; FRAME_MAX * 2]));
        let size = check_publication(&Publication::new(&content), FRAME_MAX).unwrap();
        assert_eq!(size, PUBLISH + 2 + 2 + HEADER + FRAME_MAX * 2 + FRAME_OVERHEAD * (2 + 3));
    }
}
