//! The barrier: a request whose answer follows all earlier deliveries of the broker.
//!
//! The broker queues the deliveries to a connection, and a thread of its own writes them. It
//! answers commands past that queue. A barrier is a pull of a consumer that never has a message.
//! The broker delivers its answer as it delivers messages, and so after all that it has queued
//! before.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use carrot_core::Error;
use carrot_link::LinkCall;
use carrot_listener::lock;

/// The consumer of the barrier.
pub(crate) const BARRIER: i64 = -2;

/// The barriers that are not passed, in the order of their pulls.
#[derive(Debug, Default)]
pub(crate) struct DispatchBarrier(Mutex<VecDeque<Arc<LinkCall<()>>>>);

impl DispatchBarrier {
    /// Adds a barrier. `pull` sends its pull, and does not wait: the broker answers in the order of
    /// the pulls.
    pub(crate) fn start(&self, pull: impl FnOnce()) -> Arc<LinkCall<()>> {
        let barrier = Arc::new(LinkCall::default());
        let mut open = lock(&self.0);
        open.push_back(Arc::clone(&barrier));
        pull();
        barrier
    }

    /// Notes that the oldest pull is answered.
    pub(crate) fn passed(&self) {
        let oldest = lock(&self.0).pop_front();
        if let Some(oldest) = oldest {
            oldest.answer(Ok(()));
        }
    }

    /// Ends all barriers with the error of the connection.
    pub(crate) fn end(&self, error: &Error) {
        let open = std::mem::take(&mut *lock(&self.0));
        for barrier in open {
            barrier.answer(Err(error.clone()));
        }
    }
}
