//! Whether a channel has confirms or transactions.

use crate::broker::fault_plan::FaultOutcome;
use crate::broker::publish::KeptMessage;

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
    pub(crate) message: KeptMessage,
    pub(crate) mandatory: bool,
    pub(crate) fault: FaultOutcome,
}
