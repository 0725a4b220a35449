//! The deliveries that the program of a peer has seen.

use carrot_core::backend::DeliveryTag;

use crate::calls::request::TagRange;

/// Ranges of tags, in order, for quick searches.
#[derive(Debug)]
pub(crate) struct SeenTags(Vec<TagRange>);

impl SeenTags {
    /// Sorts ranges, which may overlap.
    pub(crate) fn new(mut ranges: Vec<TagRange>) -> SeenTags {
        ranges.sort_unstable_by_key(|range| range.first);
        // The last range that begins before a tag then has it, if any has.
        let mut last = 0;
        for range in &mut ranges {
            last = last.max(range.last);
            range.last = last;
        }
        SeenTags(ranges)
    }

    pub(crate) fn contains(&self, tag: DeliveryTag) -> bool {
        let before = self.0.partition_point(|range| range.first <= tag.0);
        let range = before.checked_sub(1).and_then(|index| self.0.get(index));
        range.is_some_and(|range| tag.0 <= range.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_in_any_order_have_the_tags_that_one_of_them_has() {
        let ranges = [(40, 42), (1, 3), (10, 30), (12, 13), (9, 5), (50, 50), (3, 4)];
        let has = |tag: u64| ranges.iter().any(|(first, last)| (*first..=*last).contains(&tag));
        let ranges = ranges.iter().map(|(first, last)| TagRange { first: *first, last: *last });
        let seen = SeenTags::new(ranges.collect());
        for tag in 0..60 {
            assert_eq!(seen.contains(DeliveryTag(tag)), has(tag), "{tag}");
        }
        assert!(!SeenTags::new(Vec::new()).contains(DeliveryTag(1)));
    }
}
