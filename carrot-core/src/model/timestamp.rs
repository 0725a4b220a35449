use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// An AMQP timestamp, in whole seconds since the Unix epoch.
///
/// Converts from a number of seconds and from [`SystemTime`].
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use carrot::message::Timestamp;
///
/// let time = SystemTime::UNIX_EPOCH + Duration::from_millis(7_900);
/// assert_eq!(Timestamp::from(time), Timestamp(7));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[allow(clippy::exhaustive_structs, reason = "an AMQP timestamp is a number of seconds")]
pub struct Timestamp(pub u64);

impl From<u64> for Timestamp {
    fn from(seconds: u64) -> Timestamp {
        Timestamp(seconds)
    }
}

/// Rounds down to whole seconds; a time before 1970 becomes zero.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Timestamp {
        Timestamp(time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}
