//! The reasons for which a broker blocks publishers.

use std::sync::Arc;

/// The words of RabbitMQ's memory alarm.
const LOW_ON_MEMORY: &str = "low on memory";

/// The reasons for which a broker blocks publishers.
#[derive(Debug, Default)]
pub(crate) struct BrokerAlarms {
    /// The reason that a test injected.
    pub(crate) injected: Option<Arc<str>>,
    /// The number of limits on memory that the messages exceed.
    pub(crate) exceeded_limits: usize,
}

impl BrokerAlarms {
    /// Returns why publishers are blocked, if they are.
    pub(crate) fn reason(&self) -> Option<Arc<str>> {
        let is_low = self.exceeded_limits > 0;
        self.injected.clone().or_else(|| is_low.then(|| LOW_ON_MEMORY.into()))
    }
}
