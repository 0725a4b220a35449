use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use carrot_core::Result;
use carrot_listener::{lock, wait, wait_until};

use crate::connection::linked_channel::BrokerAnswer;

/// A command that waits for its answer.
#[derive(Debug, Default)]
pub(crate) struct BrokerCall {
    answer: Mutex<Option<Result<BrokerAnswer>>>,
    answered: Condvar,
}

impl BrokerCall {
    /// Waits for the answer. Returns `None` if `timeout` passed first.
    ///
    /// # Errors
    /// The error of the connection, if it was lost.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Result<BrokerAnswer>> {
        let deadline = Instant::now().checked_add(timeout);
        let mut answer = lock(&self.answer);
        loop {
            if let Some(answer) = answer.take() {
                return Some(answer);
            }
            let mut passed = false;
            match deadline {
                Some(deadline) => (answer, passed) = wait_until(&self.answered, answer, deadline),
                None => answer = wait(&self.answered, answer),
            }
            if passed {
                return None;
            }
        }
    }

    pub(crate) fn answer(&self, answer: Result<BrokerAnswer>) {
        *lock(&self.answer) = Some(answer);
        self.answered.notify_all();
    }
}
