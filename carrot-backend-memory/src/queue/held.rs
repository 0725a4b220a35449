//! The unsettled deliveries of a quorum queue, by consumer.

use std::collections::BTreeMap;

use crate::queue::sink::ConsumerKey;

/// Counts the unsettled deliveries of each consumer. A quorum queue announces a consumer until it
/// is cancelled and its deliveries are settled.
#[derive(Debug, Default)]
pub(crate) struct HeldDeliveries(BTreeMap<ConsumerKey, usize>);

impl HeldDeliveries {
    pub(crate) fn add(&mut self, consumer: ConsumerKey) {
        *self.0.entry(consumer).or_default() += 1;
    }

    pub(crate) fn remove(&mut self, consumer: ConsumerKey) {
        if let Some(count) = self.0.get_mut(&consumer) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&consumer);
            }
        }
    }

    pub(crate) fn holds(&self, consumer: ConsumerKey) -> bool {
        self.0.contains_key(&consumer)
    }

    /// Returns the consumers with unsettled deliveries.
    pub(crate) fn holders(&self) -> impl Iterator<Item = ConsumerKey> {
        self.0.keys().copied()
    }
}
