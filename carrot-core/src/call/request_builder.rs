use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::{Content, IntoBody};
use crate::call::answer::Answer;
use crate::call::shared::CallerShared;
use crate::error::Result;
use crate::model::{Headers, Properties, ShortString, Value};
use crate::publisher::message_builder::with_format;

/// Builds one request with its own routing key, headers and other properties. Created by
/// [`Caller::request`](crate::Caller::request).
///
/// ```
/// use std::time::Duration;
///
/// # fn example(caller: &carrot::call::Caller) -> carrot::Result<()> {
/// let rate: f64 = caller
///     .request()
///     .routing_key("rates.gbp")
///     .header("tenant", "acme")
///     .call("GBP/USD", Duration::from_secs(2))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a request is only sent by `call`, `call_message` or `call_bytes`"]
pub struct RequestBuilder<'a> {
    shared: &'a Arc<CallerShared>,
    routing_key: ShortString,
    properties: Properties,
}

impl<'a> RequestBuilder<'a> {
    pub(crate) fn new(shared: &'a Arc<CallerShared>) -> RequestBuilder<'a> {
        RequestBuilder {
            shared,
            routing_key: shared.routing_key.clone(),
            properties: shared.properties.clone(),
        }
    }

    /// Sets the routing key, at most 255 bytes. With the default exchange, the key is the name of
    /// the server's queue.
    ///
    /// Defaults to the caller's routing key.
    pub fn routing_key(mut self, routing_key: impl Into<ShortString>) -> Self {
        self.routing_key = routing_key.into();
        self
    }

    /// Adds a header. Its name has at most 255 bytes.
    ///
    /// Defaults to the caller's headers.
    pub fn header(self, name: impl Into<ShortString>, value: impl Into<Value>) -> Self {
        self.properties(|properties| properties.with_header(name, value))
    }

    /// Replaces all headers.
    ///
    /// Defaults to the caller's headers.
    pub fn headers(self, headers: impl Into<Headers>) -> Self {
        self.properties(|properties| properties.with_headers(headers))
    }

    /// Changes any of the properties. The call sets `correlation_id` and `reply_to` itself. It also
    /// sets the expiration to the time left for the call, unless one is set.
    ///
    /// Defaults to the caller's properties.
    pub fn properties(mut self, change: impl FnOnce(Properties) -> Properties) -> Self {
        self.properties = change(self.properties);
        self
    }

    /// Sends a value, and returns the decoded answer, as [`Caller::call`](crate::Caller::call)
    /// does.
    ///
    /// Blocks until the answer arrives, at most for `timeout`.
    ///
    /// # Errors
    /// As [`Caller::call`](crate::Caller::call).
    pub fn call<Q, A>(self, request: &Q, timeout: Duration) -> Result<A>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        self.call_message(request, timeout)?.decode()
    }

    /// Sends a value, and returns the answer, as
    /// [`Caller::call_message`](crate::Caller::call_message) does.
    ///
    /// Blocks until the answer arrives, at most for `timeout`.
    ///
    /// # Errors
    /// As [`Caller::call_message`](crate::Caller::call_message).
    pub fn call_message<Q: Serialize + ?Sized>(
        mut self,
        request: &Q,
        timeout: Duration,
    ) -> Result<Answer> {
        let codec = &self.shared.codec;
        let body = codec.encode(request)?;
        self.properties = with_format(self.properties, codec);
        self.call_bytes(body, timeout)
    }

    /// Sends bytes without a codec, and returns the answer, as
    /// [`Caller::call_bytes`](crate::Caller::call_bytes) does.
    ///
    /// Blocks until the answer arrives, at most for `timeout`.
    ///
    /// # Errors
    /// As [`Caller::call_bytes`](crate::Caller::call_bytes).
    pub fn call_bytes(self, body: impl IntoBody, timeout: Duration) -> Result<Answer> {
        let request = Content {
            exchange: self.shared.exchange.clone(),
            routing_key: self.routing_key,
            properties: self.properties,
            body: body.into_body(&self.shared.buffers),
        };
        self.shared.call(request, timeout)
    }
}
