//! The unsettled deliveries of one channel, and the frames that settle them.

use std::collections::BTreeSet;
use std::sync::Mutex;

use carrot_core::backend::{Extent, Rejection};

use super::ranges::Ranges;
use crate::sync::lock;

/// The most settlements that wait for each other.
const MOST_HELD: usize = 64;

/// The way in which a delivery is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettlementKind {
    Ack,
    Reject(Rejection),
}

/// The fields of one frame: the settlement of one delivery, or of it and all before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SettlementFrame {
    pub(crate) kind: SettlementKind,
    pub(crate) tag: u64,
    pub(crate) multiple: bool,
}

/// The tag is not that of an unsettled delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownTag;

/// The unsettled deliveries that the caller has, and the settlements that wait to be sent.
#[derive(Debug)]
pub(crate) struct AckTracker {
    state: Mutex<AckState>,
}

#[derive(Debug)]
struct AckState {
    unsettled: BTreeSet<u64>,
    /// The settlements in the order in which they were decided.
    decided: Vec<(SettlementKind, u64)>,
    /// The number of settlements that are sent without waiting for more.
    batch: usize,
    /// The deliveries that the broker does not expect to be settled.
    settled: Ranges,
}

impl AckTracker {
    pub(crate) fn new() -> AckTracker {
        let state = AckState {
            unsettled: BTreeSet::new(),
            decided: Vec::new(),
            batch: MOST_HELD,
            settled: Ranges::default(),
        };
        AckTracker { state: Mutex::new(state) }
    }

    /// Allows fewer settlements to wait for each other than a consumer with this prefetch has
    /// deliveries. The least limit of all consumers holds. 0 stands for no prefetch.
    pub(crate) fn limit_by_prefetch(&self, prefetch: u16) {
        if prefetch > 0 {
            let mut state = lock(&self.state);
            state.batch = state.batch.min(usize::from(prefetch) / 4).max(1);
        }
    }

    pub(crate) fn is_batch_full(&self) -> bool {
        let state = lock(&self.state);
        state.decided.len() >= state.batch
    }

    /// Records that the caller has a delivery.
    pub(crate) fn hand_out(&self, tag: u64) {
        lock(&self.state).unsettled.insert(tag);
    }

    /// Records that a delivery needs no settlement, because it was taken without acknowledgement
    /// or settled in another way.
    pub(crate) fn pass(&self, tag: u64) {
        lock(&self.state).settled.insert(tag, tag);
    }

    /// Records a settlement. Returns whether to send or to schedule: true for the first since the
    /// last [`drain`](AckTracker::drain), and for the one that completes a batch.
    ///
    /// [`Extent::UpTo`] covers the deliveries that the caller has. Deliveries that only the driver
    /// has seen stay unsettled.
    pub(crate) fn decide(
        &self,
        kind: SettlementKind,
        tag: u64,
        extent: Extent,
    ) -> Result<bool, UnknownTag> {
        let mut state = lock(&self.state);
        let before = state.decided.len();
        let AckState { unsettled, decided, .. } = &mut *state;
        match extent {
            Extent::One => {
                if !unsettled.remove(&tag) {
                    return Err(UnknownTag);
                }
                decided.push((kind, tag));
            }
            Extent::UpTo if tag != 0 && !unsettled.contains(&tag) => return Err(UnknownTag),
            Extent::UpTo => {
                let next = if tag == 0 { None } else { tag.checked_add(1) };
                let later = next.map_or_else(BTreeSet::new, |next| unsettled.split_off(&next));
                let covered = std::mem::replace(unsettled, later);
                decided.extend(covered.into_iter().map(|tag| (kind, tag)));
            }
        }
        let now = state.decided.len();
        Ok(now > before && (before == 0 || (before < state.batch && now >= state.batch)))
    }

    /// Takes all settlements as the least number of frames. In each run of equal settlements,
    /// those that leave no hole before them are settled by one frame.
    pub(crate) fn drain(&self) -> Vec<SettlementFrame> {
        let mut state = lock(&self.state);
        let decided = std::mem::take(&mut state.decided);
        let mut frames = Vec::new();
        let mut run: Vec<u64> = Vec::new();
        let mut run_kind = SettlementKind::Ack;
        for (kind, tag) in decided {
            if kind != run_kind {
                push_frames(&mut frames, run_kind, std::mem::take(&mut run), &mut state.settled);
                run_kind = kind;
            }
            run.push(tag);
        }
        push_frames(&mut frames, run_kind, run, &mut state.settled);
        frames
    }
}

fn push_frames(
    frames: &mut Vec<SettlementFrame>,
    kind: SettlementKind,
    mut run: Vec<u64>,
    settled: &mut Ranges,
) {
    run.sort_unstable();
    for tag in &run {
        settled.insert(*tag, *tag);
    }
    let covered = settled.end_of_first();
    let without_hole = run.iter().take_while(|tag| **tag <= covered).count();
    // AMQP has no method that fails several deliveries at once.
    let skipped = if kind == SettlementKind::Reject(Rejection::RequeueFailed) {
        0
    } else {
        without_hole.saturating_sub(1)
    };
    let frame = |(index, tag)| SettlementFrame { kind, tag, multiple: index == 0 && skipped > 0 };
    frames.extend(run.into_iter().skip(skipped).enumerate().map(frame));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn handed_out(tags: impl IntoIterator<Item = u64>) -> AckTracker {
        let tracker = AckTracker::new();
        tags.into_iter().for_each(|tag| tracker.hand_out(tag));
        tracker
    }

    fn ack(tracker: &AckTracker, tag: u64) {
        tracker.decide(SettlementKind::Ack, tag, Extent::One).unwrap();
    }

    fn frames(tracker: &AckTracker) -> Vec<(SettlementKind, u64, bool)> {
        tracker.drain().into_iter().map(|frame| (frame.kind, frame.tag, frame.multiple)).collect()
    }

    const REQUEUE: SettlementKind = SettlementKind::Reject(Rejection::Requeue);

    #[test]
    fn neighbours_go_as_one_in_whatever_order_they_were_decided() {
        let tracker = handed_out(1..=5);
        [3, 1, 2].into_iter().for_each(|tag| ack(&tracker, tag));
        assert_eq!(frames(&tracker), [(SettlementKind::Ack, 3, true)]);
        ack(&tracker, 4);
        assert_eq!(frames(&tracker), [(SettlementKind::Ack, 4, false)]);
    }

    #[test]
    fn nothing_is_covered_beyond_a_hole() {
        let tracker = handed_out(1..=6);
        [1, 2, 4, 5].into_iter().for_each(|tag| ack(&tracker, tag));
        assert_eq!(
            frames(&tracker),
            [
                (SettlementKind::Ack, 2, true),
                (SettlementKind::Ack, 4, false),
                (SettlementKind::Ack, 5, false)
            ]
        );
        [3, 6].into_iter().for_each(|tag| ack(&tracker, tag));
        assert_eq!(frames(&tracker), [(SettlementKind::Ack, 6, true)]);
    }

    #[test]
    fn what_was_never_handed_out_is_a_hole_too() {
        let tracker = handed_out([1, 3]);
        tracker.decide(SettlementKind::Ack, 0, Extent::UpTo).unwrap();
        assert_eq!(
            frames(&tracker),
            [(SettlementKind::Ack, 1, false), (SettlementKind::Ack, 3, false)]
        );
        tracker.pass(2);
        tracker.hand_out(4);
        tracker.hand_out(5);
        tracker.decide(SettlementKind::Ack, 5, Extent::UpTo).unwrap();
        assert_eq!(frames(&tracker), [(SettlementKind::Ack, 5, true)]);
    }

    #[test]
    fn different_dispositions_never_mix() {
        let tracker = handed_out(1..=4);
        ack(&tracker, 1);
        tracker.decide(REQUEUE, 2, Extent::One).unwrap();
        ack(&tracker, 3);
        ack(&tracker, 4);
        assert_eq!(
            frames(&tracker),
            [(SettlementKind::Ack, 1, false), (REQUEUE, 2, false), (SettlementKind::Ack, 4, true)]
        );
    }

    #[test]
    fn failed_deliveries_go_one_by_one() {
        let failed = SettlementKind::Reject(Rejection::RequeueFailed);
        let tracker = handed_out(1..=4);
        tracker.decide(failed, 3, Extent::UpTo).unwrap();
        ack(&tracker, 4);
        assert_eq!(
            frames(&tracker),
            [
                (failed, 1, false),
                (failed, 2, false),
                (failed, 3, false),
                (SettlementKind::Ack, 4, false)
            ]
        );
    }

    #[test]
    fn up_to_covers_what_is_unsettled_and_no_later_one() {
        let tracker = handed_out(1..=5);
        ack(&tracker, 2);
        tracker.decide(REQUEUE, 4, Extent::UpTo).unwrap();
        assert_eq!(frames(&tracker), [(SettlementKind::Ack, 2, false), (REQUEUE, 4, true)]);
        ack(&tracker, 5);
    }

    #[test]
    fn up_to_the_greatest_tag_covers_all() {
        let tracker = handed_out([3, u64::MAX]);
        tracker.decide(SettlementKind::Ack, u64::MAX, Extent::UpTo).unwrap();
        let expected = [3, u64::MAX].map(|tag| (SettlementKind::Ack, tag, false));
        assert_eq!(frames(&tracker), expected);
    }

    #[test]
    fn a_tag_is_settled_once() {
        let tracker = handed_out([1, 2]);
        ack(&tracker, 1);
        assert_eq!(tracker.decide(SettlementKind::Ack, 1, Extent::One), Err(UnknownTag));
        assert_eq!(tracker.decide(SettlementKind::Ack, 1, Extent::UpTo), Err(UnknownTag));
        assert_eq!(tracker.decide(SettlementKind::Ack, 0, Extent::One), Err(UnknownTag));
        assert_eq!(tracker.decide(REQUEUE, 9, Extent::UpTo), Err(UnknownTag));
    }

    #[test]
    fn the_first_disposition_and_a_full_batch_are_reported() {
        let tracker = handed_out(1..=9);
        tracker.limit_by_prefetch(12);
        tracker.limit_by_prefetch(28);
        let told: Vec<_> = (1..=5)
            .map(|tag| tracker.decide(SettlementKind::Ack, tag, Extent::One).unwrap())
            .collect();
        assert_eq!(told, [true, false, true, false, false]);
        assert!(tracker.is_batch_full());

        let tracker = handed_out(1..=3);
        assert_eq!(tracker.decide(SettlementKind::Ack, 1, Extent::One), Ok(true));
        assert_eq!(tracker.decide(SettlementKind::Ack, 2, Extent::One), Ok(false));
        tracker.drain();
        assert_eq!(tracker.decide(SettlementKind::Ack, 0, Extent::UpTo), Ok(true));
        tracker.drain();
        assert_eq!(
            tracker.decide(SettlementKind::Ack, 0, Extent::UpTo),
            Ok(false),
            "there is nothing left"
        );
    }
}
