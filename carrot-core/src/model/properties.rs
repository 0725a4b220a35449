mod form;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::short_string::ShortString;
use crate::model::timestamp::Timestamp;
use crate::model::value::{Headers, Value};

/// The delivery mode: whether a message survives a broker restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u8", from = "u8")]
#[allow(clippy::exhaustive_enums, reason = "AMQP 0-9-1 defines both")]
pub enum DeliveryMode {
    /// Kept in memory only (AMQP delivery mode 1).
    ///
    /// Transient messages are faster, but do not survive a broker restart.
    Transient,
    /// Written to disk in a durable queue (AMQP delivery mode 2).
    Persistent,
    /// A number that AMQP does not define.
    ///
    /// RabbitMQ refuses such a message with
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
    Other(u8),
}

impl From<u8> for DeliveryMode {
    fn from(mode: u8) -> DeliveryMode {
        match mode {
            1 => DeliveryMode::Transient,
            2 => DeliveryMode::Persistent,
            other => DeliveryMode::Other(other),
        }
    }
}

impl From<DeliveryMode> for u8 {
    fn from(mode: DeliveryMode) -> u8 {
        match mode {
            DeliveryMode::Transient => 1,
            DeliveryMode::Persistent => 2,
            DeliveryMode::Other(other) => other,
        }
    }
}

/// The fourteen properties of an AMQP 0-9-1 message, each of which is optional.
///
/// The class `basic` of the specification defines the properties. Brokers deliver the properties
/// unchanged.
///
/// Every string is at most 255 bytes of UTF-8. Publishing a longer string fails with
/// [`Error::Invalid`](crate::Error::Invalid).
///
/// ```
/// use carrot::message::{DeliveryMode, Properties};
///
/// let properties = Properties::new()
///     .with_content_type("text/plain")
///     .with_correlation_id("request-7")
///     .with_delivery_mode(DeliveryMode::Persistent);
/// assert_eq!(properties.correlation_id(), Some("request-7"));
/// assert_eq!(properties.reply_to(), None);
/// ```
///
/// Serialized as a table of the properties that are set, with the names of the methods; the
/// [`kind`](Properties::kind) has the AMQP name `type`. Unknown fields are refused. Headers need a
/// self-describing format, as JSON is.
///
/// ```
/// use carrot::message::Properties;
///
/// let properties = Properties::new().with_app_id("shop").with_header("attempt", 2);
/// let json = serde_json::to_string(&properties)?;
/// assert_eq!(json, r#"{"app_id":"shop","headers":{"attempt":2}}"#);
/// assert_eq!(serde_json::from_str::<Properties>(&json)?, properties);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties {
    format: Option<Box<BodyFormat>>,
    message_id: Option<ShortString>,
    headers: Option<Headers>,
    delivery_mode: Option<DeliveryMode>,
    priority: Option<u8>,
    // Boxed because most messages set none, and the memory broker may hold millions of messages.
    rare: Option<Box<Rare>>,
    wire_octets: WireOctets,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct BodyFormat {
    content_type: Option<ShortString>,
    content_encoding: Option<ShortString>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Rare {
    timestamp: Option<u64>,
    correlation_id: Option<ShortString>,
    reply_to: Option<ShortString>,
    expiration: Option<ShortString>,
    kind: Option<ShortString>,
    user_id: Option<ShortString>,
    app_id: Option<ShortString>,
    cluster_id: Option<ShortString>,
}

/// The octets from which properties were read, if they hold more than the properties. They take no
/// part in comparisons.
#[derive(Debug, Clone, Default)]
struct WireOctets(Option<Arc<Vec<u8>>>);

impl PartialEq for WireOctets {
    fn eq(&self, _: &WireOctets) -> bool {
        true
    }
}

macro_rules! strings {
    ($group:ident; $($(#[$doc:meta])* $name:ident, $with:ident;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(&self) -> Option<&str> {
            self.$group.as_ref()?.$name.as_deref()
        }

        #[doc = concat!("Sets [`", stringify!($name), "`](Properties::", stringify!($name), ").")]
        #[must_use]
        pub fn $with(mut self, value: impl Into<ShortString>) -> Properties {
            self.$group.get_or_insert_default().$name = Some(value.into());
            self
        }
    )*};
}

impl Properties {
    /// Creates properties of which none is set.
    pub fn new() -> Properties {
        Properties::default()
    }

    strings! { format;
        /// Returns the MIME type of the body, such as `application/json`, which selects the
        /// decoder.
        content_type, with_content_type;
        /// Returns the character set or compression of the body, such as `utf-8`.
        content_encoding, with_content_encoding;
    }

    /// Returns the identifier that the publisher chose for the message.
    pub fn message_id(&self) -> Option<&str> {
        self.message_id.as_deref()
    }

    /// Sets [`message_id`](Properties::message_id).
    #[must_use]
    pub fn with_message_id(mut self, value: impl Into<ShortString>) -> Properties {
        self.message_id = Some(value.into());
        self
    }

    strings! { rare;
        /// Returns the identifier of the request that this message answers.
        correlation_id, with_correlation_id;
        /// Returns the address for replies, by convention the name of a queue.
        reply_to, with_reply_to;
        /// Returns the time to live in a queue, in milliseconds, as decimal digits.
        ///
        /// Expired messages are dropped or dead-lettered.
        expiration, with_expiration;
        /// Returns the type of the message, which the application defines (AMQP `type`).
        kind, with_kind;
        /// Returns the user that published the message.
        ///
        /// RabbitMQ refuses a message with another user than that of the connection.
        user_id, with_user_id;
        /// Returns the application that published the message.
        app_id, with_app_id;
        /// Returns the cluster id, which AMQP 0-9-1 deprecates.
        cluster_id, with_cluster_id;
    }

    /// Returns the headers, or `None` if the message has no header table.
    #[inline]
    pub fn headers(&self) -> Option<&Headers> {
        self.headers.as_ref()
    }

    /// Returns the value of one header, or `None` if that header is not set.
    #[inline]
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.headers.as_ref()?.get(name)
    }

    /// Replaces the whole header table.
    #[must_use]
    pub fn with_headers(mut self, headers: impl Into<Headers>) -> Properties {
        self.headers = Some(headers.into());
        self
    }

    /// Sets one header, and keeps the others.
    #[must_use]
    pub fn with_header(
        mut self,
        name: impl Into<ShortString>,
        value: impl Into<Value>,
    ) -> Properties {
        self.headers.get_or_insert_default().insert(name, value);
        self
    }

    /// Sets one header in place, and keeps the others.
    pub(crate) fn insert_header(&mut self, name: ShortString, value: Value) {
        match &mut self.headers {
            Some(headers) => drop(headers.insert(name, value)),
            headers @ None => *headers = Some(Headers::of_one(name, value)),
        }
    }

    /// Returns the time of publishing, in seconds since the Unix epoch, by the clock of the
    /// publisher.
    #[inline]
    pub fn timestamp(&self) -> Option<u64> {
        self.rare.as_ref()?.timestamp
    }

    /// Sets [`timestamp`](Properties::timestamp).
    #[must_use]
    pub fn with_timestamp(mut self, time: impl Into<Timestamp>) -> Properties {
        self.rare.get_or_insert_default().timestamp = Some(time.into().0);
        self
    }

    /// Returns the delivery mode, which decides whether the message survives a broker restart.
    #[inline]
    pub fn delivery_mode(&self) -> Option<DeliveryMode> {
        self.delivery_mode
    }

    /// Sets [`delivery_mode`](Properties::delivery_mode).
    #[must_use]
    pub fn with_delivery_mode(mut self, mode: DeliveryMode) -> Properties {
        self.delivery_mode = Some(mode);
        self
    }

    /// Returns the priority of the message.
    ///
    /// Queues declared with a maximum priority deliver messages of higher priority first.
    #[inline]
    pub fn priority(&self) -> Option<u8> {
        self.priority
    }

    /// Sets [`priority`](Properties::priority).
    #[must_use]
    pub fn with_priority(mut self, priority: u8) -> Properties {
        self.priority = Some(priority);
        self
    }

    /// Removes the [`expiration`](Properties::expiration), as a broker does when dead-lettering.
    #[must_use]
    pub fn without_expiration(mut self) -> Properties {
        if let Some(rare) = &mut self.rare {
            rare.expiration = None;
        }
        self
    }

    /// Removes the [`user_id`](Properties::user_id).
    ///
    /// Brokers refuse a message with the user id of another user.
    #[must_use]
    pub fn without_user_id(mut self) -> Properties {
        if let Some(rare) = &mut self.rare {
            rare.user_id = None;
        }
        self
    }

    /// Removes the [`message_id`](Properties::message_id).
    ///
    /// Publishers send a random id instead, unless
    /// [`MessageBuilder::without_message_id`](crate::MessageBuilder::without_message_id)
    /// asks for none.
    #[must_use]
    pub fn without_message_id(mut self) -> Properties {
        self.message_id = None;
        self
    }

    /// Removes one header, and keeps the others in their order.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Properties {
        if let Some(headers) = &mut self.headers {
            headers.remove(name);
        }
        self
    }

    /// Removes the header table.
    #[must_use]
    pub fn without_headers(mut self) -> Properties {
        self.headers = None;
        self
    }

    /// Returns an iterator over the AMQP names and values of all string properties that are set.
    ///
    /// The names are `content-type`, `content-encoding`, `correlation-id`, `reply-to`,
    /// `expiration`, `message-id`, `type` (which is [`kind`](Properties::kind)), `user-id`,
    /// `app-id` and `cluster-id`.
    pub fn strings(&self) -> impl Iterator<Item = (&'static str, &ShortString)> {
        STRINGS
            .into_iter()
            .zip(self.short_strings())
            .filter_map(|(name, value)| Some((name, value?)))
    }

    /// Returns the string properties in the order of their AMQP flags, which is that of
    /// [`strings`](Properties::strings). For codecs.
    #[doc(hidden)]
    pub fn short_strings(&self) -> [Option<&ShortString>; STRINGS.len()] {
        let format = self.format.as_deref();
        let rare = self.rare.as_deref();
        [
            format.and_then(|format| format.content_type.as_ref()),
            format.and_then(|format| format.content_encoding.as_ref()),
            rare.and_then(|rare| rare.correlation_id.as_ref()),
            rare.and_then(|rare| rare.reply_to.as_ref()),
            rare.and_then(|rare| rare.expiration.as_ref()),
            self.message_id.as_ref(),
            rare.and_then(|rare| rare.kind.as_ref()),
            rare.and_then(|rare| rare.user_id.as_ref()),
            rare.and_then(|rare| rare.app_id.as_ref()),
            rare.and_then(|rare| rare.cluster_id.as_ref()),
        ]
    }

    /// Keeps the octets from which these properties were read, for a server that forwards them.
    #[doc(hidden)]
    #[must_use]
    pub fn with_wire_octets(mut self, octets: Vec<u8>) -> Properties {
        self.wire_octets = WireOctets(Some(Arc::new(octets)));
        self
    }

    /// Returns the octets that were kept. The properties may have changed since.
    #[doc(hidden)]
    pub fn wire_octets(&self) -> Option<&[u8]> {
        self.wire_octets.0.as_ref().map(|octets| &octets[..])
    }

    /// Returns the size of all strings as AMQP short strings, in bytes, with their length bytes.
    pub(crate) fn string_bytes(&self) -> usize {
        let size = |value: &Option<ShortString>| value.as_ref().map_or(0, |value| 1 + value.len());
        let format = self
            .format
            .as_deref()
            .map_or(0, |format| size(&format.content_type) + size(&format.content_encoding));
        let rare = if self.rare.is_none() {
            0
        } else {
            self.strings().map(|(_, value)| 1 + value.len()).sum::<usize>()
                - format
                - size(&self.message_id)
        };
        format + size(&self.message_id) + rare
    }

    /// Sets the message id if none is set.
    pub(crate) fn ensure_message_id(&mut self, make: impl FnOnce() -> ShortString) {
        self.message_id.get_or_insert_with(make);
    }
}

/// The AMQP names of the string properties, in the order of their flags.
const STRINGS: [&str; 10] = [
    "content-type",
    "content-encoding",
    "correlation-id",
    "reply-to",
    "expiration",
    "message-id",
    "type",
    "user-id",
    "app-id",
    "cluster-id",
];
