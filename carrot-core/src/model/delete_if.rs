use serde::{Deserialize, Serialize};

/// The condition on which a queue or an exchange is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DeleteIf {
    /// Deletes only if the queue has no consumer, or the exchange no binding as its source.
    pub if_unused: bool,
    /// Deletes only if the queue holds no ready message.
    pub if_empty: bool,
}

impl DeleteIf {
    /// Deletes in any case.
    pub const ALWAYS: DeleteIf = DeleteIf { if_unused: false, if_empty: false };
    /// Deletes only if unused.
    pub const UNUSED: DeleteIf = DeleteIf { if_unused: true, if_empty: false };
    /// Deletes only if empty.
    pub const EMPTY: DeleteIf = DeleteIf { if_unused: false, if_empty: true };
    /// Deletes only if unused and empty.
    pub const UNUSED_AND_EMPTY: DeleteIf = DeleteIf { if_unused: true, if_empty: true };
}
