use carrot_core::backend::{Body, Content, ShortString};
use carrot_core::{DeliveryMode, Properties};

use crate::content::{MOST_PROPERTY_BYTES, jms_headers, kept_properties, queue_name};
use crate::exchanges::death_mark::DeathMark;
use crate::wire::ids::MessageId;
use crate::wire::message::{DataStructure, MessageKind, WireMessage};
use crate::wire::property_map::{PropertyMap, PropertyValue};
use crate::wire::wire_reader::WireReader;

/// The longest string property, in bytes.
const LONGEST: usize = 255;

/// A message for a program, and the reason why a part of it could not be read.
#[derive(Debug)]
pub(crate) struct ReceivedContent {
    pub(crate) content: Content,
    pub(crate) unreadable: Option<String>,
    pub(crate) mark: DeathMark,
}

/// Returns the content of a message of Carrot, or of another client.
pub(crate) fn from_message(message: WireMessage) -> ReceivedContent {
    let mut unreadable = None;
    let octets = message.properties.as_deref().unwrap_or_default();
    let map = read_properties(octets).unwrap_or_else(|reason| {
        unreadable = Some(reason);
        PropertyMap::default()
    });
    let mark = DeathMark::of_number(map.integer(kept_properties::DEATH_MARK));
    let mut content = match map.get(kept_properties::NAME) {
        Some(PropertyValue::Octets(kept)) => match kept_properties::read(kept) {
            Ok(kept) => Content {
                exchange: kept.exchange,
                routing_key: kept.routing_key,
                properties: kept.properties,
                body: Body::default(),
            },
            Err(reason) => {
                unreadable = Some(reason);
                without_properties(&message)
            }
        },
        _ => of_other_client(&message, map),
    };
    match body(message) {
        Ok(body) => content.body = body,
        Err(reason) => unreadable = Some(reason),
    }
    ReceivedContent { content, unreadable, mark }
}

/// Reads the properties. A value takes many times its octets in memory, so that their number is
/// limited.
///
/// # Errors
/// The reason why they cannot be read.
fn read_properties(octets: &[u8]) -> Result<PropertyMap, String> {
    let size = octets.len();
    if size > MOST_PROPERTY_BYTES {
        return Err(format!("the properties have {size} bytes, of at most {MOST_PROPERTY_BYTES}"));
    }
    PropertyMap::read(octets, "the properties").map_err(|error| error.to_string())
}

/// Returns the body.
///
/// # Errors
/// The reason why the content is no body.
fn body(message: WireMessage) -> Result<Body, String> {
    if let Some(DataStructure::Unread { kind }) = message.data {
        return Err(format!("the message holds an object of the type {kind} of the broker"));
    }
    if message.is_compressed {
        return Err("the sender has compressed the body, which this backend does not read".into());
    }
    let content = message.content.unwrap_or_default();
    match message.kind {
        MessageKind::Plain | MessageKind::Bytes => Ok(content.into()),
        MessageKind::Text if content.is_empty() => Ok(Body::default()),
        MessageKind::Text => {
            let text = WireReader::new(&content, "a text message").long_text("content");
            text.map(|text| text.into_bytes().into()).map_err(|error| error.to_string())
        }
        kind => Err(format!("the body of a JMS message of the type {kind:?} is not octets")),
    }
}

/// Returns the properties that JMS has.
fn of_other_client(message: &WireMessage, map: PropertyMap) -> Content {
    let mut content = without_properties(message);
    let short = |text: &Option<String>| text.clone().filter(|text| text.len() <= LONGEST);
    let mut properties = Properties::new()
        .with_delivery_mode(match message.is_persistent {
            true => DeliveryMode::Persistent,
            false => DeliveryMode::Transient,
        })
        .with_priority(message.priority);
    if let Some(seconds) = u64::try_from(message.timestamp).ok().filter(|time| *time > 0) {
        properties = properties.with_timestamp(seconds / 1000);
    }
    if let Some(id) = message.id.as_ref().and_then(id_text) {
        properties = properties.with_message_id(id);
    }
    if let Some(id) = short(&message.correlation_id) {
        properties = properties.with_correlation_id(id);
    }
    if let Some(kind) = short(&message.type_name) {
        properties = properties.with_kind(kind);
    }
    let reply_to = message.reply_to.as_ref().and_then(queue_name::name_of);
    if let Some(name) = reply_to.filter(|name| name.len() <= LONGEST) {
        properties = properties.with_reply_to(name);
    }
    if !map.0.is_empty() {
        properties = properties.with_headers(jms_headers::from_properties(map));
    }
    content.properties = properties;
    content
}

fn without_properties(message: &WireMessage) -> Content {
    let queue = message.destination.as_ref().and_then(queue_name::name_of);
    let routing_key = queue.filter(|queue| queue.len() <= LONGEST).unwrap_or_default();
    Content::new(ShortString::default(), routing_key, Body::default())
}

/// Returns the name of a message as JMS writes it.
fn id_text(id: &MessageId) -> Option<String> {
    let producer = id.producer.as_ref()?;
    let connection = producer.connection.as_deref().unwrap_or_default();
    let (value, session, number) = (producer.value, producer.session, id.producer_sequence);
    let text = format!("{connection}:{session}:{value}:{number}");
    (text.len() <= LONGEST).then_some(text)
}
