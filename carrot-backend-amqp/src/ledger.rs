//! The unsettled deliveries of one channel, and how their settlements go out.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use carrot_core::backend::{Extent, Rejection};

use crate::owner::MOST_HELD;
use crate::ranges::Ranges;

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ack,
    Reject(Rejection),
}

/// One frame: a verdict on one delivery, or on it and all before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settlement {
    pub(crate) verdict: Verdict,
    pub(crate) tag: u64,
    pub(crate) multiple: bool,
}

/// The tag is not that of an unsettled delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownTag;

/// The unsettled deliveries that were handed out, by tag; and verdicts on their way to the broker.
#[derive(Debug)]
pub(crate) struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    unsettled: BTreeSet<u64>,
    /// In the order of their verdicts.
    decided: Vec<(Verdict, u64)>,
    /// How many verdicts are enough to leave without waiting for more.
    batch: usize,
    /// What the broker does not wait for a settlement of, as far as it was told.
    settled: Ranges,
}

impl Ledger {
    pub(crate) fn new() -> Ledger {
        let state = State {
            unsettled: BTreeSet::new(),
            decided: Vec::new(),
            batch: MOST_HELD,
            settled: Ranges::default(),
        };
        Ledger { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no more than so many verdicts wait for others; the least limit holds.
    pub(crate) fn limit_batch(&self, verdicts: usize) {
        let mut state = self.lock();
        state.batch = state.batch.min(verdicts).max(1);
    }

    pub(crate) fn is_batch_full(&self) -> bool {
        let state = self.lock();
        state.decided.len() >= state.batch
    }

    /// A delivery was handed out.
    pub(crate) fn hand_out(&self, tag: u64) {
        self.lock().unsettled.insert(tag);
    }

    /// A delivery needs no verdict: it was taken without acknowledgement, or settled by other means.
    pub(crate) fn pass(&self, tag: u64) {
        self.lock().settled.insert(tag, tag);
    }

    /// Notes a verdict. Gives whether somebody has to be told: of the first since the last [`drain`](Ledger::drain), and of the one that
    /// makes the batch full.
    ///
    /// [`Extent::UpTo`] covers what was handed out. What the broker has sent and nobody has seen yet is not settled unseen.
    pub(crate) fn decide(
        &self,
        verdict: Verdict,
        tag: u64,
        extent: Extent,
    ) -> Result<bool, UnknownTag> {
        let mut state = self.lock();
        let before = state.decided.len();
        let State { unsettled, decided, .. } = &mut *state;
        match extent {
            Extent::One => {
                if !unsettled.remove(&tag) {
                    return Err(UnknownTag);
                }
                decided.push((verdict, tag));
            }
            Extent::UpTo if tag != 0 && !unsettled.contains(&tag) => return Err(UnknownTag),
            Extent::UpTo => {
                let later =
                    if tag == 0 { BTreeSet::new() } else { unsettled.split_off(&(tag + 1)) };
                let covered = std::mem::replace(unsettled, later);
                decided.extend(covered.into_iter().map(|tag| (verdict, tag)));
            }
        }
        let now = state.decided.len();
        Ok(now > before && (before == 0 || (before < state.batch && now >= state.batch)))
    }

    /// Takes all verdicts as the fewest frames: of each run of equal verdicts, those that leave no hole before them go as one.
    pub(crate) fn drain(&self) -> Vec<Settlement> {
        let mut state = self.lock();
        let decided = std::mem::take(&mut state.decided);
        let mut frames = Vec::new();
        let mut run: Vec<u64> = Vec::new();
        let mut run_verdict = Verdict::Ack;
        for (verdict, tag) in decided {
            if verdict != run_verdict {
                push_frames(&mut frames, run_verdict, std::mem::take(&mut run), &mut state.settled);
                run_verdict = verdict;
            }
            run.push(tag);
        }
        push_frames(&mut frames, run_verdict, run, &mut state.settled);
        frames
    }
}

fn push_frames(
    frames: &mut Vec<Settlement>,
    verdict: Verdict,
    mut run: Vec<u64>,
    settled: &mut Ranges,
) {
    run.sort_unstable();
    for tag in &run {
        settled.insert(*tag, *tag);
    }
    let covered = settled.end_of_first();
    let without_hole = run.iter().take_while(|tag| **tag <= covered).count();
    // There is no method that fails several at once.
    let skipped = if verdict == Verdict::Reject(Rejection::RequeueFailed) {
        0
    } else {
        without_hole.saturating_sub(1)
    };
    let frame = |(index, tag)| Settlement { verdict, tag, multiple: index == 0 && skipped > 0 };
    frames.extend(run.into_iter().skip(skipped).enumerate().map(frame));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn handed_out(tags: impl IntoIterator<Item = u64>) -> Ledger {
        let ledger = Ledger::new();
        tags.into_iter().for_each(|tag| ledger.hand_out(tag));
        ledger
    }

    fn ack(ledger: &Ledger, tag: u64) {
        ledger.decide(Verdict::Ack, tag, Extent::One).unwrap();
    }

    fn frames(ledger: &Ledger) -> Vec<(Verdict, u64, bool)> {
        ledger.drain().into_iter().map(|frame| (frame.verdict, frame.tag, frame.multiple)).collect()
    }

    const REQUEUE: Verdict = Verdict::Reject(Rejection::Requeue);

    #[test]
    fn neighbours_go_as_one_in_whatever_order_they_were_decided() {
        let ledger = handed_out(1..=5);
        [3, 1, 2].into_iter().for_each(|tag| ack(&ledger, tag));
        assert_eq!(frames(&ledger), [(Verdict::Ack, 3, true)]);
        ack(&ledger, 4);
        assert_eq!(frames(&ledger), [(Verdict::Ack, 4, false)]);
    }

    #[test]
    fn nothing_is_covered_beyond_a_hole() {
        let ledger = handed_out(1..=6);
        [1, 2, 4, 5].into_iter().for_each(|tag| ack(&ledger, tag));
        assert_eq!(
            frames(&ledger),
            [(Verdict::Ack, 2, true), (Verdict::Ack, 4, false), (Verdict::Ack, 5, false)]
        );
        [3, 6].into_iter().for_each(|tag| ack(&ledger, tag));
        assert_eq!(frames(&ledger), [(Verdict::Ack, 6, true)]);
    }

    #[test]
    fn what_was_never_handed_out_is_a_hole_too() {
        let ledger = handed_out([1, 3]);
        ledger.decide(Verdict::Ack, 0, Extent::UpTo).unwrap();
        assert_eq!(frames(&ledger), [(Verdict::Ack, 1, false), (Verdict::Ack, 3, false)]);
        ledger.pass(2);
        ledger.hand_out(4);
        ledger.hand_out(5);
        ledger.decide(Verdict::Ack, 5, Extent::UpTo).unwrap();
        assert_eq!(frames(&ledger), [(Verdict::Ack, 5, true)]);
    }

    #[test]
    fn different_verdicts_never_mix() {
        let ledger = handed_out(1..=4);
        ack(&ledger, 1);
        ledger.decide(REQUEUE, 2, Extent::One).unwrap();
        ack(&ledger, 3);
        ack(&ledger, 4);
        assert_eq!(
            frames(&ledger),
            [(Verdict::Ack, 1, false), (REQUEUE, 2, false), (Verdict::Ack, 4, true)]
        );
    }

    #[test]
    fn failed_deliveries_go_one_by_one() {
        let failed = Verdict::Reject(Rejection::RequeueFailed);
        let ledger = handed_out(1..=4);
        ledger.decide(failed, 3, Extent::UpTo).unwrap();
        ack(&ledger, 4);
        assert_eq!(
            frames(&ledger),
            [(failed, 1, false), (failed, 2, false), (failed, 3, false), (Verdict::Ack, 4, false)]
        );
    }

    #[test]
    fn up_to_covers_what_is_unsettled_and_no_later_one() {
        let ledger = handed_out(1..=5);
        ack(&ledger, 2);
        ledger.decide(REQUEUE, 4, Extent::UpTo).unwrap();
        assert_eq!(frames(&ledger), [(Verdict::Ack, 2, false), (REQUEUE, 4, true)]);
        ack(&ledger, 5);
    }

    #[test]
    fn a_tag_is_settled_once() {
        let ledger = handed_out([1, 2]);
        ack(&ledger, 1);
        assert_eq!(ledger.decide(Verdict::Ack, 1, Extent::One), Err(UnknownTag));
        assert_eq!(ledger.decide(Verdict::Ack, 1, Extent::UpTo), Err(UnknownTag));
        assert_eq!(ledger.decide(Verdict::Ack, 0, Extent::One), Err(UnknownTag));
        assert_eq!(ledger.decide(REQUEUE, 9, Extent::UpTo), Err(UnknownTag));
    }

    #[test]
    fn the_first_verdict_and_a_full_batch_have_to_be_told() {
        let ledger = handed_out(1..=9);
        ledger.limit_batch(3);
        ledger.limit_batch(7);
        let told: Vec<_> =
            (1..=5).map(|tag| ledger.decide(Verdict::Ack, tag, Extent::One).unwrap()).collect();
        assert_eq!(told, [true, false, true, false, false]);
        assert!(ledger.is_batch_full());

        let ledger = handed_out(1..=3);
        assert_eq!(ledger.decide(Verdict::Ack, 1, Extent::One), Ok(true));
        assert_eq!(ledger.decide(Verdict::Ack, 2, Extent::One), Ok(false));
        ledger.drain();
        assert_eq!(ledger.decide(Verdict::Ack, 0, Extent::UpTo), Ok(true));
        ledger.drain();
        assert_eq!(
            ledger.decide(Verdict::Ack, 0, Extent::UpTo),
            Ok(false),
            "there is nothing left"
        );
    }
}
