use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// Returns a random number. Each state of the standard library has random keys.
pub(crate) fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}
