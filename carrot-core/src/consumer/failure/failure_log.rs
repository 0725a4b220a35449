//! The log lines about failed messages.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::consumer::failure::failed::Failure;
use crate::consumer::message::Message;
use crate::error::Error;
use crate::escaping::Printable;
use crate::model::Queue;
use crate::panic_guard::describe;

/// The minimum time between two lines about failures to copy.
const COPY_FAILURE_INTERVAL: Duration = Duration::from_secs(60);
/// The maximum length of the reason why a message could not be read, in bytes.
const LONGEST_REASON: usize = 1000;

/// Logs the failures of one consumer.
#[derive(Debug)]
pub(super) struct FailureLog {
    /// The number of attempts that a message has.
    attempts: u32,
    copy_failures: Mutex<CopyFailures>,
}

#[derive(Debug, Default)]
struct CopyFailures {
    last_line: Option<Instant>,
    held_back: u64,
}

impl FailureLog {
    pub(super) fn new(attempts: u32) -> FailureLog {
        FailureLog { attempts, copy_failures: Mutex::default() }
    }

    /// Logs a failed attempt, and the treatment of its message.
    pub(super) fn failure(
        &self,
        message: &Message,
        failure: &Failure,
        treatment: impl fmt::Display,
    ) {
        let (level, what) = match failure {
            Failure { chosen: true, .. } => (log::Level::Info, "handler postponed a message"),
            Failure { undecodable: true, .. } => (log::Level::Warn, "decoding a message failed"),
            _ => (log::Level::Warn, "handling a message failed"),
        };
        log::log!(
            level,
            "{what}: {} queue={:?} message_id={:?} attempt={} of={} then={:?}",
            failure.reason,
            message.queue(),
            message.id().unwrap_or_default(),
            message.attempt(),
            self.attempts,
            treatment.to_string(),
        );
    }

    /// Logs that a message is rejected because a part of it could not be read: at error level if
    /// the consumer parks failed messages.
    pub(super) fn rejection(
        &self,
        message: &Message,
        failure: &Failure,
        unreadable: &str,
        parks: bool,
    ) {
        let content = message.content();
        log::log!(
            if parks { log::Level::Error } else { log::Level::Warn },
            "reading a message failed, it is rejected because no copy can be sent: {} queue={:?} \
             exchange={:?} routing_key={:?} body_bytes={} failure={:?}",
            Printable::new(LONGEST_REASON, unreadable),
            message.queue(),
            content.exchange,
            content.routing_key,
            content.body.len(),
            failure.reason,
        );
    }

    /// Logs that a message could not be copied to `target`, at most once a minute. `paused` is the
    /// number of other messages that pause in the process.
    pub(super) fn copy_failure(
        &self,
        message: &Message,
        pause: Duration,
        target: &Queue,
        error: &Error,
        paused: usize,
    ) {
        let held_back = {
            let mut failures = self.copy_failures.lock().unwrap_or_else(PoisonError::into_inner);
            if failures.last_line.is_some_and(|last| last.elapsed() < COPY_FAILURE_INTERVAL) {
                failures.held_back += 1;
                return;
            }
            failures.last_line = Some(Instant::now());
            std::mem::take(&mut failures.held_back)
        };
        log::error!(
            "sending a failed message to queue {:?} failed, it is requeued after {pause:?}: {} \
             queue={:?} in_process={} lines_held_back={held_back}",
            target.name,
            describe(error),
            message.queue(),
            paused + 1,
        );
    }
}
