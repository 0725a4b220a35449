use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::consumer::batches::limits::BatchLimits;
use crate::consumer::message::Message;
use crate::consumer::run::{CachedSubscription, ConsumerRun};
use crate::error::Result;

/// Collects the messages of a batch. Returns none if none arrived within `timeout`, or if the
/// consumer was stopped.
///
/// # Errors
/// The error that ended the run. Messages that were collected before are returned first.
pub(super) fn collect(
    run: &ConsumerRun,
    cached: &mut CachedSubscription,
    limits: BatchLimits,
    timeout: Duration,
) -> Result<Vec<Message>> {
    loop {
        let Some(first) = run.next(cached, timeout)? else {
            if run.is_stopped() || timeout < crate::deadline::FOREVER {
                return Ok(Vec::new());
            }
            continue;
        };
        let mut messages = vec![first];
        fill(&mut messages, run, cached, limits);
        // The broker delivers them again.
        messages.retain(|message| !message.is_lost());
        if !messages.is_empty() {
            return Ok(messages);
        }
    }
}

/// Adds messages until the batch is complete.
fn fill(
    messages: &mut Vec<Message>,
    run: &ConsumerRun,
    cached: &mut CachedSubscription,
    limits: BatchLimits,
) {
    let clock = run.policy().clock();
    let due = clock.now().saturating_add(limits.wait);
    let version = run.version();
    let most_bytes = run.max_held_bytes().unwrap_or(u64::MAX);
    let mut bytes = messages.iter().map(size).sum::<u64>();
    // With a bound in bytes, the prefetch may be lower than the size of a batch.
    while messages.len() < usize::from(limits.messages.min(run.prefetch())) && bytes < most_bytes {
        let left = due.saturating_sub(clock.now());
        match run.next(cached, clock.longest_wait(left)) {
            Ok(Some(message)) => {
                bytes += size(&message);
                messages.push(message);
            }
            // The next call returns the error.
            Err(_) => return,
            Ok(None) if left.is_zero() || run.is_stopped() => return,
            // The clock was not advanced far enough.
            Ok(None) => {}
        }
        // Messages of a lost subscription and of the next one are never in one batch.
        if version != run.version() && messages.iter().any(Message::is_lost) {
            messages.retain(|message| !message.is_lost());
            bytes = messages.iter().map(size).sum();
            if messages.is_empty() {
                return;
            }
        }
    }
}

fn size(message: &Message) -> u64 {
    message.body().len() as u64
}

/// The right to collect, which one thread of a run has at a time: batches are then full.
#[derive(Debug, Default)]
pub(super) struct CollectTurns {
    taken: Mutex<bool>,
    free: Condvar,
}

/// The turn of a thread, until its drop.
#[derive(Debug)]
pub(super) struct CollectTurn<'a>(&'a CollectTurns);

impl CollectTurns {
    /// Blocks until no other thread collects.
    pub(super) fn take(&self) -> CollectTurn<'_> {
        let mut taken = self.lock();
        while *taken {
            taken = self.free.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken = true;
        CollectTurn(self)
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CollectTurn<'_> {
    fn drop(&mut self) {
        *self.0.lock() = false;
        self.0.free.notify_one();
    }
}
