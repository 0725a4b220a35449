use carrot_conformance::{Features, Tier};

/// The tiers of the conformance kit that are run.
#[allow(dead_code, reason = "the page shows them")]
pub(crate) const TIERS: [Tier; 2] = [Tier::Basics, Tier::Settlement];

/// The features of the backend. `docs/guarantees.md` shows them, which `tests/guide` checks.
pub(crate) fn features() -> Features {
    Features::none()
}
