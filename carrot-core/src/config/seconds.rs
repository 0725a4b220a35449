//! Serializes durations as numbers of seconds.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Serializes a duration as a number of seconds, with a fraction only if there is one.
pub(crate) fn serialize<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Seconds(*duration).serialize(serializer)
}

/// Serializes as a number of seconds, with a fraction only if there is one.
pub(crate) struct Seconds(pub(crate) Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanos() == 0 {
            serializer.serialize_u64(self.0.as_secs())
        } else {
            serializer.serialize_f64(self.0.as_secs_f64())
        }
    }
}
