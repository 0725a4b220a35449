//! The options of a new broker.

use carrot_core::RabbitMqRelease;

use crate::clock::ManualClock;

/// The options of a new broker.
#[derive(Debug, Clone, Default)]
pub(crate) struct BrokerOptions {
    /// The clock, unless it is the real one.
    pub(crate) clock: Option<ManualClock>,
    /// The imitated release, unless it is the default one.
    pub(crate) release: Option<RabbitMqRelease>,
    /// Whether the default type of queues is quorum.
    pub(crate) quorum_by_default: bool,
}
