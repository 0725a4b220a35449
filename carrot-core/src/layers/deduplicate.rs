use std::fmt;
use std::time::Duration;

use crate::consumer::handled::Handled;
use crate::consumer::handler_error::HandlerError;
use crate::consumer::layer::{HandleLayer, Next};
use crate::consumer::message::Message;
use crate::consumer::settlement::Settlement;
use crate::layers::id_store::{Claim, IdStore};
use crate::layers::quoted::Quoted;
use crate::panic_guard::guard;

/// The maximum length of a message id in AMQP, in bytes.
const LONGEST_ID: usize = 255;
/// The most doublings of the pause.
const MOST_DOUBLINGS: u32 = 17;

/// Acknowledges a message without a call of the handler if a message of this queue with the same
/// message id was handled before.
///
/// A message id is remembered once its handler has acknowledged the message. A message that
/// failed, or that its handler rejected, requeued or parked, is no duplicate: its next attempt is
/// handled.
///
/// Messages without a message id, and those whose id is empty, pass unchanged. Carrot's publishers
/// set a random id for each message, which resending after a lost connection keeps. To recognize a
/// message that the program itself sends twice, set the id with
/// [`message_id`](crate::MessageBuilder::message_id), for example to the number of the order.
///
/// # A message in progress
///
/// A second delivery while another worker handles the first is neither handled nor acknowledged,
/// because the first may still fail. The second is postponed as by [`Settlement::RetryAfter`]. Each
/// postponement counts as an attempt. With the default of five attempts, a second delivery is
/// postponed for 1, 2, 4 and 8 s and then parked, and never lost. For handlers that take longer,
/// raise [`postpone_by`](Deduplicate::postpone_by) or the attempts of
/// [`Retry`](crate::Retry::attempts).
///
/// With automatic acknowledgement, a failed or postponed message is lost. With
/// [`requeue_failed`](crate::ConsumerDefinition::requeue_failed), a postponed message is requeued
/// at once, and counts towards the delivery limit of its queue. Use neither with this layer.
///
/// With [`discard_failed`](crate::ConsumerDefinition::discard_failed), a message that is postponed at
/// its last attempt is rejected. A message that was redelivered after a lost connection is then
/// lost, if the handler of its first delivery fails later.
///
/// # Guarantees
///
/// Delivery stays at least once. A message is handled twice if the process ends, or the store
/// fails, after the handler took effect and before the id was remembered. Only a store that shares
/// the transaction of the program closes this gap: the handler writes the id in the transaction of
/// its effect, [`begin`](IdStore::begin) looks the id up, and [`finish`](IdStore::finish) does
/// nothing.
///
/// A queue whose name the broker generates has another name after a reconnect, and duplicates from
/// before are not recognized.
///
/// ```
/// use carrot::Message;
/// use carrot::layers::{Deduplicate, MemoryIds};
///
/// let connection = carrot::connect("memory://")?;
/// let layer = Deduplicate::new(MemoryIds::new());
/// let mut consumer = connection.consumer("orders").layer(layer).build()?;
///
/// let publisher = connection.publisher().routing_key("orders").build()?;
/// publisher.message().message_id("order-17").send("an order")?;
/// publisher.message().message_id("order-17").send("an order")?; // the program sends it again
///
/// consumer.register_callback(|order: String, _: &Message| println!("handling {order}")); // once
/// let report = consumer.handle_next(2)?;
/// assert_eq!(report.acknowledged, 2);
/// # Ok::<(), carrot::Error>(())
/// ```
pub struct Deduplicate {
    store: Box<dyn IdStore>,
    pause: Duration,
}

impl Deduplicate {
    /// Creates a layer that remembers message ids in `store`.
    pub fn new(store: impl IdStore) -> Deduplicate {
        Deduplicate { store: Box::new(store), pause: Duration::from_secs(1) }
    }

    /// Sets the first pause of a message that another worker handles. The pause doubles with each
    /// attempt, and is rounded up to a power of two of seconds.
    ///
    /// Defaults to 1 s.
    #[must_use = "it returns the changed layer"]
    pub fn postpone_by(mut self, pause: Duration) -> Deduplicate {
        self.pause = pause;
        self
    }

    /// Handles a message whose id is claimed.
    fn handle_claimed(&self, id: &str, message: &Message, next: Next<'_>) -> Handled {
        let handled = next.run(message);
        if !handled.is_ack() {
            self.release(message.queue(), id);
            return handled;
        }
        match guarded(|| self.store.finish(message.queue(), id)) {
            Ok(()) => handled,
            Err(error) => {
                self.release(message.queue(), id);
                Handled::failed(error)
            }
        }
    }

    fn release(&self, queue: &str, id: &str) {
        if let Err(error) = guarded(|| self.store.release(queue, id)) {
            log::warn!(
                "releasing a message id failed: {} queue={} message_id={}",
                Handled::failed(error).failure().unwrap_or_default(),
                Quoted(queue),
                Quoted(id)
            );
        }
    }

    fn pause(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(MOST_DOUBLINGS);
        self.pause.saturating_mul(1 << doublings)
    }
}

impl HandleLayer for Deduplicate {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        let is_usable = |id: &&str| !id.is_empty() && id.len() <= LONGEST_ID;
        let Some(id) = message.id().filter(is_usable) else { return next.run(message) };
        match guarded(|| self.store.begin(message.queue(), id)) {
            Ok(Claim::New) => self.handle_claimed(id, message, next),
            Ok(Claim::InProgress) => {
                Handled::settled(Settlement::RetryAfter(self.pause(message.attempt())))
            }
            Ok(Claim::Done) => {
                log::debug!(
                    "acknowledging a message that was handled before queue={} message_id={}",
                    Quoted(message.queue()),
                    Quoted(id)
                );
                Handled::settled(Settlement::Ack)
            }
            Err(error) => Handled::failed(error),
        }
    }
}

/// Calls the store, whose panic counts as an error.
fn guarded<T>(call: impl FnOnce() -> Result<T, HandlerError>) -> Result<T, HandlerError> {
    guard(call).unwrap_or_else(|panic| {
        Err(HandlerError::new(format!("the store of message ids failed: {panic}")))
    })
}

impl fmt::Debug for Deduplicate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Deduplicate").field("pause", &self.pause).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::memory_ids::MemoryIds;

    #[test]
    fn pause_of_each_attempt_doubles_without_overflow() {
        let layer = Deduplicate::new(MemoryIds::new()).postpone_by(Duration::from_secs(3));
        let seconds: Vec<u64> = [0, 1, 2, 5].map(|attempt| layer.pause(attempt).as_secs()).into();
        assert_eq!(seconds, [3, 3, 6, 48]);
        assert_eq!(layer.pause(u32::MAX), layer.pause(18));
        assert_eq!(layer.postpone_by(Duration::MAX).pause(9), Duration::MAX);
    }
}
