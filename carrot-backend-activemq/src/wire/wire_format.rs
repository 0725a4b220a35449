use crate::wire::error::OpenWireError;
use crate::wire::property_map::{PropertyMap, PropertyValue};
use crate::wire::wire_field::WireField;
use crate::wire::wire_reader::WireReader;

/// The word that every wire format begins with.
const MAGIC: [u8; 8] = *b"ActiveMQ";
const INACTIVITY: &str = "MaxInactivityDuration";
/// The broker spells the name so.
const INITIAL_DELAY: &str = "MaxInactivityDurationInitalDelay";
const FRAME_SIZE: &str = "MaxFrameSize";

/// The first command of both sides: the version, and the options of the encoding. Both sides then
/// use the smaller version, and the options that both have set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WireFormat {
    pub(crate) version: i32,
    pub(crate) properties: PropertyMap,
}

impl WireFormat {
    /// The octet of the type.
    pub(crate) const KIND: u8 = 1;
    /// The version that this client speaks.
    pub(crate) const VERSION: i32 = 12;

    /// Returns the wire format of a client: loose encoding, no cache and no stack traces.
    /// `patience` is the time after which a silent peer is lost, in milliseconds; 0 for never.
    pub(crate) fn of_client(patience: i64, max_frame: i64) -> WireFormat {
        let mut properties = PropertyMap::default();
        for (option, is_set) in [
            ("TightEncodingEnabled", false),
            ("CacheEnabled", false),
            ("StackTraceEnabled", false),
            ("SizePrefixDisabled", false),
            ("TcpNoDelayEnabled", true),
        ] {
            properties.push(option, PropertyValue::Bool(is_set));
        }
        properties.push(INACTIVITY, PropertyValue::I64(patience));
        properties.push(INITIAL_DELAY, PropertyValue::I64(patience));
        properties.push(FRAME_SIZE, PropertyValue::I64(max_frame));
        WireFormat { version: WireFormat::VERSION, properties }
    }

    /// Returns the time after which the peer counts as lost, in milliseconds.
    pub(crate) fn inactivity(&self) -> Option<i64> {
        self.properties.integer(INACTIVITY)
    }

    /// Returns the largest command that the peer accepts, in bytes.
    pub(crate) fn max_frame(&self) -> Option<i64> {
        self.properties.integer(FRAME_SIZE)
    }

    /// Reads the fields behind the type octet.
    pub(crate) fn read(reader: &mut WireReader<'_>) -> Result<WireFormat, OpenWireError> {
        if reader.array("magic")? != MAGIC {
            return Err(OpenWireError::Magic);
        }
        let version = reader.i32("version")?;
        let octets = Option::<Vec<u8>>::read_field(reader, "marshalledProperties")?;
        let properties = PropertyMap::read(&octets.unwrap_or_default(), "a wire format")?;
        Ok(WireFormat { version, properties })
    }

    /// Appends the fields, without the type octet.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        self.version.write_field(out);
        let mut octets = Vec::new();
        self.properties.write(&mut octets);
        Some(octets).write_field(out);
    }
}
