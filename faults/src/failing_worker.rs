//! A program whose handler fails a third of the time: what `carrot-faults failing-worker URL QUEUE RECORD SEED` does, for the scenario
//! that kills it.
//!
//! The outcome of each attempt depends on nothing but the seed, the message and the number of the attempt. The scenario therefore knows
//! which messages have to be handled and which have to be parked, however often a message is delivered.

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

use crate::Result;

/// How often a message is handed to the handler before it is parked.
pub const ATTEMPTS: u32 = 4;
/// The lengths of the pauses between attempts, in seconds.
pub const PAUSES: [u64; 2] = [1, 2];

/// The number of workers.
pub const THREADS: usize = 8;
const PREFETCH: u16 = 50;
/// The longest that handling takes, in milliseconds.
const LONGEST_WORK: u64 = 20;
/// One message in so many cannot be decoded.
const UNDECODABLE_EVERY: u64 = 100;

/// What an attempt at a message comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The handler succeeds.
    Handled,
    /// The handler returns an error.
    Failed,
    /// The handler panics.
    Panicked,
}

impl Verdict {
    /// The verdict on attempt number `attempt`, from 1, at a message: two in three succeed.
    pub fn of(seed: u64, message: u64, attempt: u32) -> Verdict {
        let mut random = fastrand::Rng::with_seed(
            seed ^ (message << 8 | u64::from(attempt)).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        match random.u8(..6) {
            0 => Verdict::Failed,
            1 => Verdict::Panicked,
            _ => Verdict::Handled,
        }
    }

    /// The first attempt at a message that succeeds; `None` for a message that has to be parked.
    pub fn first_success(seed: u64, message: u64) -> Option<u32> {
        if is_undecodable(message) {
            return None;
        }
        (1..=ATTEMPTS).find(|attempt| Verdict::of(seed, message, *attempt) == Verdict::Handled)
    }
}

/// Whether the body of a message cannot be decoded, so that no handler is called.
pub fn is_undecodable(message: u64) -> bool {
    message % UNDECODABLE_EVERY == UNDECODABLE_EVERY / 2
}

/// The text of the error or panic at an attempt.
pub fn complaint(message: u64, attempt: u32) -> String {
    format!("message {message} failed at attempt {attempt}")
}

/// One call of the handler, as a line of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The message.
    pub message: u64,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// Whether the handler succeeded.
    pub handled: bool,
    /// The id of the process.
    pub process: u32,
    /// The end of the call, in milliseconds since 1970.
    pub time: u64,
}

impl Entry {
    fn line(&self) -> String {
        let word = if self.handled { "handled" } else { "failed" };
        format!("{word} {} {} {} {}\n", self.message, self.attempt, self.process, self.time)
    }

    /// Reads a line without its end.
    ///
    /// # Errors
    /// If it is none that [`run`] writes.
    pub fn parse(line: &str) -> Result<Entry> {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, message, attempt, process, time] = words[..] else {
            return Err(format!("not a line of the record: {line:?}").into());
        };
        Ok(Entry {
            message: message.parse()?,
            attempt: attempt.parse()?,
            handled: word == "handled",
            process: process.parse()?,
            time: time.parse()?,
        })
    }
}

/// The time of an [`Entry`] that is made now.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Consumes with eight workers until it is killed, or until its standard input ends.
///
/// Each call of the handler appends a line to the file `record`, with one write, before the message is settled. A line is therefore there
/// for every message that is acknowledged, whenever the process is killed.
///
/// # Errors
/// What Carrot returns.
pub fn run(url: &str, queue: &str, record: &Path, seed: u64) -> Result<()> {
    std::panic::set_hook(Box::new(|_| ())); // A panic of the handler is no news.
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
    thread::sleep(Duration::from_millis(fastrand::u64(..=LONGEST_WORK)));
    let verdict = Verdict::of(seed, message, attempt);
    let entry = Entry {
        message,
        attempt,
        handled: verdict == Verdict::Handled,
        process: process::id(),
        time: now(),
    };
    // One write call: a line that is cut short is an error, and fails the message.
    record.write_all(entry.line().as_bytes())?;
    match verdict {
        Verdict::Handled => Ok(()),
        Verdict::Failed => Err(complaint(message, attempt).into()),
        Verdict::Panicked => panic!("{}", complaint(message, attempt)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_attempts_fails_and_one_message_in_81_has_to_be_parked() {
        let decodable: Vec<u64> =
            (0..100_000).filter(|message| !is_undecodable(*message)).collect();
        let failures = decodable
            .iter()
            .filter(|message| Verdict::of(1, **message, 2) != Verdict::Handled)
            .count();
        let parked = decodable
            .iter()
            .filter(|message| Verdict::first_success(1, **message).is_none())
            .count();
        assert!((32_000..34_000).contains(&failures), "{failures}");
        assert!((1_000..1_450).contains(&parked), "{parked}");
    }

    #[test]
    fn a_line_of_the_record_is_read_as_it_was_written() -> Result<()> {
        let entry = Entry { message: 7, attempt: 2, handled: true, process: 99, time: 1234 };
        assert_eq!(Entry::parse(entry.line().trim_end())?, entry);
        assert!(Entry::parse("handled 7").is_err());
        Ok(())
    }
}
