//! The parts of a chain of delayed messages that are known to exist.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::waiting_queues::delay_levels::{DelayLevels, Unrouted};

/// The parts of a chain that are known to exist.
///
/// Several threads look and declare at once. Each reads what is known, asks the broker without the
/// lock, and then adds only what the broker's answer shows. A thread adds nothing if the parts were
/// forgotten meanwhile, because its answer may be older.
#[derive(Debug, Default)]
pub(crate) struct DeclaredChain(Mutex<KnownParts>);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KnownParts {
    /// The number of levels, from the lowest.
    pub(super) levels: u32,
    pub(super) kept: bool,
    dropped: bool,
    /// Whether the queue that messages go to after their delay was seen.
    pub(super) target: bool,
    /// The time from which a broker that restarts would keep the queues.
    durable_from: Option<Instant>,
    /// The number of times that the publisher has lost its channel.
    losses: u64,
    /// The number of losses before the parts were last seen.
    seen_after: u64,
    /// The number of times that the parts were forgotten.
    forgotten: u64,
}

impl KnownParts {
    pub(super) fn has(&self, levels: DelayLevels, unrouted: Unrouted) -> bool {
        levels.depth() <= self.levels && self.has_last(unrouted)
    }

    pub(super) fn has_last(&self, unrouted: Unrouted) -> bool {
        match unrouted {
            Unrouted::Kept => self.kept,
            Unrouted::Dropped => self.dropped,
        }
    }

    /// Returns whether the publisher has lost its channel since the parts were seen.
    pub(super) fn is_old(&self) -> bool {
        self.seen_after < self.losses
    }

    pub(super) fn left_until_durable(&self) -> Option<Duration> {
        self.durable_from
            .map(|from| from.saturating_duration_since(Instant::now()))
            .filter(|left| !left.is_zero())
    }

    fn forget(&mut self) {
        *self = KnownParts {
            losses: self.losses,
            seen_after: self.losses,
            forgotten: self.forgotten + 1,
            ..KnownParts::default()
        };
    }
}

impl DeclaredChain {
    pub(super) fn known(&self) -> KnownParts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the publisher has lost its channel. The broker may have lost its data.
    pub(super) fn note_loss(&self) {
        self.change(|known| known.losses += 1);
    }

    /// Forgets the parts, because one of them no longer exists.
    pub(crate) fn forget(&self) {
        self.change(KnownParts::forget);
    }

    /// Forgets the parts, because one of those that were known `before` no longer exists.
    pub(super) fn forget_since(&self, before: &KnownParts) {
        self.change_since(before, KnownParts::forget);
    }

    /// Notes that the parts that were known `before` still exist.
    pub(super) fn add_sight(&self, before: &KnownParts) {
        self.change_since(before, |known| known.seen_after = known.seen_after.max(before.losses));
    }

    /// Notes that the queue that messages go to after their delay exists.
    pub(super) fn add_target(&self, before: &KnownParts) {
        self.change_since(before, |known| known.target = true);
    }

    /// Notes that the lowest `levels` levels and a last queue exist.
    pub(super) fn add(
        &self,
        before: &KnownParts,
        levels: u32,
        unrouted: Unrouted,
        durable_from: Option<Instant>,
    ) {
        self.change_since(before, |known| {
            known.levels = known.levels.max(levels);
            match unrouted {
                Unrouted::Kept => known.kept = true,
                Unrouted::Dropped => known.dropped = true,
            }
            known.durable_from = known.durable_from.max(durable_from);
        });
    }

    fn change_since(&self, before: &KnownParts, change: impl FnOnce(&mut KnownParts)) {
        self.change(|known| {
            if known.forgotten == before.forgotten {
                change(known);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut KnownParts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn levels(seconds: u64) -> DelayLevels {
        DelayLevels::of(Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn two_threads_that_look_at_once_keep_what_the_other_has_added() {
        let chain = DeclaredChain::default();
        chain.add(&chain.known(), 1, Unrouted::Kept, None);
        chain.note_loss();
        let before = chain.known();
        assert!(before.is_old());
        // Another thread has seen the parts, and has declared more.
        chain.add_sight(&before);
        chain.add(&chain.known(), 7, Unrouted::Dropped, None);
        chain.add_target(&chain.known());
        chain.add_sight(&before);
        let known = chain.known();
        assert!(known.has(levels(90), Unrouted::Dropped) && known.has(levels(90), Unrouted::Kept));
        assert!(known.target && !known.is_old());
    }

    #[test]
    fn loss_during_a_look_is_not_covered_by_the_look() {
        let chain = DeclaredChain::default();
        chain.note_loss();
        let before = chain.known();
        chain.note_loss();
        chain.add_sight(&before);
        assert!(chain.known().is_old());
        chain.add_sight(&chain.known());
        assert!(!chain.known().is_old());
    }

    #[test]
    fn answer_from_before_parts_were_forgotten_adds_nothing() {
        let chain = DeclaredChain::default();
        chain.add(&chain.known(), 7, Unrouted::Kept, None);
        let before = chain.known();
        chain.forget();
        chain.add(&before, 7, Unrouted::Kept, Some(Instant::now()));
        chain.add_target(&before);
        let known = chain.known();
        assert!(!known.has(levels(1), Unrouted::Kept) && !known.target && !known.is_old());
        // Another thread has declared the parts again.
        chain.add(&known, 7, Unrouted::Kept, None);
        chain.forget_since(&before);
        assert!(chain.known().has(levels(90), Unrouted::Kept));
        chain.forget_since(&chain.known());
        assert!(!chain.known().has(levels(90), Unrouted::Kept));
    }
}
