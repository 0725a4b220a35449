//! What was published to an exchange, kept for a test to look at.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use carrot_core::backend::Content;

use crate::broker::{Broker, Core};
use crate::sync::lock;

/// Keeps what is published to one exchange from [`Broker::record`] until it is dropped.
///
/// It holds every message, routed or not, as its publisher sent it. What comes by way of other exchanges or as a dead letter is not
/// among them, nor what was refused.
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
/// channel.publish(&Publication { content: &Arc::new(Content::new("amq.fanout", "", "news")), mandatory: false }, Duration::from_secs(1))?;
/// assert_eq!(published.messages()[0].body, b"news");
/// # Ok::<(), carrot::Error>(())
/// ```
#[must_use = "it records until it is dropped"]
pub struct Recording {
    core: Arc<Core>,
    tape: Arc<Tape>,
}

/// The recordings that run.
#[derive(Debug, Default)]
pub(crate) struct Recordings {
    count: AtomicUsize,
    tapes: Mutex<Vec<Weak<Tape>>>,
}

#[derive(Debug)]
struct Tape {
    exchange: String,
    messages: Mutex<Vec<Arc<Content>>>,
}

impl Broker {
    /// Keeps what is published to an exchange from now on; it need not exist yet. The empty name is the default exchange.
    pub fn record(&self, exchange: &str) -> Recording {
        let recordings = &self.core.recordings;
        let tape = Arc::new(Tape { exchange: exchange.to_string(), messages: Mutex::default() });
        lock(&recordings.tapes).push(Arc::downgrade(&tape));
        recordings.count.fetch_add(1, Ordering::SeqCst);
        Recording { core: Arc::clone(&self.core), tape }
    }
}

impl Recording {
    /// The exchange.
    pub fn exchange(&self) -> &str {
        &self.tape.exchange
    }

    /// What was published so far, the first one first.
    pub fn messages(&self) -> Vec<Arc<Content>> {
        lock(&self.tape.messages).clone()
    }

    /// Takes what was published so far; the recording goes on.
    pub fn take(&self) -> Vec<Arc<Content>> {
        std::mem::take(&mut *lock(&self.tape.messages))
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = lock(&self.tape.messages).len();
        formatter
            .debug_struct("Recording")
            .field("exchange", &self.tape.exchange)
            .field("messages", &count)
            .finish()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let recordings = &self.core.recordings;
        lock(&recordings.tapes)
            .retain(|tape| !std::ptr::eq(tape.as_ptr(), Arc::as_ptr(&self.tape)));
        recordings.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Core {
    /// Takes note of a message for whoever records its exchange.
    pub(crate) fn record(&self, content: &Arc<Content>) {
        if self.recordings.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let tapes = lock(&self.recordings.tapes);
        for tape in tapes
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|tape| *tape.exchange == *content.exchange)
        {
            lock(&tape.messages).push(Arc::clone(content));
        }
    }
}
