use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::model::Value;

/// An AMQP timestamp, in whole seconds since the Unix epoch.
///
/// Converts from a number of seconds, and from and to [`SystemTime`].
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

/// Converts a time that [`SystemTime`] cannot hold to the Unix epoch.
impl From<Timestamp> for SystemTime {
    fn from(Timestamp(seconds): Timestamp) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl From<Timestamp> for Value {
    fn from(Timestamp(seconds): Timestamp) -> Value {
        Value::Timestamp(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_survive_the_way_through_system_time() {
        for seconds in [0, 1, 1_764_115_200] {
            assert_eq!(Timestamp::from(SystemTime::from(Timestamp(seconds))), Timestamp(seconds));
        }
        assert_eq!(SystemTime::from(Timestamp(u64::MAX)), SystemTime::UNIX_EPOCH);
    }
}
