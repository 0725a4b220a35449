use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::given::Given;
use crate::config::seconds;
use crate::consumer::failure::retry_queues;
use crate::error::{Error, Result};

/// The number of attempts at a failed message, and the pauses between them.
///
/// Set by [`ConsumerDefinition::retry`](crate::ConsumerDefinition::retry). Pauses are rounded up to
/// a power of two of seconds, from 1 s to 131,072 s (36.4 h). Each length is a queue of its own at
/// the broker. A broker that delays messages by itself, as ActiveMQ does with its scheduler, has no
/// such queues, and pauses are not rounded there.
///
/// ```
/// use std::time::Duration;
/// use carrot::consume::Retry;
///
/// // Eight attempts, after pauses of 1, 2, 4, 8, 16, 32 and 64 s.
/// let retry = Retry::exponential(Duration::from_secs(1), Duration::from_secs(600))
///     .without_jitter()
///     .attempts(8);
/// # let _ = retry;
/// ```
///
/// Serialized as a table with the fields `first` and `longest`, in seconds, `attempts` and
/// `jitter`. A missing field has the value of [`Retry::default`]. Unknown fields and values out of
/// their limits are refused. Deserializing needs a self-describing format, as JSON is.
///
/// ```
/// use std::time::Duration;
/// use carrot::consume::Retry;
///
/// let retry: Retry = serde_json::from_str(r#"{"first": 0.5, "longest": 60, "attempts": 8}"#)?;
/// let built = Retry::exponential(Duration::from_millis(500), Duration::from_secs(60));
/// assert_eq!(retry, built.attempts(8).without_jitter());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RetryForm")]
pub struct Retry {
    #[serde(serialize_with = "seconds::serialize")]
    first: Duration,
    #[serde(serialize_with = "seconds::serialize")]
    longest: Duration,
    attempts: u32,
    jitter: bool,
}

impl Default for Retry {
    /// Creates a back-off with five attempts, after pauses of 1, 2, 4 and 8 s, without jitter.
    fn default() -> Retry {
        Retry::exponential(Duration::from_secs(1), Duration::from_secs(8)).without_jitter()
    }
}

impl Retry {
    /// Creates an exponential back-off: pauses double from `first` to `longest`, with jitter. Five
    /// attempts.
    ///
    /// Jitter doubles half of the pauses, at most to the step of `longest`. Messages that failed
    /// together are then not retried together.
    pub fn exponential(first: Duration, longest: Duration) -> Retry {
        Retry { first, longest, attempts: 5, jitter: true }
    }

    /// Creates a back-off with pauses of one length, without jitter. Five attempts.
    pub fn fixed(pause: Duration) -> Retry {
        Retry { first: pause, longest: pause, attempts: 5, jitter: false }
    }

    /// Disables retries: a message is parked at the first failure of its handler.
    pub fn never() -> Retry {
        Retry::default().attempts(1)
    }

    /// Sets the number of attempts before a message is parked, including the first; at least 1.
    ///
    /// Defaults to 5 attempts.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Retry {
        self.attempts = attempts;
        self
    }

    /// Disables jitter. All messages then have the same pauses.
    ///
    /// Defaults to jitter for [`exponential`](Retry::exponential).
    #[must_use]
    pub fn without_jitter(mut self) -> Retry {
        self.jitter = false;
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let refuse = |field: &'static str, value: String, limit: &'static str| {
            Err(Error::Invalid { field: field.into(), value, limit: limit.into() })
        };
        if self.attempts == 0 {
            return refuse("retry attempts", "0".into(), "at least 1, the first attempt included");
        }
        if self.first.is_zero() || self.longest > retry_queues::LONGEST {
            return refuse(
                "retry pause",
                format!("{:?} to {:?}", self.first, self.longest),
                "more than zero, and at most 131072 s",
            );
        }
        if self.longest < self.first {
            return refuse(
                "longest retry pause",
                format!("{:?}", self.longest),
                "not shorter than the first pause",
            );
        }
        Ok(())
    }

    /// Returns whether a message is tried again after attempt number `attempt` failed.
    pub(super) fn allows_another(&self, attempt: u32) -> bool {
        attempt < self.attempts
    }

    pub(super) fn number_of_attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the pause after attempt number `attempt`, from 1.
    pub(super) fn pause(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let pause = self.first.saturating_mul(1 << doublings).min(self.longest);
        if !self.jitter {
            return pause;
        }
        let step = retry_queues::RetryStep::at_least(pause).pause();
        let longest = retry_queues::RetryStep::at_least(self.longest).pause();
        if fastrand::bool() { step } else { (step * 2).min(longest) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryForm {
    first: Option<Given>,
    longest: Option<Given>,
    attempts: Option<u32>,
    jitter: Option<bool>,
}

impl TryFrom<RetryForm> for Retry {
    type Error = Error;

    fn try_from(form: RetryForm) -> Result<Retry> {
        let mut retry = Retry::default();
        if let Some(first) = form.first {
            retry.first = first.seconds("first")?;
        }
        if let Some(longest) = form.longest {
            retry.longest = longest.seconds("longest")?;
        }
        retry.attempts = form.attempts.unwrap_or(retry.attempts);
        retry.jitter = form.jitter.unwrap_or(retry.jitter);
        retry.validate()?;
        Ok(retry)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_default_is_five_attempts_with_pauses_that_double() {
        let retry = Retry::default();
        assert_eq!(
            (1..=4).map(|attempt| retry.pause(attempt).as_secs()).collect::<Vec<_>>(),
            [1, 2, 4, 8]
        );
        assert!(
            retry.allows_another(4) && !retry.allows_another(5) && !retry.allows_another(u32::MAX)
        );
        assert!(!Retry::never().allows_another(1));
    }

    #[test]
    fn a_pause_is_never_longer_than_the_longest_step() {
        let retry = Retry::exponential(seconds(1), seconds(600));
        for attempt in [1, 2, 9, 10] {
            let pauses: Vec<_> = (0..200).map(|_| retry.pause(attempt)).collect();
            assert!(
                pauses.iter().all(|pause| *pause >= seconds(1) && *pause <= seconds(1024)),
                "{attempt}: {pauses:?}"
            );
            let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
            assert_eq!(*most, *least * 2, "jitter chooses between two neighbouring steps");
            assert!(
                *least >= retry.clone().without_jitter().pause(attempt),
                "no pause is shorter than asked for"
            );
        }
        assert!([11, 1000, u32::MAX].iter().all(|attempt| retry.pause(*attempt) == seconds(1024)));
    }

    #[test]
    fn settings_out_of_their_limits_are_refused() {
        Retry::exponential(seconds(1), seconds(131_072)).attempts(1).validate().unwrap();
        for (retry, named) in [
            (Retry::default().attempts(0), "retry attempts"),
            (Retry::fixed(Duration::ZERO), "retry pause"),
            (Retry::fixed(seconds(131_073)), "retry pause"),
            (Retry::exponential(seconds(2), seconds(1)), "longest retry pause"),
        ] {
            let error = retry.validate().unwrap_err();
            assert!(matches!(&error, Error::Invalid { field, .. } if field == named), "{error}");
        }
    }

    #[test]
    fn retry_survives_json_and_defaults_to_the_default() {
        for retry in [
            Retry::default(),
            Retry::never(),
            Retry::fixed(Duration::from_millis(1500)),
            Retry::exponential(seconds(1), seconds(600)).attempts(8),
        ] {
            let json = serde_json::to_string(&retry).unwrap();
            assert_eq!(serde_json::from_str::<Retry>(&json).unwrap(), retry, "{json}");
        }
        assert_eq!(serde_json::from_str::<Retry>("{}").unwrap(), Retry::default());
        assert_eq!(
            serde_json::to_string(&Retry::fixed(Duration::from_millis(1500))).unwrap(),
            r#"{"first":1.5,"longest":1.5,"attempts":5,"jitter":false}"#
        );
    }

    #[test]
    fn retry_out_of_its_limits_is_not_deserialized() {
        for (json, named) in [
            (r#"{"attempts": 0}"#, "retry attempts"),
            (r#"{"first": 0}"#, "retry pause"),
            (r#"{"first": 10}"#, "longest retry pause"),
            (r#"{"longest": 131073}"#, "retry pause"),
            (r#"{"longest": "8s"}"#, "longest: must be a number of seconds"),
            (r#"{"longest": 1e300}"#, "longest: must be a number of seconds"),
            (r#"{"first": -1}"#, "first: must be a number of seconds"),
            (r#"{"atempts": 5}"#, "unknown field `atempts`"),
        ] {
            let error = serde_json::from_str::<Retry>(json).unwrap_err();
            assert!(error.to_string().contains(named), "{json}: {error}");
        }
    }
}
