use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// A point in time as AMQP has it: whole seconds since the Unix epoch. Made from a number of
/// seconds, or from [`SystemTime`].
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use carrot::message::Timestamp;
///
/// assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(7_900)), Timestamp(7));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[allow(clippy::exhaustive_structs, reason = "a number of seconds is all that there is")]
pub struct Timestamp(pub u64);

impl From<u64> for Timestamp {
    fn from(seconds: u64) -> Timestamp {
        Timestamp(seconds)
    }
}

/// A time before 1970 becomes zero.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Timestamp {
        Timestamp(time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}
