use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::Connector;

use crate::Features;

/// What the kit has to know about a backend to try it.
///
/// One harness stands for one broker. Cases use names of their own, so that many of them can share a broker, at the same time and with
/// other programs.
pub trait Harness: Send + Sync {
    /// The name of the backend, as it is to appear in a report.
    fn name(&self) -> &str;

    /// What the backend can do. A case that needs more is reported as unsupported.
    fn features(&self) -> Features;

    /// A new connector to the broker, independent of the earlier ones: what one of them does to its connection touches no other.
    ///
    /// # Panics
    /// If there is no broker to reach: the case then fails.
    fn connect(&self) -> Arc<dyn Connector>;

    /// Lets time pass for the broker: turns its clock, or sleeps. Whatever falls due within `duration` has happened, or is about to, when
    /// it returns.
    fn pass(&self, duration: Duration);

    /// As [`connect`](Harness::connect), with a knife for its connections; for [`Feature::CutConnection`](crate::Feature::CutConnection).
    /// Defaults to `None`.
    fn breakable(&self) -> Option<Breakable> {
        None
    }

    /// Blocks the broker as a memory alarm does, or unblocks it; for [`Feature::BlockBroker`](crate::Feature::BlockBroker). Gives back
    /// whether it could. Defaults to `false`.
    fn block(&self, blocked: bool) -> bool {
        let _ = blocked;
        false
    }

    /// Stops the broker and starts it again, and waits until it takes connections; for
    /// [`Feature::RestartBroker`](crate::Feature::RestartBroker). Gives back whether it could. Defaults to `false`.
    fn restart(&self) -> bool {
        false
    }
}

/// A connector whose connections can be cut from outside, as a network or a broker that dies does.
pub struct Breakable {
    /// The connector. It can be opened again after a cut.
    pub connector: Arc<dyn Connector>,
    /// Cuts every connection that it has now, with no word of farewell. The cut need not have been noticed when it returns.
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
