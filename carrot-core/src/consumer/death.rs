use serde::{Deserialize, Serialize};

use crate::model::{Headers, Value};

/// One record of the broker that a message was dead-lettered from a queue.
///
/// Serialized as a table of its fields. A time that is not set is omitted. Unknown fields are
/// ignored, so that records of other versions can be read.
///
/// ```
/// use carrot::message::Death;
///
/// let json = r#"{"queue":"jobs","reason":"rejected","count":1,"exchange":"","routing_keys":[]}"#;
/// let death: Death = serde_json::from_str(json)?;
/// assert_eq!((&*death.queue, death.count, death.time), ("jobs", 1, None));
/// assert_eq!(serde_json::to_string(&death)?, json);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Death {
    /// The queue that dead-lettered the message.
    pub queue: String,
    /// The reason: `rejected`, `expired`, `maxlen` or `delivery_limit`.
    pub reason: String,
    /// The number of times that the queue dead-lettered the message for that reason.
    pub count: u64,
    /// The exchange that the message had been published to.
    pub exchange: String,
    /// The routing keys that the message had been published with.
    pub routing_keys: Vec<String>,
    /// The time of the first dead-lettering from the queue, by the broker's clock, in seconds from
    /// the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

impl Death {
    pub(super) fn read(table: &Headers) -> Option<Death> {
        let text = |name| table.get(name).and_then(Value::as_str).map(str::to_string);
        let keys = table.get("routing-keys").and_then(Value::as_array).unwrap_or_default();
        Some(Death {
            queue: text("queue")?,
            reason: text("reason")?,
            count: table
                .get("count")
                .and_then(Value::as_i64)
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or(1),
            exchange: text("exchange").unwrap_or_default(),
            routing_keys: keys.iter().filter_map(Value::as_str).map(str::to_string).collect(),
            time: match table.get("time") {
                Some(Value::Timestamp(seconds)) => Some(*seconds),
                _ => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn death_survives_json() {
        let death = Death {
            queue: "jobs".into(),
            reason: "expired".into(),
            count: 3,
            exchange: "feed".into(),
            routing_keys: vec!["a".into(), "b".into()],
            time: Some(7),
        };
        for death in [Death { time: None, ..death.clone() }, death] {
            let json = serde_json::to_string(&death).unwrap();
            assert_eq!(serde_json::from_str::<Death>(&json).unwrap(), death);
        }
    }
}
