use std::time::{SystemTime, UNIX_EPOCH};

use carrot_core::backend::{Content, ShortString};
use carrot_core::{DeliveryMode, Error, Properties, Result};

use crate::content::{jms_headers, kept_properties, queue_name};
use crate::wire::destination::WireDestination;
use crate::wire::message::{MessageKind, WireMessage};
use crate::wire::property_map::{PropertyMap, PropertyValue};

/// The priority of every message. A broker with priorities has them in all queues, and a plain
/// queue of RabbitMQ ignores them.
const PRIORITY: u8 = 4;

/// Refuses what the broker would treat otherwise than the program expects.
///
/// # Errors
/// - [`Error::Invalid`]: names the header or the property.
pub(crate) fn check_content(content: &Content) -> Result<()> {
    for name in ["CC", "BCC"] {
        if content.properties.header(name).is_some() {
            return Err(Error::invalid("header", name, "no CC and BCC, which ActiveMQ has not"));
        }
    }
    time_to_live(&content.properties).map(drop)
}

/// Returns the time to live in milliseconds; `None` for a message that does not expire.
fn time_to_live(properties: &Properties) -> Result<Option<u32>> {
    let Some(expiration) = properties.expiration() else { return Ok(None) };
    match expiration.parse() {
        Ok(milliseconds) => Ok(Some(milliseconds)),
        Err(_) => Err(Error::invalid(
            "expiration",
            expiration,
            "a whole number of milliseconds, at most 4294967295",
        )),
    }
}

/// Returns the message for a queue, without its number. JMS fields are copies for other clients:
/// the kept properties hold everything exactly.
///
/// # Errors
/// - [`Error::Invalid`]: a property exceeds a limit.
pub(crate) fn to_message(content: &Content, queue: &ShortString) -> Result<WireMessage> {
    let properties = &content.properties;
    let now = now();
    let expiration = time_to_live(properties)?.map_or(0, |left| now.saturating_add(left.into()));
    let seconds = |time: u64| i64::try_from(time).ok()?.checked_mul(1000);
    Ok(WireMessage {
        kind: MessageKind::Bytes,
        destination: Some(WireDestination::queue(queue_name::escape(queue.as_bytes()))),
        correlation_id: properties.correlation_id().map(Into::into),
        // RabbitMQ keeps a message without a delivery mode in memory. A disk is safer.
        is_persistent: properties.delivery_mode() != Some(DeliveryMode::Transient),
        expiration,
        priority: PRIORITY,
        reply_to: properties.reply_to().filter(|name| !name.is_empty()).map(reply_queue),
        timestamp: properties.timestamp().and_then(seconds).unwrap_or(now),
        type_name: properties.kind().map(Into::into),
        content: Some(content.body.to_vec()),
        properties: Some(property_octets(content)?),
        ..WireMessage::default()
    })
}

fn reply_queue(name: &str) -> WireDestination {
    WireDestination::queue(queue_name::escape(name.as_bytes()))
}

fn property_octets(content: &Content) -> Result<Vec<u8>> {
    let properties = &content.properties;
    let kept = kept_properties::write(&content.exchange, &content.routing_key, properties);
    let kept = kept.map_err(|limit| Error::Invalid {
        field: "properties".into(),
        value: "too long".into(),
        limit: limit.into(),
    })?;
    let mut map = PropertyMap::default();
    map.push(kept_properties::NAME, PropertyValue::Octets(kept));
    if let Some(headers) = properties.headers() {
        jms_headers::add(headers, &mut map);
    }
    let mut octets = Vec::new();
    map.write(&mut octets);
    Ok(octets)
}

/// Returns the time in milliseconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
