use crate::wire::error::OpenWireError;
use crate::wire::wire_field::WireField;
use crate::wire::wire_reader::WireReader;

/// An exception of the broker: its Java class and its message. The wire format of a client has no
/// stack traces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BrokerException {
    pub(crate) class: String,
    pub(crate) message: String,
}

impl BrokerException {
    /// Whether a policy of the broker forbids what was asked.
    pub(crate) fn is_security(&self) -> bool {
        self.class.ends_with("SecurityException")
    }

    /// Whether the broker has no such queue or topic.
    pub(crate) fn is_missing(&self) -> bool {
        self.class.ends_with("DestinationDoesNotExistException")
            || self.class.ends_with("InvalidDestinationException")
    }
}

impl std::fmt::Display for BrokerException {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let class = self.class.rsplit('.').next().unwrap_or_default();
        match (class, &*self.message) {
            ("", "") => formatter.write_str("an exception without a name"),
            ("", message) => formatter.write_str(message),
            (class, "") => formatter.write_str(class),
            (class, message) => write!(formatter, "{class}: {message}"),
        }
    }
}

impl WireField for Option<BrokerException> {
    fn read_field(
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<Option<BrokerException>, OpenWireError> {
        if !reader.bool(field)? {
            return Ok(None);
        }
        let class = Option::<String>::read_field(reader, field)?.unwrap_or_default();
        let message = Option::<String>::read_field(reader, field)?.unwrap_or_default();
        Ok(Some(BrokerException { class, message }))
    }

    fn write_field(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(exception) = self {
            Some(exception.class.clone()).write_field(out);
            Some(exception.message.clone()).write_field(out);
        }
    }
}
