//! A map by name with a faster hash than the standard one, which guards against chosen names.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// Values by the names of exchanges or queues.
pub type NameMap<V> = HashMap<Arc<str>, V, BuildHasherDefault<NameHasher>>;

/// Hashes names as FNV-1a does, without a defence against names that were chosen to collide.
#[derive(Debug)]
pub struct NameHasher(u64);

impl Default for NameHasher {
    #[inline]
    fn default() -> NameHasher {
        NameHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
