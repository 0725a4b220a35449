use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::backend::{Content, Delivery};
use crate::codec::body_decoder::BodyDecoder;
use crate::consumer::received_body;
use crate::error::Result;
use crate::model::{Headers, Properties, Value};

/// The answer to a call. Returned by [`Caller::call_message`](crate::Caller::call_message) and
/// [`Caller::call_bytes`](crate::Caller::call_bytes).
///
/// The broker has deleted the answer. There is nothing to settle.
///
/// ```
/// use std::time::Duration;
///
/// # fn example(caller: &carrot::call::Caller) -> carrot::Result<()> {
/// let reply = caller.call_message("GBP/USD", Duration::from_secs(2))?;
/// println!("{:?} from {:?}", reply.text(), reply.properties().app_id());
/// let rate: f64 = reply.decode()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Answer {
    delivery: Delivery,
    decoder: Arc<BodyDecoder>,
}

impl Answer {
    pub(crate) fn new(delivery: Delivery, decoder: &Arc<BodyDecoder>) -> Answer {
        Answer { delivery, decoder: Arc::clone(decoder) }
    }

    /// Decodes the body with the codec of the content type and the content encoding.
    ///
    /// The first of the caller's [`codecs`](crate::CallerDefinition::codecs) decodes an answer
    /// without a content type.
    ///
    /// A compressed body is inflated first. Each call inflates the body again.
    ///
    /// # Errors
    /// - [`Error::Inflate`](crate::Error::Inflate): the compressed body is damaged, its compression
    ///   is unknown, or the feature that inflates it is off.
    /// - [`Error::TooLarge`](crate::Error::TooLarge): the body inflates to more bytes than
    ///   [`max_inflated_bytes`](crate::CallerDefinition::max_inflated_bytes).
    /// - [`Error::ContentType`](crate::Error::ContentType): no codec of the caller decodes the
    ///   content type.
    /// - [`Error::Decode`](crate::Error::Decode): the body does not fit the type, or a part of the
    ///   answer could not be read.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        received_body::decode(&self.delivery, &self.decoder)
    }

    /// Returns the encoded body as received. A compressed body stays compressed.
    pub fn body(&self) -> &[u8] {
        &self.delivery.content.body
    }

    /// Returns the encoded body, inflated if it is compressed, as
    /// [`Message::inflated_body`](crate::Message::inflated_body) does. Each call inflates the body
    /// again.
    ///
    /// # Errors
    /// - [`Error::Inflate`](crate::Error::Inflate), [`Error::TooLarge`](crate::Error::TooLarge): as
    ///   [`decode`](Answer::decode).
    /// - [`Error::Decode`](crate::Error::Decode): a part of the answer could not be read.
    pub fn inflated_body(&self) -> Result<Cow<'_, [u8]>> {
        received_body::inflated(&self.delivery, &self.decoder)
    }

    /// Returns the body as text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.body()).ok()
    }

    /// Returns the properties that the server set.
    pub fn properties(&self) -> &Properties {
        &self.delivery.content.properties
    }

    /// Returns the headers, if the answer has a header table.
    pub fn headers(&self) -> Option<&Headers> {
        self.properties().headers()
    }

    /// Returns the value of one header, if set.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.properties().header(name)
    }

    /// Returns exchange, routing key, properties and body, shared.
    pub fn content(&self) -> &Arc<Content> {
        &self.delivery.content
    }
}
