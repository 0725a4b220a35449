use serde::{Deserialize, Serialize};

/// The numbers of messages that a run settled, by result.
///
/// `failed` and `undecodable` count attempts. `retried`, `parked`, `discarded`, `requeued`,
/// `paused` and `lost` count the treatment of the message: after a failed attempt, or because the
/// handler returned [`RetryAfter`](crate::Settlement::RetryAfter),
/// [`Park`](crate::Settlement::Park) or [`Requeue`](crate::Settlement::Requeue).
///
/// Serialized as a table of all numbers. A missing number is deserialized as 0, and an unknown one
/// is ignored, so that reports of other versions can be read.
///
/// ```
/// use carrot::consume::Report;
///
/// let report: Report = serde_json::from_str(r#"{"acknowledged": 3}"#)?;
/// assert_eq!((report.acknowledged, report.failed), (3, 0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Report {
    /// Handled and acknowledged.
    pub acknowledged: u64,
    /// Handled, and rejected by the handler.
    pub rejected: u64,
    /// Handled, and requeued by the handler; or failed, and requeued because the consumer leaves
    /// failures to the broker.
    pub requeued: u64,
    /// Attempts at which the handler failed or panicked.
    pub failed: u64,
    /// Attempts at which the body could not be decoded, or a part of the message not be read.
    pub undecodable: u64,
    /// Failed, and tried again later: a copy waits at the broker, or the worker waits with the
    /// message.
    pub retried: u64,
    /// Parked permanently.
    pub parked: u64,
    /// Rejected after the last attempt, because the consumer discards failed messages; or at the
    /// first, because a part of the message could not be read.
    pub discarded: u64,
    /// Failed, but neither copied nor parked: kept in the process for the pause, and then requeued.
    /// A growing number needs a repair, whose cause is logged at error level.
    pub paused: u64,
    /// Delivered, but requeued because the consumer was stopped: not handled yet, or in a pause.
    pub requeued_unhandled: u64,
    /// Failed, or delivered and not handled, with automatic acknowledgement. The broker no longer
    /// has the message.
    pub lost: u64,
    /// Handled after the channel was lost. The broker redelivers the message.
    pub stale: u64,
    /// Handlers that had not finished at the timeout of the stop. Their messages were requeued.
    pub unfinished: usize,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn report_survives_json_and_other_versions() {
        let report =
            Report { acknowledged: u64::MAX, stale: 2, unfinished: 1, ..Report::default() };
        let mut json = serde_json::to_value(report).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 13, "{json}");
        json["added_later"] = 1.into();
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
        assert_eq!(serde_json::from_str::<Report>("{}").unwrap(), Report::default());
    }
}
