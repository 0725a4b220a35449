//! A program whose handler fails a third of the time. A scenario runs and kills this program as
//! `carrot-faults failing-worker URL QUEUE RECORD SEED`.
//!
//! The result of an attempt depends only on the seed, the message and the number of the attempt.
//! The scenario therefore knows the messages that have to be handled and those that have to be
//! parked, however often a message is delivered.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write, stdin};
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrot::{
    Message,
    consume::{HandlerError, Retry},
};

use crate::error::Result;

/// The number of attempts before a message is parked.
pub const ATTEMPTS: u32 = 4;
/// The lengths of the pauses between attempts, in seconds.
pub const PAUSES: [u64; 2] = [1, 2];

/// The number of workers.
pub const THREADS: usize = 8;
const PREFETCH: u16 = 50;
/// The longest time that the handler takes, in milliseconds.
const LONGEST_HANDLING: u64 = 20;
/// One message of this number cannot be decoded.
const UNDECODABLE_EVERY: u64 = 100;

/// The result of an attempt to handle a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// The handler succeeds.
    Handled,
    /// The handler returns an error.
    Failed,
    /// The handler panics.
    Panicked,
}

impl AttemptResult {
    /// Returns the result of attempt `attempt`, counted from 1. Two attempts of three succeed.
    pub fn of(seed: u64, message: u64, attempt: u32) -> AttemptResult {
        let mut random = fastrand::Rng::with_seed(
            seed ^ (message << 8 | u64::from(attempt)).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        match random.u8(..6) {
            0 => AttemptResult::Failed,
            1 => AttemptResult::Panicked,
            _ => AttemptResult::Handled,
        }
    }

    /// Returns the first attempt that succeeds, or `None` for a message that has to be parked.
    pub fn first_success(seed: u64, message: u64) -> Option<u32> {
        if is_undecodable(message) {
            return None;
        }
        (1..=ATTEMPTS)
            .find(|attempt| AttemptResult::of(seed, message, *attempt) == AttemptResult::Handled)
    }
}

/// Returns whether the body of a message cannot be decoded. The handler is not called for it.
pub fn is_undecodable(message: u64) -> bool {
    message % UNDECODABLE_EVERY == UNDECODABLE_EVERY / 2
}

/// Returns the text of the error or panic of an attempt.
pub fn failure_text(message: u64, attempt: u32) -> String {
    format!("message {message} failed at attempt {attempt}")
}

/// One call of the handler, written as a line of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandlerCall {
    /// The message.
    pub message: u64,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// Whether the handler succeeded.
    pub handled: bool,
    /// The id of the process.
    pub process: u32,
    /// The time of the end of the call, in milliseconds since 1970.
    pub time: u64,
}

impl HandlerCall {
    fn line(&self) -> String {
        let word = if self.handled { "handled" } else { "failed" };
        format!("{word} {} {} {} {}\n", self.message, self.attempt, self.process, self.time)
    }

    /// Parses a line without its line end.
    ///
    /// # Errors
    /// If the line does not have the format that [`run`] writes.
    pub fn parse(line: &str) -> Result<HandlerCall> {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, message, attempt, process, time] = words[..] else {
            return Err(format!("not a line of the record: {line:?}").into());
        };
        Ok(HandlerCall {
            message: message.parse()?,
            attempt: attempt.parse()?,
            handled: word == "handled",
            process: process.parse()?,
            time: time.parse()?,
        })
    }
}

/// Returns the present time in the unit of [`HandlerCall::time`].
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Consumes with eight workers until the process is killed or its standard input ends.
///
/// Each call of the handler appends a line to the file `record`, with one write, before the message
/// is settled. The record therefore contains every acknowledged message, whenever the process is
/// killed.
///
/// # Errors
/// An error of Carrot.
pub fn run(url: &str, queue: &str, record: &Path, seed: u64) -> Result<()> {
    // Panics of the handler are expected, so they are not printed.
    std::panic::set_hook(Box::new(|_| ()));
    thread::Builder::new().name("owner".into()).spawn(|| {
        let _ = stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    })?;
    let record = Arc::new(OpenOptions::new().append(true).open(record)?);
    let retry = Retry::exponential(Duration::from_secs(PAUSES[0]), Duration::from_secs(PAUSES[1]))
        .attempts(ATTEMPTS);
    let connection = carrot::connect(url)?;
    let consumer = connection.consumer(queue).prefetch(PREFETCH).retry(retry).build()?;
    let workers = consumer
        .workers(THREADS)
        .spawn(move |id: u64, message: &Message| handle(&record, seed, id, message.attempt()))?;
    workers.join()?;
    Ok(())
}

fn handle(mut record: &File, seed: u64, message: u64, attempt: u32) -> Result<(), HandlerError> {
    thread::sleep(Duration::from_millis(fastrand::u64(..=LONGEST_HANDLING)));
    let result = AttemptResult::of(seed, message, attempt);
    let call = HandlerCall {
        message,
        attempt,
        handled: result == AttemptResult::Handled,
        process: process::id(),
        time: now(),
    };
    // One write call writes the whole line. A short write is an error, and the attempt fails.
    record.write_all(call.line().as_bytes())?;
    match result {
        AttemptResult::Handled => Ok(()),
        AttemptResult::Failed => Err(failure_text(message, attempt).into()),
        AttemptResult::Panicked => panic!("{}", failure_text(message, attempt)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempt_results_fail_a_third_and_park_one_message_in_81() {
        let decodable: Vec<u64> =
            (0..100_000).filter(|message| !is_undecodable(*message)).collect();
        let failures = decodable
            .iter()
            .filter(|message| AttemptResult::of(1, **message, 2) != AttemptResult::Handled)
            .count();
        let parked = decodable
            .iter()
            .filter(|message| AttemptResult::first_success(1, **message).is_none())
            .count();
        assert!((32_000..34_000).contains(&failures), "{failures}");
        assert!((1_000..1_450).contains(&parked), "{parked}");
    }

    #[test]
    fn record_line_parsed_equals_the_written_call() -> Result<()> {
        let call = HandlerCall { message: 7, attempt: 2, handled: true, process: 99, time: 1234 };
        assert_eq!(HandlerCall::parse(call.line().trim_end())?, call);
        assert!(HandlerCall::parse("handled 7").is_err());
        Ok(())
    }
}
