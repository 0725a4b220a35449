//! Records the publications to an exchange.

use std::fmt;
use std::sync::Arc;

use carrot_core::backend::Content;

use crate::broker::recordings::RecordedMessages;
use crate::broker::{Broker, BrokerShared};
use crate::sync::lock;

/// Records the publications to one exchange, from [`Broker::record`] until it is dropped.
///
/// Keeps every message, routed or not, as it was published. Messages from other exchanges, dead
/// letters and refused messages are not recorded.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use carrot::memory::Broker;
/// use carrot::backend::{ChannelOptions, Connector, Content, Publication};
///
/// let broker = Broker::new();
/// let published = broker.record("amq.fanout");
/// let channel = broker.connector().open(&ChannelOptions::publish(), Duration::from_secs(1))?;
/// let content = Arc::new(Content::new("amq.fanout", "", "news"));
/// let publication = Publication::new(&content);
/// channel.publish(&publication, Duration::from_secs(1))?;
/// assert_eq!(published.messages()[0].body, b"news");
/// # Ok::<(), carrot::Error>(())
/// ```
#[must_use = "it records until it is dropped"]
pub struct Recording {
    shared: Arc<BrokerShared>,
    recorded: Arc<RecordedMessages>,
}

impl Broker {
    /// Records the publications to an exchange, which need not exist yet.
    ///
    /// The empty name stands for the default exchange.
    pub fn record(&self, exchange: &str) -> Recording {
        Recording {
            recorded: self.shared.recordings.start(exchange),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Recording {
    /// Returns the name of the exchange.
    pub fn exchange(&self) -> &str {
        &self.recorded.exchange
    }

    /// Returns the messages so far, oldest first.
    pub fn messages(&self) -> Vec<Arc<Content>> {
        lock(&self.recorded.messages).clone()
    }

    /// Returns the messages so far, and removes them from the recording.
    pub fn take(&self) -> Vec<Arc<Content>> {
        std::mem::take(&mut *lock(&self.recorded.messages))
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = lock(&self.recorded.messages).len();
        formatter
            .debug_struct("Recording")
            .field("exchange", &self.recorded.exchange)
            .field("messages", &count)
            .finish()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.shared.recordings.stop(&self.recorded);
    }
}
