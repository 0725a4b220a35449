use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use carrot_core::Result;
use carrot_listener::{lock, wait, wait_until};

/// A call that waits for its answer.
#[derive(Debug)]
pub struct LinkCall<T> {
    answer: Mutex<Option<Result<T>>>,
    answered: Condvar,
}

impl<T> Default for LinkCall<T> {
    fn default() -> LinkCall<T> {
        LinkCall { answer: Mutex::new(None), answered: Condvar::new() }
    }
}

impl<T> LinkCall<T> {
    /// Waits for the answer. Returns `None` if `timeout` passed first.
    ///
    /// # Errors
    /// The error that the call was answered with.
    pub fn wait(&self, timeout: Duration) -> Option<Result<T>> {
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

    /// Wakes the thread that waits.
    pub fn answer(&self, answer: Result<T>) {
        *lock(&self.answer) = Some(answer);
        self.answered.notify_all();
    }
}
