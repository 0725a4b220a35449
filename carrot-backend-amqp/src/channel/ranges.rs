//! Sets of tags with few holes.

use std::collections::BTreeMap;

/// A set of numbers from 1, kept as ranges. Its size depends on the number of holes only.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    /// All numbers up to this one are in the set.
    first: u64,
    /// The first and the last number of each later range. Ranges neither touch nor overlap.
    above: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Returns the last number of the unbroken range from 1; 0 if 1 is not in the set.
    pub(crate) fn end_of_first(&self) -> u64 {
        self.first
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        number <= self.first
            || self.above.range(..=number).next_back().is_some_and(|(_, &last)| number <= last)
    }

    /// Adds `from..=to`. Returns how many of them are new.
    pub(crate) fn insert(&mut self, from: u64, to: u64) -> u64 {
        let from = from.max(self.first.saturating_add(1));
        if from > to {
            return 0;
        }
        let mut added = (to - from).saturating_add(1);
        // The range of which they become a part.
        let (mut start, mut end) = (from, to);
        if let Some((&before, &last)) = self.above.range(..=from).next_back()
            && last.saturating_add(1) >= from
        {
            added -= last.min(to).saturating_add(1) - from;
            start = before;
            end = end.max(last);
            self.above.remove(&before);
        }
        while let Some((&next, &last)) = self.above.range(from..).next()
            && next <= end.saturating_add(1)
        {
            added -= last.min(to).saturating_add(1).saturating_sub(next);
            end = end.max(last);
            self.above.remove(&next);
        }
        if start == self.first.saturating_add(1) {
            self.first = end;
        } else {
            self.above.insert(start, end);
        }
        added
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn any_order_of_insertion_gives_the_same_set() {
        let mut seed = 1_u64;
        let mut random = |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..500 {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for _ in 0..random(30) {
                let from = 1 + random(40);
                let to = from + random(4);
                let before = model.len();
                model.extend(from..=to);
                assert_eq!(
                    ranges.insert(from, to),
                    (model.len() - before) as u64,
                    "{from} to {to}: {ranges:?}"
                );
                for number in 1..50 {
                    assert_eq!(
                        ranges.contains(number),
                        model.contains(&number),
                        "{number} in {ranges:?}"
                    );
                }
                let unbroken = (1..).take_while(|number| model.contains(number)).count() as u64;
                assert_eq!(ranges.end_of_first(), unbroken, "{ranges:?}");
            }
        }
    }

    #[test]
    fn holes_take_room_and_numbers_do_not() {
        let mut ranges = Ranges::default();
        for number in 2..10_000 {
            ranges.insert(number, number);
        }
        assert_eq!(ranges.above.len(), 1);
        ranges.insert(1, 1);
        assert_eq!((ranges.end_of_first(), ranges.above.len()), (9999, 0));
    }
}
