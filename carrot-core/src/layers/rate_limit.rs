use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::consumer::handled::Handled;
use crate::consumer::layer::{HandleLayer, Next};
use crate::consumer::message::Message;
use crate::consumer::settlement::Settlement;
use crate::error::{Error, Result};
use crate::publish_layer::layer::PublishLayer;
use crate::publish_layer::outgoing::OutgoingMessage;

/// The longest period. Longer ones would overflow no number, and serve no program.
const LONGEST_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest wait before a handler. A broker closes a channel that keeps a message unacknowledged
/// for too long, 30 minutes by default.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// Limits the rate of sending or of handling: a number of messages in a period, evenly spaced, with
/// bursts after idle time.
///
/// Each message takes its turn in FIFO order. A limit of 10 messages in 1 s has a turn every 100
/// ms. After idle time, as many messages as the [`burst`](RateLimit::burst) pass without a wait.
///
/// Turns are assigned in real time. On a memory broker with a manual clock, the wait before a
/// handler ends once the test has advanced the clock.
///
/// All publishers or consumers to which a layer was added share its limit: those of a connection,
/// or those that were given a clone of one `Arc<RateLimit>`.
///
/// # Sending
///
/// Blocks until the message's turn. Fails at once with [`Error::Layer`] if the turn comes after the
/// deadline of the message, and for [`try_publish`](crate::Publisher::try_publish) if the message
/// has to wait. Such a message takes no turn. A message that fails later has taken its turn.
///
/// # Handling
///
/// Blocks before the handler, and keeps the worker and the message meanwhile. Each attempt takes a
/// turn. A worker waits at most for one turn of each worker that shares the limit. If the turn
/// comes after more than 10 minutes, the message is postponed until then, as by
/// [`Settlement::RetryAfter`], which counts as an attempt.
///
/// A stop of the consumer ends the wait, and requeues the message. Its turn is lost.
///
/// ```
/// use std::time::Duration;
/// use carrot::layers::RateLimit;
///
/// let connection = carrot::connect("memory://")?;
/// let limit = RateLimit::new(100, Duration::from_secs(1))?.burst(10)?;
/// let publisher = connection.publisher().queue("mails").layer(limit).build()?;
/// publisher.send_all(["a mail", "another mail"])?;
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug)]
pub struct RateLimit {
    messages: u32,
    per: Duration,
    /// The time between two turns.
    interval: Duration,
    /// The time by which a turn may be early.
    tolerance: Duration,
    start: Instant,
    /// The next turn without a burst, counted from the start.
    next: Mutex<Duration>,
}

impl RateLimit {
    /// Creates a limit of `messages`, at least 1, in each period of `per`. The period is more than
    /// zero and at most a day. At most a billion messages pass in a second.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: a number is out of its limits.
    pub fn new(messages: u32, per: Duration) -> Result<RateLimit> {
        if messages == 0 {
            return Err(Error::invalid("messages of a rate limit", "0", "at least 1"));
        }
        if per.is_zero() || per > LONGEST_PERIOD {
            return Err(Error::invalid(
                "period of a rate limit",
                &format!("{per:?}"),
                "more than zero, at most a day",
            ));
        }
        let interval = per / messages;
        if interval.is_zero() {
            return Err(Error::invalid(
                "messages of a rate limit",
                &messages.to_string(),
                "at most one in a nanosecond",
            ));
        }
        Ok(RateLimit {
            messages,
            per,
            interval,
            tolerance: Duration::ZERO,
            start: Instant::now(),
            next: Mutex::default(),
        })
    }

    /// Sets the number of messages, at least 1, that pass without a wait after idle time.
    ///
    /// Defaults to 1: the messages are evenly spaced.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the number is zero.
    pub fn burst(mut self, messages: u32) -> Result<RateLimit> {
        let Some(early) = messages.checked_sub(1) else {
            return Err(Error::invalid("burst of a rate limit", "0", "at least 1"));
        };
        self.tolerance = self.interval.saturating_mul(early);
        Ok(self)
    }

    /// Takes the next turn, if it is less than `longest` after `now`. Returns the time until the
    /// turn.
    fn take_turn(&self, now: Instant, longest: Duration) -> Result<Duration, TooLong> {
        let now = now.saturating_duration_since(self.start);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let even = (*next).max(now);
        let wait = even.saturating_sub(self.tolerance).saturating_sub(now);
        if !wait.is_zero() && wait >= longest {
            return Err(TooLong(wait));
        }
        *next = even.saturating_add(self.interval);
        Ok(wait)
    }
}

/// The wait for a turn that was not taken.
#[derive(Debug, PartialEq, Eq)]
struct TooLong(Duration);

/// Blocks until `start + wait`. No lock is held.
fn wait_until_turn(start: Instant, wait: Duration) {
    let turn = start + wait;
    loop {
        let left = turn.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left);
    }
}

impl PublishLayer for RateLimit {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> Result<()> {
        let now = Instant::now();
        let left = message.deadline().map(|deadline| deadline.saturating_duration_since(now));
        match self.take_turn(now, left.unwrap_or_default()) {
            Ok(wait) => {
                wait_until_turn(now, wait);
                Ok(())
            }
            Err(TooLong(wait)) => {
                let limit = match left {
                    Some(left) => format!("its deadline is in {left:?}"),
                    None => "the call does not wait".to_string(),
                };
                Err(Error::Layer {
                    reason: format!(
                        "the rate limit of {} messages in {:?} is reached: the turn of the message \
                         is in {wait:?}, and {limit}",
                        self.messages, self.per
                    ),
                    source: None,
                })
            }
        }
    }
}

impl HandleLayer for RateLimit {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        match self.take_turn(Instant::now(), LONGEST_WAIT) {
            Ok(wait) if wait.is_zero() || next.pause(wait) => next.run(message),
            Ok(_) => Handled::settled(Settlement::Requeue),
            Err(TooLong(wait)) => Handled::settled(Settlement::RetryAfter(wait)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const EVER: Duration = Duration::from_secs(3600);

    fn tenths(limit: &RateLimit, at: Instant, turns: usize) -> Vec<u128> {
        (0..turns).map(|_| limit.take_turn(at, EVER).unwrap().as_millis() / 100).collect()
    }

    #[test]
    fn turns_without_burst_are_evenly_spaced() {
        let limit = RateLimit::new(10, SECOND).unwrap();
        assert_eq!(tenths(&limit, limit.start, 4), [0, 1, 2, 3]);
        assert_eq!(tenths(&limit, limit.start + SECOND, 2), [0, 1], "idle time adds no turn");
    }

    #[test]
    fn burst_after_idle_time_passes_without_wait() {
        let limit = RateLimit::new(10, SECOND).unwrap().burst(3).unwrap();
        assert_eq!(tenths(&limit, limit.start, 5), [0, 0, 0, 1, 2]);
        assert_eq!(tenths(&limit, limit.start + SECOND, 5), [0, 0, 0, 1, 2]);
        assert_eq!(
            tenths(&limit, limit.start + SECOND * 14 / 10, 3),
            [0, 0, 1],
            "two are free again"
        );
    }

    #[test]
    fn turn_after_the_deadline_is_not_taken() {
        let limit = RateLimit::new(10, SECOND).unwrap();
        let now = limit.start;
        assert_eq!(limit.take_turn(now, Duration::ZERO), Ok(Duration::ZERO), "it does not wait");
        let turn = SECOND / 10;
        assert_eq!(limit.take_turn(now, Duration::ZERO), Err(TooLong(turn)));
        assert_eq!(limit.take_turn(now, turn), Err(TooLong(turn)), "the deadline itself is late");
        assert_eq!(limit.take_turn(now, turn * 2), Ok(turn));
    }

    #[test]
    fn largest_settings_do_not_overflow() {
        let limit = RateLimit::new(1, LONGEST_PERIOD).unwrap().burst(u32::MAX).unwrap();
        for _ in 0..1000 {
            assert_eq!(limit.take_turn(limit.start, EVER), Ok(Duration::ZERO));
        }
        let limit = RateLimit::new(1, LONGEST_PERIOD).unwrap();
        assert_eq!(limit.take_turn(limit.start, Duration::MAX), Ok(Duration::ZERO));
        *limit.next.lock().unwrap() = Duration::MAX;
        assert!(limit.take_turn(limit.start, Duration::MAX).is_err());
    }

    #[test]
    fn settings_out_of_limits_are_refused() {
        for (messages, per) in [
            (0, SECOND),
            (1, Duration::ZERO),
            (1, Duration::MAX),
            (1, LONGEST_PERIOD + SECOND),
            (2_000_000_000, SECOND),
        ] {
            let refused = RateLimit::new(messages, per);
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
        }
        let refused = RateLimit::new(1, SECOND).unwrap().burst(0);
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
}
