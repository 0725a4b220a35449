use std::sync::Arc;

use carrot_core::backend::Content;

use crate::exchanges::death_mark::DeathMark;
use crate::exchanges::queue_rules::DeadLetterRoute;

/// A delivery of a queue with a dead-letter exchange.
#[derive(Debug, Clone)]
pub(crate) struct UnsentLetter {
    pub(crate) content: Arc<Content>,
    pub(crate) mark: DeathMark,
    pub(crate) queue: String,
    pub(crate) route: Arc<DeadLetterRoute>,
}
