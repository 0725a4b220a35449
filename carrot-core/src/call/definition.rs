mod form;

use crate::call::settings::CallerSettings;
use crate::codec::{Codec, Codecs};
use crate::model::{Exchange, Headers, Properties, ShortString, Value};
use crate::publish_layer::layer::PublishLayer;

#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;

/// The definition of a caller, as plain data: the address of its server, and the defaults of its
/// requests.
///
/// A definition can be stored, cloned, and opened on any connection.
/// [`Connection::caller`](crate::Connection::caller) starts a definition that is bound to a
/// connection.
///
/// ```
/// use carrot::call::{Caller, CallerDefinition};
/// use carrot::{Connection, Result};
///
/// fn rates(connection: &Connection) -> Result<Caller> {
///     CallerDefinition::new("rates").header("tenant", "acme").open(connection)
/// }
/// ```
///
/// # Configuration files
///
/// A definition without a connection is serialized as a table whose fields have the names of the
/// setters. Every field is optional when deserialized, and defaults to the default of its setter.
/// Without another exchange, `routing_key` is required: the name of the server's queue.
///
/// ```
/// use carrot::call::CallerDefinition;
///
/// let definition: CallerDefinition =
///     serde_json::from_str(r#"{"routing_key": "rates", "codec": "text"}"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// * `headers` is serialized as a part of `properties`.
/// * Serializing fails for a codec of the program, and for layers.
/// * Unknown fields are refused. Settings are refused with the errors of `build`, as far as the
///   check needs no connection.
///
/// The format must be self-describing, as JSON, TOML and YAML are.
#[derive(Debug, Clone)]
#[must_use = "a caller is only opened by `build` or `open`"]
pub struct CallerDefinition<C = ()> {
    /// The connection that the definition is bound to, if any.
    pub(crate) connection: C,
    pub(crate) settings: CallerSettings,
}

impl CallerDefinition {
    /// Creates a definition for the server of a queue, with the default settings. The name of the
    /// queue is the routing key, at most 255 bytes.
    pub fn new(queue: impl Into<String>) -> CallerDefinition {
        CallerDefinition { connection: (), settings: CallerSettings::new(queue.into()) }
    }
}

/// Settings. Each replaces the previous value, except where noted.
impl<C> CallerDefinition<C> {
    /// Sets the exchange to send requests to. The caller declares the exchange when it opens. A
    /// string stands for a durable direct exchange of that name. [`Exchange::existing`] is only
    /// checked.
    ///
    /// If an exchange routes a request to several queues, the first answer counts, and later ones
    /// are dropped.
    ///
    /// Defaults to the default exchange, which routes to the queue of the server.
    pub fn exchange(mut self, exchange: impl Into<Exchange>) -> Self {
        self.settings.exchange = exchange.into();
        self
    }

    /// Sets the routing key of requests without their own, at most 255 bytes.
    ///
    /// Defaults to the name of the server's queue.
    pub fn routing_key(mut self, routing_key: impl Into<String>) -> Self {
        self.settings.routing_key = routing_key.into();
        self
    }

    /// Sets the codec, which encodes requests as bodies.
    ///
    /// Defaults to [`Codec::json`].
    pub fn codec(mut self, codec: impl Into<Codec>) -> Self {
        self.settings.codec = codec.into();
        self
    }

    /// Sets the codecs that decode answers, by content type.
    ///
    /// Defaults to the [`codec`](Self::codec) of the requests, followed by those of
    /// [`Codecs::default`]. The first decodes answers without a content type.
    pub fn codecs(mut self, codecs: impl Into<Codecs>) -> Self {
        self.settings.codecs = Some(codecs.into());
        self
    }

    /// Limits what a compressed body inflates to, in bytes. A larger answer fails with
    /// [`Error::TooLarge`]. 0 refuses every compressed body that is not empty.
    ///
    /// A few kilobytes can inflate to gigabytes. The memory for a body is taken as its bytes
    /// appear, and freed once the body is decoded. Each thread that decodes holds one body, and two
    /// if the body was compressed twice. [`decode`](crate::Answer::decode) takes more for the
    /// value.
    ///
    /// Does not limit bodies that are not compressed.
    ///
    /// Defaults to 64 MiB.
    pub fn max_inflated_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_inflated_bytes = bytes;
        self
    }

    /// Adds a header to every request.
    ///
    /// Defaults to none.
    pub fn header(mut self, name: impl Into<ShortString>, value: impl Into<Value>) -> Self {
        self.settings.properties = self.settings.properties.with_header(name, value);
        self
    }

    /// Sets all headers of every request.
    ///
    /// Defaults to none.
    pub fn headers(mut self, headers: impl Into<Headers>) -> Self {
        self.settings.properties = self.settings.properties.with_headers(headers);
        self
    }

    /// Adds a layer, which sees each request before it is sent, and the confirm of the broker. Can
    /// be called several times.
    ///
    /// Defaults to the layers of the connection, which come first.
    pub fn layer(mut self, layer: impl PublishLayer) -> Self {
        self.settings.layers.push(layer);
        self
    }

    /// Replaces all properties of every request. Content type and content encoding then default to
    /// those of the codec. The delivery mode defaults to transient, the message id to a random one,
    /// and the expiration to the time left for the call.
    ///
    /// Each call sets `correlation_id` and `reply_to` itself.
    ///
    /// Defaults to no other properties.
    pub fn properties(mut self, properties: Properties) -> Self {
        self.settings.properties = properties;
        self
    }
}
