//! Times, counted in buckets of about one per cent.

use std::time::Duration;

/// The buckets for each power of two.
const PARTS: u64 = 64;
/// Times below this number of nanoseconds have a bucket each.
const EXACT: u64 = 2 * PARTS;
const BUCKETS: usize = 4096;

/// How often each time was measured.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: vec![0; BUCKETS], count: 0, longest: 0 }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(nanoseconds)) {
            *bucket += 1;
        }
        self.count += 1;
        self.longest = self.longest.max(nanoseconds);
    }

    pub(super) fn merge(&mut self, other: &Histogram) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// Returns the time that this part of all times does not exceed, from 0 to 1. `None` if there
    /// are no times.
    pub(super) fn quantile(&self, part: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let rank = ((self.count as f64 * part).ceil() as u64).clamp(1, self.count);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|bucket| {
            seen += bucket;
            seen >= rank
        });
        let most = bucket.map_or(self.longest, last_of).min(self.longest);
        Some(Duration::from_nanos(most))
    }
}

/// Returns the bucket of a time.
fn bucket_of(nanoseconds: u64) -> usize {
    if nanoseconds < EXACT {
        return nanoseconds as usize;
    }
    let shift = nanoseconds.ilog2() - PARTS.ilog2();
    (u64::from(shift) * PARTS + (nanoseconds >> shift)) as usize
}

/// Returns the longest time of a bucket.
fn last_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket;
    }
    let shift = bucket / PARTS - 1;
    let next = u128::from(bucket - shift * PARTS + 1) << shift;
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_every_time_within_two_per_cent() {
        for shift in 0..64 {
            for time in [1 << shift, (1 << shift) + ((1_u64 << shift) / 3), (1 << shift) - 1] {
                let bucket = bucket_of(time);
                assert!(bucket < BUCKETS, "{time}");
                let last = last_of(bucket);
                assert!(last >= time && last - time <= time / 50, "{time}: {last}");
            }
        }
        assert!(bucket_of(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_those_of_sorted_times() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        let mut other = Histogram::default();
        for milliseconds in 1..=100 {
            let time = Duration::from_millis(milliseconds);
            if milliseconds % 2 == 0 { &mut histogram } else { &mut other }.add(time);
        }
        histogram.merge(&other);
        let milliseconds = |part| histogram.quantile(part).map(|time| time.as_millis());
        assert_eq!(milliseconds(0.0), Some(1));
        assert!((50..=51).contains(&milliseconds(0.5).unwrap_or_default()));
        assert!((99..=100).contains(&milliseconds(0.99).unwrap_or_default()));
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_millis(100)));
    }
}
