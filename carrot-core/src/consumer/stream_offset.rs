use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::given::Given;
use crate::config::seconds::Seconds;
use crate::error::{Error, Result};
use crate::model::{Properties, Timestamp, Value, whole_seconds};

/// The argument of a subscription, and the header of each delivery from a stream.
pub(crate) const STREAM_OFFSET: &str = "x-stream-offset";
/// The broker reads the number as a signed one.
const LARGEST: u64 = i64::MAX as u64;

/// The place in a stream where a consumer starts (`x-stream-offset`).
///
/// Set by [`ConsumerDefinition::stream_offset`](crate::ConsumerDefinition::stream_offset).
///
/// Serialized as `"first"`, `"last"`, `"next"`, `{"number": 7}`, `{"timestamp": 1700000000}` (in
/// seconds from the Unix epoch) or `{"interval": 3600}` (in seconds).
///
/// ```
/// use std::time::Duration;
/// use carrot::consume::StreamOffset;
///
/// let offset: StreamOffset = serde_json::from_str(r#"{"interval": 3600}"#)?;
/// assert_eq!(offset, StreamOffset::Interval(Duration::from_secs(3600)));
/// assert_eq!(serde_json::to_string(&StreamOffset::First)?, r#""first""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamOffset {
    /// The oldest message that the stream has.
    First,
    /// The last chunk of messages. The broker writes several messages as one chunk.
    Last,
    /// The messages that arrive after the subscription.
    Next,
    /// The message with this offset, at most 2⁶³ - 1, or the first after it. The first message of
    /// a stream has offset 0.
    Number(u64),
    /// The messages that were written since this time, by the broker's clock. The first messages
    /// can be older, because the consumer starts with a whole chunk.
    Timestamp(Timestamp),
    /// The messages of the last seconds, as [`Timestamp`](StreamOffset::Timestamp). At least 1 s;
    /// rounded up to whole seconds.
    Interval(Duration),
}

impl StreamOffset {
    fn read(given: Given) -> Result<StreamOffset> {
        let refuse = || {
            let forms = "must be \"first\", \"last\", \"next\", or a table with one of the fields \
                         number, timestamp and interval";
            Err(Error::config("stream_offset", forms))
        };
        match given {
            Given::Text(word) => match &*word {
                "first" => Ok(StreamOffset::First),
                "last" => Ok(StreamOffset::Last),
                "next" => Ok(StreamOffset::Next),
                _ => refuse(),
            },
            Given::Table(fields) => match <[_; 1]>::try_from(fields) {
                Ok([(name, value)]) => match (&*name, value) {
                    ("number", Given::Whole(number)) => Ok(StreamOffset::Number(number)),
                    ("timestamp", Given::Whole(time)) => Ok(StreamOffset::Timestamp(time.into())),
                    ("interval", value) => {
                        value.seconds("stream_offset").map(StreamOffset::Interval)
                    }
                    _ => refuse(),
                },
                Err(_) => refuse(),
            },
            _ => refuse(),
        }
    }

    /// Returns whether the offset is serialized as a string, and not as a table.
    pub(crate) fn is_word(self) -> bool {
        matches!(self, StreamOffset::First | StreamOffset::Last | StreamOffset::Next)
    }

    /// Refuses values that the broker refuses, or takes for another offset.
    pub(crate) fn validate(self) -> Result<()> {
        match self {
            StreamOffset::Number(number) if number > LARGEST => Err(Error::invalid(
                "stream_offset",
                &number.to_string(),
                "at most 9223372036854775807",
            )),
            StreamOffset::Interval(Duration::ZERO) => {
                Err(Error::invalid("stream_offset", "an interval of 0 s", "at least 1 s"))
            }
            _ => Ok(()),
        }
    }
}

/// Serializes as text or a table, because not every format has enums with values.
impl Serialize for StreamOffset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (name, value) = match self {
            StreamOffset::First => return serializer.serialize_str("first"),
            StreamOffset::Last => return serializer.serialize_str("last"),
            StreamOffset::Next => return serializer.serialize_str("next"),
            StreamOffset::Number(number) => ("number", OffsetValue::Whole(*number)),
            StreamOffset::Timestamp(Timestamp(time)) => ("timestamp", OffsetValue::Whole(*time)),
            StreamOffset::Interval(interval) => {
                ("interval", OffsetValue::Seconds(Seconds(*interval)))
            }
        };
        let mut table = serializer.serialize_struct("StreamOffset", 1)?;
        table.serialize_field(name, &value)?;
        table.end()
    }
}

impl<'de> Deserialize<'de> for StreamOffset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StreamOffset, D::Error> {
        StreamOffset::read(Given::deserialize(deserializer)?)
            .map_err(<D::Error as serde::de::Error>::custom)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum OffsetValue {
    Whole(u64),
    Seconds(Seconds),
}

impl From<StreamOffset> for Value {
    fn from(offset: StreamOffset) -> Value {
        match offset {
            StreamOffset::First => "first".into(),
            StreamOffset::Last => "last".into(),
            StreamOffset::Next => "next".into(),
            StreamOffset::Number(number) => i64::try_from(number).unwrap_or(i64::MAX).into(),
            StreamOffset::Timestamp(time) => time.into(),
            StreamOffset::Interval(interval) => format!("{}s", whole_seconds(interval)).into(),
        }
    }
}

/// Returns the offset of a delivery from a stream.
pub(crate) fn of(properties: &Properties) -> Option<u64> {
    u64::try_from(properties.header(STREAM_OFFSET)?.as_i64()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn stream_offset_survives_json_and_becomes_the_argument() {
        let minute = Duration::from_millis(59_001);
        for (offset, json, argument) in [
            (StreamOffset::First, r#""first""#, Value::from("first")),
            (StreamOffset::Last, r#""last""#, Value::from("last")),
            (StreamOffset::Next, r#""next""#, Value::from("next")),
            (StreamOffset::Number(7), r#"{"number":7}"#, Value::I64(7)),
            (StreamOffset::Timestamp(Timestamp(9)), r#"{"timestamp":9}"#, Value::Timestamp(9)),
            (StreamOffset::Interval(minute), r#"{"interval":59.001}"#, Value::from("60s")),
        ] {
            assert_eq!(serde_json::to_string(&offset).unwrap(), json);
            assert_eq!(serde_json::from_str::<StreamOffset>(json).unwrap(), offset);
            assert_eq!(Value::from(offset), argument);
        }
    }

    #[test]
    fn offset_that_the_broker_would_misread_is_refused() {
        for offset in [StreamOffset::Number(u64::MAX), StreamOffset::Interval(Duration::ZERO)] {
            assert!(matches!(offset.validate(), Err(Error::Invalid { .. })), "{offset:?}");
        }
        StreamOffset::Number(LARGEST).validate().unwrap();
        assert!(serde_json::from_str::<StreamOffset>(r#"{"interval":-1}"#).is_err());
    }
}
