use std::sync::Arc;
use std::time::Duration;

/// That a handler failed, or could not be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: Arc<str>,
    /// Whether trying again is no use.
    pub(crate) permanent: bool,
    /// Whether the body could not be decoded.
    pub(crate) undecodable: bool,
    /// Whether the handler decided so, rather than failed.
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
