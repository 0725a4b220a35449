use crate::cursor::Cursor;
use crate::error::WireError;
use crate::properties::PropertiesRef;

/// The class basic, to which all content belongs.
pub(crate) const BASIC: u16 = 60;

/// The header of a message: the size of its body, and its properties (AMQP 0-9-1 4.2.6.1).
///
/// The properties are read in a second step. If that step fails, the size of the body is known, and
/// the body can be skipped.
///
/// ```
/// use carrot_amqp_wire::ContentHeader;
///
/// let header = ContentHeader::read(b"\0\x3c\0\0\0\0\0\0\0\0\0\x07\x08\0\x05")?;
/// assert_eq!(header.body_size, 7);
/// assert_eq!(header.properties()?.priority, Some(5));
/// # Ok::<(), carrot_amqp_wire::WireError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "AMQP 0-9-1 defines the fields")]
pub struct ContentHeader<'a> {
    /// The size of the body, in bytes. The number is not checked against any limit.
    pub body_size: u64,
    /// The octets of the property list, unchecked.
    pub property_list: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Reads the payload of a header frame, up to the property list.
    ///
    /// # Errors
    /// - [`WireError::Truncated`]: the payload is shorter than the fixed fields.
    /// - [`WireError::ContentClass`]: the class is not basic, or the weight is not 0.
    pub fn read(payload: &'a [u8]) -> Result<ContentHeader<'a>, WireError> {
        let mut cursor = Cursor::new(payload, "a content header");
        let (class, weight) = (cursor.u16("class")?, cursor.u16("weight")?);
        if (class, weight) != (BASIC, 0) {
            return Err(WireError::ContentClass { class, weight });
        }
        let body_size = cursor.u64("body size")?;
        Ok(ContentHeader { body_size, property_list: cursor.rest() })
    }

    /// Reads the properties.
    ///
    /// # Errors
    /// As [`PropertiesRef::read`].
    pub fn properties(&self) -> Result<PropertiesRef<'a>, WireError> {
        PropertiesRef::read(self.property_list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_another_class_or_with_a_weight_is_refused() {
        let header = |class, weight| {
            ContentHeader::read(&[0, class, 0, weight, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).map(|_| ())
        };
        assert_eq!(header(60, 0), Ok(()));
        assert_eq!(header(50, 0), Err(WireError::ContentClass { class: 50, weight: 0 }));
        assert_eq!(header(60, 1), Err(WireError::ContentClass { class: 60, weight: 1 }));
    }

    #[test]
    fn the_size_of_a_body_is_known_although_the_properties_are_malformed() {
        let payload = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0x80, 0, 9];
        let header = ContentHeader::read(&payload);
        assert_eq!(header.as_ref().map(|header| header.body_size), Ok(7));
        let truncated = WireError::Truncated { within: "the property list", field: "content-type" };
        assert_eq!(header.and_then(|header| header.properties()), Err(truncated));
    }

    #[test]
    fn a_truncated_header_is_refused_at_every_octet() {
        let payload = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for length in 0..payload.len() {
            let read = ContentHeader::read(payload.get(..length).unwrap_or_default())
                .and_then(|header| header.properties());
            assert!(matches!(read, Err(WireError::Truncated { .. })), "{length}: {read:?}");
        }
    }
}
