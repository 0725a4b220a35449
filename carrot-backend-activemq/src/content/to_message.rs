use carrot_core::backend::{Content, Printable};
use carrot_core::{DeliveryMode, Error, Properties, Result};
use carrot_routing::BCC;
use std::borrow::Cow;

use crate::content::{BrokerDelay, MOST_PROPERTY_BYTES, jms_headers, kept_properties, queue_name};
use crate::exchanges::death_mark::DeathMark;
use crate::exchanges::queue_rules::LONGEST_TIME;
use crate::wall_clock;
use crate::wire::destination::WireDestination;
use crate::wire::message::{MessageKind, SCHEDULED_DELAY, WireMessage};
use crate::wire::property_map::{PropertyMap, PropertyValue};

/// The priority of every message. A broker with priorities has them in all queues, and a plain
/// queue of RabbitMQ ignores them.
const PRIORITY: u8 = 4;

/// Checks the properties that the broker gives a meaning.
///
/// # Errors
/// - [`Error::PreconditionFailed`]: names the property, as RabbitMQ does.
pub(crate) fn check_content(content: &Content) -> Result<()> {
    time_to_live(&content.properties).map(drop)
}

/// Returns the time to live in milliseconds; `None` for a message that does not expire.
fn time_to_live(properties: &Properties) -> Result<Option<i64>> {
    let Some(expiration) = properties.expiration() else { return Ok(None) };
    match expiration.parse::<i64>() {
        Ok(milliseconds) if (0..=LONGEST_TIME).contains(&milliseconds) => Ok(Some(milliseconds)),
        _ => {
            let shown = Printable::new(255, expiration);
            let reason = format!(
                "PRECONDITION_FAILED - the expiration {shown:?} must be a whole number of \
                 milliseconds from 0 to {LONGEST_TIME}"
            );
            Err(Error::PreconditionFailed { reason })
        }
    }
}

/// How a message is sent.
#[derive(Debug, Clone)]
pub(crate) struct MessageTerms {
    /// The queue, or several as one destination.
    pub(crate) destination: WireDestination,
    /// The time to live of the queues, in milliseconds.
    pub(crate) time_to_live: Option<i64>,
    pub(crate) mark: DeathMark,
    pub(crate) delay: Option<BrokerDelay>,
}

impl MessageTerms {
    pub(crate) fn new(destination: WireDestination, time_to_live: Option<i64>) -> MessageTerms {
        MessageTerms { destination, time_to_live, mark: DeathMark::None, delay: None }
    }
}

/// Returns the message for a destination, without its number. JMS fields are copies for other
/// clients: the kept properties hold everything exactly. The header `BCC` is left out.
///
/// # Errors
/// - [`Error::Invalid`]: a property exceeds a limit.
pub(crate) fn to_message(content: &Content, terms: MessageTerms) -> Result<WireMessage> {
    let properties = &content.properties;
    let now = wall_clock::milliseconds();
    let own = time_to_live(properties)?;
    let shorter = own.into_iter().chain(terms.time_to_live).min();
    let expiration = shorter.map_or(0, |left| now.saturating_add(left));
    let seconds = |time: u64| i64::try_from(time).ok()?.checked_mul(1000);
    // The scheduler adds to the time of its delivery what lies between timestamp and expiration.
    let timestamp = properties.timestamp().filter(|_| terms.delay.is_none());
    let reply_to = properties.reply_to().filter(|name| !name.is_empty());
    Ok(WireMessage {
        kind: MessageKind::Bytes,
        destination: Some(terms.destination),
        correlation_id: properties.correlation_id().map(Into::into),
        // RabbitMQ keeps a message without a delivery mode in memory. A disk is safer.
        is_persistent: properties.delivery_mode() != Some(DeliveryMode::Transient),
        expiration,
        priority: PRIORITY,
        reply_to: reply_to.map(|name| queue_name::destination(name.as_bytes())),
        timestamp: timestamp.and_then(seconds).unwrap_or(now),
        type_name: properties.kind().map(Into::into),
        content: Some(content.body.to_vec()),
        properties: Some(property_octets(content, terms.mark, terms.delay)?),
        ..WireMessage::default()
    })
}

fn property_octets(
    content: &Content,
    mark: DeathMark,
    delay: Option<BrokerDelay>,
) -> Result<Vec<u8>> {
    let properties = without_blind_copies(&content.properties);
    let kept = kept_properties::write(&content.exchange, &content.routing_key, &properties);
    let kept = kept.map_err(|limit| Error::Invalid {
        field: "properties".into(),
        value: "too long".into(),
        limit: limit.into(),
    })?;
    let mut map = PropertyMap::default();
    map.push(kept_properties::NAME, PropertyValue::Octets(kept));
    if let Some(number) = mark.number() {
        map.push(kept_properties::DEATH_MARK, PropertyValue::I8(number));
    }
    if let Some(delay) = delay {
        map.push(SCHEDULED_DELAY, PropertyValue::I64(delay.milliseconds()));
    }
    if let Some(headers) = properties.headers() {
        jms_headers::add(headers, &mut map);
    }
    let mut octets = Vec::new();
    map.write(&mut octets);
    if octets.len() > MOST_PROPERTY_BYTES {
        return Err(Error::Invalid {
            field: "properties".into(),
            value: format!("{} bytes", octets.len()),
            limit: format!("at most {MOST_PROPERTY_BYTES} bytes").into(),
        });
    }
    Ok(octets)
}

/// Returns the properties as consumers see them.
fn without_blind_copies(properties: &Properties) -> Cow<'_, Properties> {
    match properties.headers() {
        Some(headers) if headers.contains(BCC) => {
            let mut headers = headers.clone();
            headers.remove(BCC);
            Cow::Owned(properties.clone().with_headers(headers))
        }
        _ => Cow::Borrowed(properties),
    }
}
