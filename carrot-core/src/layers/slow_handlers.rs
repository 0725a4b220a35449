use std::time::{Duration, Instant};

use crate::consumer::handled::Handled;
use crate::consumer::layer::{HandleLayer, Next};
use crate::consumer::message::Message;
use crate::error::{Error, Result};
use crate::layers::quoted::Quoted;

/// Logs a warning for each handling that takes longer than a duration.
///
/// The line names the queue, the message id, the attempt and the time. The time covers the layers
/// inside this one, decoding and the handler. The line is logged when the handling ends, so a
/// handler that never returns is not reported.
///
/// ```
/// use std::time::Duration;
/// use carrot::layers::SlowHandlers;
///
/// let connection = carrot::connect("memory://")?
///     .with_handle_layer(SlowHandlers::new(Duration::from_secs(5))?);
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug)]
pub struct SlowHandlers {
    limit: Duration,
}

impl SlowHandlers {
    /// Creates a layer that warns of each handling that takes longer than `limit`, more than zero.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the limit is zero.
    pub fn new(limit: Duration) -> Result<SlowHandlers> {
        if limit.is_zero() {
            return Err(Error::invalid("limit of slow handlers", "0", "more than zero"));
        }
        Ok(SlowHandlers { limit })
    }
}

impl HandleLayer for SlowHandlers {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        let start = Instant::now();
        let handled = next.run(message);
        let time = start.elapsed();
        if time > self.limit {
            log::warn!(
                "handling a message took {time:?}, longer than {:?} queue={} message_id={} \
                 attempt={}",
                self.limit,
                Quoted(message.queue()),
                Quoted(message.id().unwrap_or_default()),
                message.attempt()
            );
        }
        handled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_of_zero_is_refused() {
        let refused = SlowHandlers::new(Duration::ZERO);
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
}
