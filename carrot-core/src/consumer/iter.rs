use std::fmt;
use std::time::Duration;

use crate::consumer::run::{CachedSubscription, ConsumerRun};
use crate::consumer::shared::ConsumerShared;
use crate::deadline::FOREVER;

use crate::consumer::message::Message;
use crate::error::Result;

/// Every message of a consumer as it comes; made by
/// [`Consumer::messages`](crate::Consumer::messages).
///
/// The iterator blocks until the next message. It ends when the consumer is stopped, or when
/// nothing came for the [`timeout`](Messages::timeout) if one is set; after an error it ends too.
/// Dropping it gives back what had arrived and was not taken, without waiting for the broker;
/// messages that were taken can still be settled.
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

    /// Ends the iterator once no message came for so long. Zero takes what has arrived already.
    /// Defaults to waiting for ever.
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

/// What is in a queue now; made by [`Consumer::fetch_all`](crate::Consumer::fetch_all). It ends
/// when the queue is empty, or after an error.
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
