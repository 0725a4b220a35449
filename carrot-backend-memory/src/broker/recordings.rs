//! Keeps what is published to recorded exchanges.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use carrot_core::backend::Content;

use crate::sync::lock;

/// The recordings that are running.
#[derive(Debug, Default)]
pub(crate) struct Recordings {
    count: AtomicUsize,
    running: Mutex<Vec<Weak<RecordedMessages>>>,
}

/// The messages of one recording.
#[derive(Debug)]
pub(crate) struct RecordedMessages {
    pub(crate) exchange: String,
    pub(crate) messages: Mutex<Vec<Arc<Content>>>,
}

impl Recordings {
    /// Starts a recording of one exchange.
    pub(crate) fn start(&self, exchange: &str) -> Arc<RecordedMessages> {
        let recorded = Arc::new(RecordedMessages {
            exchange: exchange.to_string(),
            messages: Mutex::default(),
        });
        lock(&self.running).push(Arc::downgrade(&recorded));
        self.count.fetch_add(1, Ordering::SeqCst);
        recorded
    }

    pub(crate) fn stop(&self, recorded: &Arc<RecordedMessages>) {
        lock(&self.running).retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(recorded)));
        self.count.fetch_sub(1, Ordering::SeqCst);
    }

    /// Adds a message to the recordings of its exchange.
    pub(crate) fn record(&self, content: &Arc<Content>) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let running = lock(&self.running);
        for recorded in running
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|recorded| *recorded.exchange == *content.exchange)
        {
            lock(&recorded.messages).push(Arc::clone(content));
        }
    }
}
