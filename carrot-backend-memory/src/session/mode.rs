//! Whether a channel has confirms or transactions.

use std::sync::Arc;

use carrot_core::backend::Content;

use crate::broker::fault_plan::FaultOutcome;
use crate::queue::memory::HeldBytes;

/// Whether a channel confirms its publications, or collects them in transactions.
#[derive(Debug, Default)]
pub(crate) enum ChannelMode {
    #[default]
    Plain,
    Confirms,
    Transactions(Vec<PendingPublication>),
}

/// A publication of a transaction that is not committed.
#[derive(Debug)]
pub(crate) struct PendingPublication {
    pub(crate) content: Arc<Content>,
    pub(crate) mandatory: bool,
    pub(crate) fault: FaultOutcome,
    /// The memory that the publication counts with until it is routed.
    pub(crate) held: Option<Arc<HeldBytes>>,
}
