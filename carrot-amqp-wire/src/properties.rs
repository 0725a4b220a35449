use carrot_core::{DeliveryMode, Properties};

use crate::arguments::Arguments;
use crate::cursor::Cursor;
use crate::error::WireError;
use crate::field::Field;
use crate::field_writer::FieldWriter;
use crate::strings::ShortStr;

/// The name of a property list in errors.
const WITHIN: &str = "the property list";
/// The flag that announces further flags (AMQP 0-9-1 4.2.6.1).
const FURTHER_FLAGS: u16 = 1;

macro_rules! properties {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $flag:literal, $text:literal;)*) => {
        /// The fourteen properties of a message, which borrow their octets (AMQP 0-9-1 4.2.6.1).
        ///
        /// Reading and writing allocate nothing.
        ///
        /// ```
        /// use carrot_amqp_wire::PropertiesRef;
        ///
        /// let properties = PropertiesRef::read(b"\x81\0\x04text\x0560000")?;
        /// assert_eq!(properties.content_type, Some("text".into()));
        /// assert_eq!(properties.expiration, Some("60000".into()));
        /// assert_eq!(properties.user_id, None);
        /// # Ok::<(), carrot_amqp_wire::WireError>(())
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Default)]
        #[allow(clippy::exhaustive_structs, reason = "AMQP 0-9-1 defines the properties")]
        pub struct PropertiesRef<'a> {
            $($(#[$doc])* pub $name: Option<$type>,)*
        }

        impl<'a> PropertiesRef<'a> {
            /// Reads a property list: flags, and the values of the properties that are set.
            ///
            /// The list has to end with its last value.
            ///
            /// # Errors
            /// - [`WireError::PropertyFlags`]: a flag names a property that does not exist.
            /// - [`WireError::Truncated`], [`WireError::Trailing`]: the list is too short or too
            ///   long for its flags.
            /// - [`WireError::ValueKind`], [`WireError::TooDeep`]: the headers are malformed.
            pub fn read(octets: &'a [u8]) -> Result<PropertiesRef<'a>, WireError> {
                let mut cursor = Cursor::new(octets, WITHIN);
                let flags = read_flags(&mut cursor)?;
                let mut properties = PropertiesRef::default();
                $(
                    if flags & $flag != 0 {
                        properties.$name = Some(Field::read_field(&mut cursor, $text)?);
                    }
                )*
                cursor.finish()?;
                Ok(properties)
            }

            /// Appends the property list.
            ///
            /// # Errors
            /// A text or a table exceeds its limit. Octets may have been appended.
            pub fn write(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
                let mut writer = FieldWriter::new(out, WITHIN);
                let flags = 0 $(| self.$name.map_or(0, |_| $flag))*;
                writer.octets(&u16::to_be_bytes(flags));
                $(
                    if let Some(value) = self.$name {
                        value.write_field(&mut writer, $text)?;
                    }
                )*
                Ok(())
            }
        }

        const KNOWN_FLAGS: u16 = 0 $(| $flag)*;
    };
}

properties! {
    /// The MIME type of the body.
    content_type: ShortStr<'a>, 0x8000, "content-type";
    /// The character set or compression of the body.
    content_encoding: ShortStr<'a>, 0x4000, "content-encoding";
    /// The headers.
    headers: Arguments<'a>, 0x2000, "headers";
    /// The delivery mode: 1 for transient, 2 for persistent.
    delivery_mode: u8, 0x1000, "delivery-mode";
    /// The priority.
    priority: u8, 0x0800, "priority";
    /// The identifier of the request that the message answers.
    correlation_id: ShortStr<'a>, 0x0400, "correlation-id";
    /// The address for replies.
    reply_to: ShortStr<'a>, 0x0200, "reply-to";
    /// The time to live in a queue, in milliseconds, as decimal digits.
    expiration: ShortStr<'a>, 0x0100, "expiration";
    /// The identifier of the message.
    message_id: ShortStr<'a>, 0x0080, "message-id";
    /// The time of publishing, in seconds since the Unix epoch.
    timestamp: u64, 0x0040, "timestamp";
    /// The type of the message (AMQP `type`).
    kind: ShortStr<'a>, 0x0020, "type";
    /// The user that published the message.
    user_id: ShortStr<'a>, 0x0010, "user-id";
    /// The application that published the message.
    app_id: ShortStr<'a>, 0x0008, "app-id";
    /// The cluster id, which AMQP 0-9-1 deprecates.
    cluster_id: ShortStr<'a>, 0x0004, "cluster-id";
}

/// Takes the flags. Further flags are read, and none of them may be set.
fn read_flags(cursor: &mut Cursor<'_>) -> Result<u16, WireError> {
    let flags = cursor.u16("flags")?;
    let mut latest = flags;
    let mut known = KNOWN_FLAGS;
    loop {
        if latest & !(known | FURTHER_FLAGS) != 0 {
            return Err(WireError::PropertyFlags { flags: latest });
        }
        if latest & FURTHER_FLAGS == 0 {
            return Ok(flags);
        }
        latest = cursor.u16("flags")?;
        known = 0;
    }
}

impl PropertiesRef<'_> {
    /// Copies the properties to the type that programs use.
    ///
    /// Strings keep their octets. Headers are converted as
    /// [`TableRef::to_headers`](crate::TableRef::to_headers) does.
    pub fn to_properties(&self) -> Properties {
        let mut properties = Properties::new();
        macro_rules! strings {
            ($($name:ident, $with:ident;)*) => {$(
                if let Some(octets) = self.$name {
                    properties = properties.$with(octets.to_short_string());
                }
            )*};
        }
        strings! {
            content_type, with_content_type;
            content_encoding, with_content_encoding;
            correlation_id, with_correlation_id;
            reply_to, with_reply_to;
            expiration, with_expiration;
            message_id, with_message_id;
            kind, with_kind;
            user_id, with_user_id;
            app_id, with_app_id;
            cluster_id, with_cluster_id;
        }
        if let Some(headers) = self.headers {
            properties = properties.with_headers(headers.to_headers());
        }
        if let Some(mode) = self.delivery_mode {
            properties = properties.with_delivery_mode(DeliveryMode::from(mode));
        }
        if let Some(priority) = self.priority {
            properties = properties.with_priority(priority);
        }
        if let Some(seconds) = self.timestamp {
            properties = properties.with_timestamp(seconds);
        }
        properties
    }
}

/// Borrows the properties. The octets of a string that is not UTF-8 are borrowed unchanged.
impl<'a> From<&'a Properties> for PropertiesRef<'a> {
    fn from(properties: &'a Properties) -> PropertiesRef<'a> {
        let [
            content_type,
            content_encoding,
            correlation_id,
            reply_to,
            expiration,
            message_id,
            kind,
            user_id,
            app_id,
            cluster_id,
        ] = properties.short_strings().map(|value| value.map(ShortStr::from));
        PropertiesRef {
            content_type,
            content_encoding,
            headers: properties.headers().map(Arguments::from),
            delivery_mode: properties.delivery_mode().map(u8::from),
            priority: properties.priority(),
            correlation_id,
            reply_to,
            expiration,
            message_id,
            timestamp: properties.timestamp(),
            kind,
            user_id,
            app_id,
            cluster_id,
        }
    }
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
