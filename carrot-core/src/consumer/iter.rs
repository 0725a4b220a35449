use std::fmt;
use std::time::Duration;

use crate::consumer::run::{CachedSubscription, ConsumerRun};
use crate::consumer::shared::ConsumerShared;
use crate::deadline::FOREVER;

use crate::consumer::message::Message;
use crate::error::Result;

/// Iterates over every message of a consumer. Created by
/// [`Consumer::messages`](crate::Consumer::messages).
///
/// `next` blocks until a message arrives. The iterator ends when the consumer is stopped, when its
/// [`timeout`](Messages::timeout) passes without a message, or after an error.
///
/// Dropping the iterator requeues the prefetched messages, without waiting for the broker. Messages
/// already returned can still be settled.
#[must_use = "an iterator does nothing until it is asked"]
pub struct Messages {
    run: ConsumerRun,
    cached: CachedSubscription,
    timeout: Option<Duration>,
    ended: bool,
}

impl Messages {
    pub(crate) fn new(run: ConsumerRun) -> Messages {
        Messages { run, cached: CachedSubscription::default(), timeout: None, ended: false }
    }

    /// Ends the iterator when no message arrives for this long. Zero only returns messages that
    /// have arrived already.
    ///
    /// Defaults to waiting forever.
    pub fn timeout(mut self, timeout: Duration) -> Messages {
        self.timeout = Some(timeout);
        self
    }
}

impl Iterator for Messages {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Result<Message>> {
        while !self.ended {
            match self.run.next(&mut self.cached, self.timeout.unwrap_or(FOREVER).min(FOREVER)) {
                Ok(Some(message)) => return Some(Ok(message)),
                Ok(None) => self.ended = self.timeout.is_some() || self.run.is_stopped(),
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl std::iter::FusedIterator for Messages {}

impl fmt::Debug for Messages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Messages")
            .field("queue", &self.run.queue())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Iterates over the messages now in a queue. Created by
/// [`Consumer::fetch_all`](crate::Consumer::fetch_all). Ends when the queue is empty, or after an
/// error.
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is asked"]
pub struct FetchAll<'a> {
    consumer: Option<&'a ConsumerShared>,
}

impl<'a> FetchAll<'a> {
    pub(crate) fn new(consumer: &'a ConsumerShared) -> FetchAll<'a> {
        FetchAll { consumer: Some(consumer) }
    }
}

impl Iterator for FetchAll<'_> {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Result<Message>> {
        let fetched = self.consumer?.fetch().transpose();
        if !matches!(fetched, Some(Ok(_))) {
            self.consumer = None;
        }
        fetched
    }
}

impl std::iter::FusedIterator for FetchAll<'_> {}
