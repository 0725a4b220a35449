//! Bounds the bytes that a run holds, by the prefetch of its subscription.

use std::fmt;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::ArrivedDeliveries;

/// A larger prefetch is chosen from the sizes of this many messages for each message of the
/// configured prefetch.
const OBSERVED_PER_PREFETCH: u64 = 10;

/// The bound of one run, over all its subscriptions.
#[derive(Debug)]
pub(crate) struct HeldBytesLimit {
    bytes: u64,
    configured: u16,
    /// The prefetch of the current subscription.
    prefetch: AtomicU16,
}

impl HeldBytesLimit {
    pub(crate) fn new(bytes: u64, prefetch: u16) -> HeldBytesLimit {
        HeldBytesLimit { bytes, configured: prefetch, prefetch: AtomicU16::new(prefetch) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn prefetch(&self) -> u16 {
        self.prefetch.load(Ordering::Acquire)
    }

    /// Observes that a message was returned. Returns whether the caller has to cancel the
    /// subscription now, to subscribe again with another prefetch.
    ///
    /// Settlements are withheld first, until the window of the subscription is full. The broker
    /// then has no message on its way: RabbitMQ loses sight of those of a quorum queue that it
    /// sends while it cancels their consumer, until the channel closes.
    pub(crate) fn observe(&self, window: &SubscriptionWindow, arrived: ArrivedDeliveries) -> bool {
        let prefetch = self.prefetch();
        let held = window.taken.load(Ordering::Acquire).saturating_add(arrived.bytes);
        let mut state = window.lock();
        if state.is_closed || state.is_ending {
            return false;
        }
        if state.change.is_none() {
            state.change = if prefetch > 1 && held > self.bytes {
                Some(PrefetchChange::Shrink)
            } else if self.allows_more(window, prefetch) {
                Some(PrefetchChange::Grow)
            } else {
                return false;
            };
        }
        state.is_ending = state.unsettled.saturating_add(arrived.messages) >= prefetch.into();
        state.is_ending
    }

    /// Returns whether the messages observed allow at least twice the prefetch. Begins another
    /// observation if they do not.
    fn allows_more(&self, window: &SubscriptionWindow, prefetch: u16) -> bool {
        let observed = u64::from(self.configured) * OBSERVED_PER_PREFETCH;
        if prefetch == self.configured || window.messages.load(Ordering::Acquire) < observed {
            return false;
        }
        let allowed = self.prefetch_for(window.largest.load(Ordering::Acquire));
        if allowed >= prefetch.saturating_mul(2).min(self.configured) {
            return true;
        }
        window.messages.store(0, Ordering::Release);
        window.largest.store(0, Ordering::Release);
        false
    }

    /// Chooses the prefetch after a subscription whose messages were all returned.
    pub(crate) fn choose(&self, ended: &SubscriptionWindow) {
        let before = self.prefetch();
        let allowed = self.prefetch_for(ended.largest.load(Ordering::Acquire));
        let chosen = match ended.lock().change {
            Some(PrefetchChange::Shrink) => allowed.min(before - 1).max(1),
            Some(PrefetchChange::Grow) => allowed.max(before),
            None => before,
        };
        self.prefetch.store(chosen, Ordering::Release);
    }

    /// Returns the largest prefetch at which messages of this size stay within the bound.
    fn prefetch_for(&self, largest: u64) -> u16 {
        let messages = self.bytes / largest.max(1);
        u16::try_from(messages).unwrap_or(u16::MAX).clamp(1, self.configured)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PrefetchChange {
    Shrink,
    Grow,
}

/// A settlement that is sent later.
type Settlement = Box<dyn FnOnce() + Send>;

/// The messages of one subscription.
#[derive(Debug, Default)]
pub(crate) struct SubscriptionWindow {
    /// The bytes of the messages that were returned, and that the program still holds.
    taken: AtomicU64,
    /// The size of the largest message observed.
    largest: AtomicU64,
    /// The number of messages observed.
    messages: AtomicU64,
    state: Mutex<WindowSettlements>,
}

#[derive(Default)]
struct WindowSettlements {
    /// The number of messages that were returned, and whose settlement was not sent.
    unsettled: u64,
    /// The change for which settlements are withheld, or for which the subscription was cancelled.
    change: Option<PrefetchChange>,
    /// Whether the run cancels the subscription.
    is_ending: bool,
    /// Whether settlements are sent at once from now on.
    is_closed: bool,
    withheld: Vec<Settlement>,
}

impl SubscriptionWindow {
    fn lock(&self) -> MutexGuard<'_, WindowSettlements> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the bytes of the messages that the program holds.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// Counts a message until the result is dropped.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> HeldMessage {
        self.lock().unsettled += 1;
        self.taken.fetch_add(bytes, Ordering::AcqRel);
        self.largest.fetch_max(bytes, Ordering::AcqRel);
        self.messages.fetch_add(1, Ordering::AcqRel);
        HeldMessage { window: Arc::clone(self), bytes }
    }

    /// Returns whether the run has cancelled the subscription, to subscribe again.
    pub(crate) fn is_ending(&self) -> bool {
        self.lock().is_ending
    }

    /// Returns whether settlements wait for a full window.
    pub(crate) fn is_withholding(&self) -> bool {
        let state = self.lock();
        state.change.is_some() && !state.is_ending && !state.is_closed
    }

    /// Abandons a change for which the window did not become full, because the queue has no more
    /// messages.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        if !state.is_ending && !state.is_closed {
            state.change = None;
            Self::send_withheld(state);
        }
    }

    /// Sends the settlements that wait, and withholds no more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        Self::send_withheld(state);
    }

    fn send_withheld(mut state: MutexGuard<'_, WindowSettlements>) {
        let withheld = std::mem::take(&mut state.withheld);
        state.unsettled = state.unsettled.saturating_sub(withheld.len() as u64);
        drop(state);
        withheld.into_iter().for_each(|settle| settle());
    }
}

impl fmt::Debug for WindowSettlements {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WindowSettlements")
            .field("unsettled", &self.unsettled)
            .field("change", &self.change)
            .field("withheld", &self.withheld.len())
            .finish_non_exhaustive()
    }
}

/// A message that the program holds.
#[derive(Debug)]
pub(crate) struct HeldMessage {
    window: Arc<SubscriptionWindow>,
    bytes: u64,
}

impl HeldMessage {
    /// Withholds the settlement that `create` creates, if settlements wait for a full window.
    /// Returns false if the caller has to send it.
    pub(crate) fn withhold(&self, create: impl FnOnce() -> Settlement) -> bool {
        let mut state = self.window.lock();
        let is_withholding = state.change.is_some() && !state.is_closed;
        if is_withholding {
            state.withheld.push(create());
        } else {
            state.unsettled = state.unsettled.saturating_sub(1);
        }
        is_withholding
    }
}

impl Drop for HeldMessage {
    fn drop(&mut self) {
        self.window.taken.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(held: &Arc<SubscriptionWindow>, sizes: &[u64]) -> Vec<HeldMessage> {
        sizes.iter().map(|bytes| held.take(*bytes)).collect()
    }

    /// Observes a window that is full.
    fn observe(limit: &HeldBytesLimit, window: &SubscriptionWindow, bytes: u64) -> bool {
        limit.observe(window, ArrivedDeliveries::new(limit.prefetch().into(), bytes))
    }

    fn chosen(limit: &HeldBytesLimit, ended: &SubscriptionWindow) -> u16 {
        limit.choose(ended);
        limit.prefetch()
    }

    #[test]
    fn prefetch_shrinks_once_to_what_the_largest_message_allows() {
        let limit = HeldBytesLimit::new(1000, 32);
        let held = Arc::default();
        let taken = take(&held, &[100, 300]);
        assert!(!observe(&limit, &held, 600));
        assert!(observe(&limit, &held, 601));
        assert!(!observe(&limit, &held, 5000));
        assert!(held.is_ending());
        drop(taken);
        assert_eq!(chosen(&limit, &held), 3);
        let next = Arc::default();
        let _taken = take(&next, &[2000]);
        assert!(observe(&limit, &next, 0));
        assert_eq!(chosen(&limit, &next), 1);
        let last = Arc::default();
        let _taken = take(&last, &[2000]);
        assert!(!observe(&limit, &last, 2000));
    }

    #[test]
    fn settlements_wait_for_a_full_window_and_are_sent_after_the_cancel() {
        let sent = Arc::new(AtomicU64::new(0));
        let settle = |message: &HeldMessage| {
            let sent = Arc::clone(&sent);
            let count = move || {
                sent.fetch_add(1, Ordering::Relaxed);
            };
            message.withhold(|| Box::new(count))
        };
        let limit = HeldBytesLimit::new(1000, 4);
        let window = Arc::default();
        let messages = take(&window, &[600, 600, 600]);
        assert!(!settle(&messages[0]));
        assert!(!limit.observe(&window, ArrivedDeliveries::new(1, 600)) && !window.is_ending());
        assert!(window.is_withholding() && settle(&messages[1]));
        let _last = take(&window, &[600]);
        assert!(limit.observe(&window, ArrivedDeliveries::new(1, 600)) && window.is_ending());
        assert!(settle(&messages[2]));
        assert_eq!(sent.load(Ordering::Relaxed), 0);
        window.close();
        assert_eq!(sent.load(Ordering::Relaxed), 2);
        assert!(!window.is_withholding() && !settle(&messages[0]));
    }

    #[test]
    fn window_that_does_not_become_full_is_given_up() {
        let limit = HeldBytesLimit::new(1000, 4);
        let window = Arc::default();
        let messages = take(&window, &[600, 600]);
        assert!(!limit.observe(&window, ArrivedDeliveries::default()));
        assert!(messages[0].withhold(|| Box::new(|| {})));
        window.abandon();
        assert!(!window.is_withholding() && !messages[1].withhold(|| Box::new(|| {})));
        assert_eq!(window.lock().unsettled, 0);
    }

    #[test]
    fn messages_of_an_earlier_subscription_do_not_count() {
        let limit = HeldBytesLimit::new(1000, 10);
        let (first, second) = (Arc::default(), Arc::default());
        let _held = take(&first, &[500, 501]);
        assert!(observe(&limit, &first, 0));
        assert_eq!(chosen(&limit, &first), 1);
        let _held = take(&second, &[501]);
        assert!(!observe(&limit, &second, 0));
    }

    #[test]
    fn prefetch_grows_after_enough_small_messages_and_not_beyond_the_configured_one() {
        let limit = HeldBytesLimit::new(1000, 10);
        let large = Arc::default();
        let held = take(&large, &[500, 501]);
        assert!(observe(&limit, &large, 0));
        drop(held);
        assert_eq!(chosen(&limit, &large), 1);
        let small = Arc::default();
        for _ in 0..99 {
            drop(take(&small, &[10]));
            assert!(!observe(&limit, &small, 0));
        }
        drop(take(&small, &[10]));
        assert!(observe(&limit, &small, 0));
        assert_eq!(chosen(&limit, &small), 10);
        let after = Arc::default();
        for _ in 0..300 {
            drop(take(&after, &[10]));
            assert!(!observe(&limit, &after, 0));
        }
    }

    #[test]
    fn one_large_message_among_small_ones_keeps_the_prefetch_for_one_observation() {
        let limit = HeldBytesLimit::new(1000, 10);
        let large = Arc::default();
        drop((take(&large, &[501, 501]), assert!(observe(&limit, &large, 2000))));
        assert_eq!(chosen(&limit, &large), 1);
        let mixed = Arc::default();
        drop(take(&mixed, &[501]));
        for _ in 0..99 {
            drop(take(&mixed, &[10]));
            assert!(!observe(&limit, &mixed, 0));
        }
        for _ in 0..99 {
            drop(take(&mixed, &[10]));
            assert!(!observe(&limit, &mixed, 0));
        }
        drop(take(&mixed, &[10]));
        assert!(observe(&limit, &mixed, 0));
    }
}
