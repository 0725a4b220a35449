use std::sync::Arc;
use std::time::Duration;

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
}
