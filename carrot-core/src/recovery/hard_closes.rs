//! Finds the call that makes the broker close the connection, among the calls that were in flight.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::error::HardClose;
use crate::error::{Error, Result};

/// The hard closes that one call, or the declarations of one renewal of a run, were in flight on.
#[derive(Debug)]
pub(crate) struct HardCloses {
    count: u32,
    /// The number of hard closes without a method name that prove the cause.
    unnamed: u32,
}

impl Default for HardCloses {
    fn default() -> HardCloses {
        HardCloses { count: 0, unnamed: LIMIT_ALONE }
    }
}

/// The number of hard closes that prove the cause if the operation was the only suspect of the last
/// one.
const LIMIT_ALONE: u32 = 2;
/// The number of hard closes that prove the cause in any case.
const LIMIT_AMONG_OTHERS: u32 = 3;
/// The number of hard closes without a method name that prove the declarations of a run to be the
/// cause. A broker whose node fails closes connections without a method name, too.
const RUN_LIMIT: u32 = 5;

impl HardCloses {
    /// Creates a counter for the declarations of a run, which has to survive the failure of a node.
    pub(crate) fn of_a_run() -> HardCloses {
        HardCloses { unnamed: RUN_LIMIT, ..HardCloses::default() }
    }

    /// Records the failure of an attempt. Returns the error to fail with, if the call is the cause.
    pub(crate) fn note(&mut self, error: &Error) -> Option<Error> {
        // Other losses are no evidence against the call.
        let close = error.hard_close()?;
        // Nor is a close without a method name while messages were in flight, because one of them
        // is more likely the cause.
        if !close.names_method() && close.messages > 0 {
            return None;
        }
        self.count += 1;
        let enough = if close.names_method() { true } else { self.count >= self.unnamed };
        (enough && is_the_cause(self.count, close.calls <= 1 && close.messages == 0))
            .then(|| hard_error(close))
    }
}

/// Returns whether an operation that was in flight on `count` hard closes caused them. `alone`: it
/// was the only suspect of the last one.
pub(crate) fn is_the_cause(count: u32, alone: bool) -> bool {
    count >= LIMIT_AMONG_OTHERS || (count >= LIMIT_ALONE && alone)
}

/// Returns the error of the operation that caused a hard close.
pub(crate) fn hard_error(close: &HardClose) -> Error {
    Error::HardError { code: close.code, reason: close.text.clone() }
}

/// The source of the error of a set-up that lost its channel over a message. That message has
/// failed, so the next attempt may succeed.
#[derive(Debug)]
struct CauseRemoved;

impl fmt::Display for CauseRemoved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the message that was the cause has failed")
    }
}

impl StdError for CauseRemoved {}

/// Returns the failure of a set-up that lost its channel over a message which has failed since.
pub(crate) fn cause_removed<T>() -> Result<T> {
    let reason = "the broker refused a message".to_string();
    Err(Error::Disconnected { reason, source: Some(Arc::new(CauseRemoved)) })
}

/// Returns whether this is the failure of [`cause_removed`].
pub(crate) fn is_cause_removed(error: &Error) -> bool {
    matches!(error, Error::Disconnected { source: Some(source), .. } if source.is::<CauseRemoved>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(class_id: u16, calls: usize) -> Error {
        let close = HardClose::new(541, "INTERNAL_ERROR", class_id, 40).with_suspects(0, calls);
        Error::Disconnected { reason: "lost".into(), source: Some(Arc::new(close)) }
    }

    fn names_the_cause(losses: &mut HardCloses, error: &Error) -> bool {
        match losses.note(error) {
            Some(Error::HardError { code, reason }) => code == 541 && reason == "INTERNAL_ERROR",
            Some(other) => panic!("{other:?}"),
            None => false,
        }
    }

    #[test]
    fn the_second_hard_close_proves_the_only_suspect_to_be_the_cause() {
        for first in [lost(0, 1), lost(60, 9)] {
            let mut losses = HardCloses::default();
            assert!(!names_the_cause(&mut losses, &first));
            assert!(!names_the_cause(&mut losses, &Error::disconnected("in between")));
            assert!(names_the_cause(&mut losses, &lost(0, 1)));
        }
    }

    #[test]
    fn hard_closes_with_messages_in_flight_prove_no_call_to_be_the_cause() {
        let close = HardClose::new(541, "INTERNAL_ERROR", 0, 0).with_suspects(3, 1);
        let lost = Error::Disconnected { reason: "lost".into(), source: Some(Arc::new(close)) };
        let mut losses = HardCloses::default();
        assert!((0..10).all(|_| !names_the_cause(&mut losses, &lost)));
    }

    #[test]
    fn the_third_hard_close_proves_one_of_several_suspects_to_be_the_cause() {
        let mut losses = HardCloses::default();
        assert_eq!(
            [9, 9, 9].map(|calls| names_the_cause(&mut losses, &lost(60, calls))),
            [false, false, true]
        );
    }

    #[test]
    fn a_run_survives_four_hard_closes_that_name_no_method() {
        let mut losses = HardCloses::of_a_run();
        assert_eq!(
            [1; 5].map(|calls| names_the_cause(&mut losses, &lost(0, calls))),
            [false, false, false, false, true]
        );
        let mut losses = HardCloses::of_a_run();
        assert_eq!(
            [1; 2].map(|calls| names_the_cause(&mut losses, &lost(40, calls))),
            [false, true]
        );
    }
}
