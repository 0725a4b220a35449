use serde::{Deserialize, Serialize};

/// The node that leads a new quorum queue or stream (RabbitMQ's `x-queue-leader-locator`).
///
/// A cluster of one node has no choice. Set by [`Queue::leader_locator`](crate::Queue).
///
/// ```
/// use carrot::topology::LeaderLocator;
///
/// assert_eq!(LeaderLocator::ClientLocal.as_str(), "client-local");
/// assert_eq!(serde_json::to_string(&LeaderLocator::Balanced)?, r#""balanced""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LeaderLocator {
    /// The node that the declaring connection uses.
    ClientLocal,
    /// The node with the fewest leaders, or a random node if there are many queues.
    Balanced,
}

impl LeaderLocator {
    /// Returns the value of the `x-queue-leader-locator` argument.
    pub fn as_str(self) -> &'static str {
        match self {
            LeaderLocator::ClientLocal => "client-local",
            LeaderLocator::Balanced => "balanced",
        }
    }
}
