use std::sync::Arc;
use std::time::Duration;

use crate::escaping::printable;

/// The maximum length of a handler's reason for parking, in bytes.
const LONGEST_REASON: usize = 1000;

/// The failure of a handler, or the reason why it could not be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: Arc<str>,
    /// Whether another attempt is useless.
    pub(crate) permanent: bool,
    /// Whether the body could not be decoded.
    pub(crate) undecodable: bool,
    /// Whether the handler chose another attempt or parking, instead of failing.
    pub(crate) chosen: bool,
    /// The pause that the handler chose.
    pub(crate) pause: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(reason: impl Into<Arc<str>>) -> Failure {
        Failure {
            reason: reason.into(),
            permanent: false,
            undecodable: false,
            chosen: false,
            pause: None,
        }
    }

    /// The choice of a handler to try the message again after `pause`.
    pub(crate) fn postponed(pause: Duration) -> Failure {
        let failure = Failure::new(format!("another attempt in {pause:?}"));
        Failure { chosen: true, pause: Some(pause), ..failure }
    }

    /// Returns whether the failure counts towards the pause of the consumer. A failure of the
    /// message itself proves nothing about the services that the handler depends on.
    pub(crate) fn may_pause_consumer(&self) -> bool {
        !self.chosen && !self.undecodable && !self.permanent
    }

    /// The choice of a handler to park the message.
    pub(crate) fn parked(reason: String) -> Failure {
        let failure = Failure::new(printable(LONGEST_REASON, reason));
        Failure { chosen: true, permanent: true, ..failure }
    }
}
