use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot::backend::{ArrivedDeliveries, Delivery, Subscription};
use carrot::{Error, Result};

use crate::channel::Handle;

/// The longest wait. `Instant::now() + Duration::MAX` would panic.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[derive(Debug)]
pub(crate) struct ShelfSubscription {
    channel: Arc<Handle>,
    queue: String,
    id: u64,
}

impl ShelfSubscription {
    pub(crate) fn new(channel: &Arc<Handle>, queue: &str, id: u64) -> ShelfSubscription {
        ShelfSubscription { channel: Arc::clone(channel), queue: queue.to_string(), id }
    }
}

impl Subscription for ShelfSubscription {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        let deadline = Instant::now() + timeout.min(LONGEST);
        let Handle { shelf, id } = &*self.channel;
        let mut state = shelf.lock();
        loop {
            state.channel(*id)?;
            if let Some(delivery) = state.receive(self.id) {
                return Ok(Some(delivery));
            }
            if state.consumers.get(&self.id).is_none_or(|consumer| consumer.cancelled) {
                return Err(Error::Cancelled {
                    queue: self.queue.clone(),
                    reason: "by the program, or because the queue was deleted".into(),
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            state = shelf.wait(state, left);
        }
    }

    fn arrived(&self) -> ArrivedDeliveries {
        self.channel.shelf.lock().arrived(self.id)
    }

    fn cancel(&self, _timeout: Duration) -> Result<()> {
        let mut state = self.channel.shelf.change();
        state.channel(self.channel.id)?;
        if let Some(consumer) = state.consumers.get_mut(&self.id) {
            consumer.cancelled = true;
        }
        Ok(())
    }
}

impl Drop for ShelfSubscription {
    fn drop(&mut self) {
        self.channel.shelf.change().drop_consumer(self.id);
    }
}
