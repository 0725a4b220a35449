use serde::{Deserialize, Serialize};

/// On what condition something is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DeleteIf {
    /// Only if nothing uses it: no consumer of the queue, no binding from the exchange.
    pub if_unused: bool,
    /// Only if the queue holds no ready message.
    pub if_empty: bool,
}

impl DeleteIf {
    /// In any case.
    pub const ALWAYS: DeleteIf = DeleteIf { if_unused: false, if_empty: false };
    /// Only if nothing uses it.
    pub const IF_UNUSED: DeleteIf = DeleteIf { if_unused: true, if_empty: false };
    /// Only if it is empty.
    pub const IF_EMPTY: DeleteIf = DeleteIf { if_unused: false, if_empty: true };
    /// Only if nothing uses it and it is empty.
    pub const IF_UNUSED_AND_EMPTY: DeleteIf = DeleteIf { if_unused: true, if_empty: true };
}
