use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::Connector;

use crate::features::Features;
use crate::release::Release;

/// The connection of the kit to a backend.
///
/// One harness represents one broker. Cases use unique names. Cases and other programs can
/// therefore share a broker at the same time.
pub trait Harness: Send + Sync {
    /// Returns the name of the backend for reports.
    fn name(&self) -> &str;

    /// Returns the features of the backend. A case that needs another feature is reported as
    /// unsupported.
    fn features(&self) -> Features;

    /// Returns the release of RabbitMQ whose answers are expected. Some answers depend on it.
    ///
    /// Defaults to [`Release::NEWEST_KNOWN`].
    fn release(&self) -> Release {
        Release::NEWEST_KNOWN
    }

    /// Creates a connector to the broker. It shares no connection with earlier connectors.
    ///
    /// # Panics
    /// If the broker cannot be reached. The case then fails.
    fn connect(&self) -> Arc<dyn Connector>;

    /// Passes time for the broker: advances its clock, or sleeps. An event that is due within
    /// `duration` has happened when this returns, or happens soon after.
    fn pass(&self, duration: Duration);

    /// Creates a connector whose connections can be cut, for
    /// [`Feature::CutConnection`](crate::Feature::CutConnection).
    ///
    /// Defaults to `None`.
    fn breakable(&self) -> Option<Breakable> {
        None
    }

    /// Blocks the broker like a memory alarm, or unblocks it, for
    /// [`Feature::BlockBroker`](crate::Feature::BlockBroker). Returns whether the harness can do
    /// this.
    ///
    /// Defaults to `false`.
    fn block(&self, blocked: bool) -> bool {
        let _ = blocked;
        false
    }

    /// Restarts the broker, and blocks until the broker accepts connections, for
    /// [`Feature::RestartBroker`](crate::Feature::RestartBroker). Returns whether the harness can
    /// do this.
    ///
    /// Defaults to `false`.
    fn restart(&self) -> bool {
        false
    }
}

/// A connector whose connections can be cut, like by a network fault or a crash of the broker.
#[allow(clippy::exhaustive_structs, reason = "a harness has to supply each")]
pub struct Breakable {
    /// The connector. It can be opened again after a cut.
    pub connector: Arc<dyn Connector>,
    /// Cuts every present connection of the connector without closing it. The connector may notice
    /// the cut later.
    pub cut: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Breakable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Breakable")
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}
