//! Decodes and inflates the bodies of deliveries.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::backend::Delivery;
use crate::codec::body_decoder::BodyDecoder;
use crate::error::{Cause, Error, Result};

/// Decodes the body of a delivery, as [`Message::decode`](crate::Message::decode) does.
pub(crate) fn decode<T: DeserializeOwned>(delivery: &Delivery, decoder: &BodyDecoder) -> Result<T> {
    check_readable(delivery, decoder)?;
    decoder.decode(&delivery.content)
}

/// Inflates the body of a delivery, as [`Message::inflated_body`](crate::Message::inflated_body) does.
pub(crate) fn inflated<'a>(delivery: &'a Delivery, decoder: &BodyDecoder) -> Result<Cow<'a, [u8]>> {
    check_readable(delivery, decoder)?;
    decoder.inflate(&delivery.content)
}

pub(super) fn check_readable(delivery: &Delivery, decoder: &BodyDecoder) -> Result<()> {
    match &delivery.unreadable {
        None => Ok(()),
        Some(reason) => {
            Err(undecodable(delivery, decoder, Arc::new(PartUnread(Arc::clone(reason)))))
        }
    }
}

#[cold]
pub(super) fn undecodable(delivery: &Delivery, decoder: &BodyDecoder, source: Cause) -> Error {
    let properties = &delivery.content.properties;
    let content_type = match decoder.codec(properties) {
        Ok(codec) => codec.content_type(),
        Err(_) => properties.content_type().unwrap_or_default(),
    };
    Error::Decode { content_type: content_type.into(), source }
}

/// The cause of the error for a message of which a part could not be read.
#[derive(Debug, thiserror::Error)]
#[error("a part of the message could not be read: {0}")]
struct PartUnread(Arc<str>);
