use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::backend::{Content, Delivery};
use crate::codec::Codecs;
use crate::consumer::message;
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
    codecs: Arc<Codecs>,
}

impl Answer {
    pub(crate) fn new(delivery: Delivery, codecs: &Arc<Codecs>) -> Answer {
        Answer { delivery, codecs: Arc::clone(codecs) }
    }

    /// Decodes the body with the codec of the content type and the content encoding.
    ///
    /// The first of the caller's [`codecs`](crate::CallerDefinition::codecs) decodes an answer
    /// without a content type.
    ///
    /// # Errors
    /// - [`Error::ContentType`](crate::Error::ContentType): no codec of the caller decodes the
    ///   content type.
    /// - [`Error::Decode`](crate::Error::Decode): the body does not fit the type, or a part of the
    ///   answer could not be read.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        message::decode(&self.delivery, &self.codecs)
    }

    /// Returns the encoded body.
    pub fn body(&self) -> &[u8] {
        &self.delivery.content.body
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
