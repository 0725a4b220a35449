//! Calls: threads ask for exchange rates, and several servers answer.
//!
//! A server may end at any time. The broker then delivers its unanswered requests to the others,
//! and the callers notice nothing but a longer wait.

use std::thread;
use std::time::Duration;

#[allow(unused_imports, reason = "documentation links to it")]
use carrot::Error;
use carrot::call::{Caller, RemoteError};
use carrot::{Connection, Workers};
use serde::{Deserialize, Serialize};

/// The longest time for an answer. It covers the redelivery of a request whose server ended.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Two currencies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The currency that is sold.
    pub from: String,
    /// The currency that is bought.
    pub to: String,
}

/// The answer of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The price of one unit.
    pub rate: f64,
    /// The name of the server.
    pub server: String,
}

/// Returns the rate of a pair of currencies. Callers recognize an unknown pair by the kind
/// `unknown-pair` of the error.
fn rate(pair: &Pair) -> Result<f64, RemoteError> {
    match (&*pair.from, &*pair.to) {
        ("EUR", "USD") => Ok(1.08),
        ("GBP", "USD") => Ok(1.27),
        (from, to) => Err(RemoteError::new("unknown-pair", format!("no rate of {from}/{to}"))),
    }
}

/// Starts a server of a queue, which answers one request after another.
///
/// # Errors
/// If the broker refuses the queue or the consumer.
pub fn serve(connection: &Connection, queue: &str, server: &str) -> carrot::Result<Workers> {
    let server = server.to_string();
    // With a prefetch of 1, a request waits in the queue for the first server that is free.
    let consumer = connection.consumer(queue).prefetch(1).build()?;
    consumer.serve(1, move |pair: Pair| {
        Ok::<_, RemoteError>(Rate { rate: rate(&pair)?, server: server.clone() })
    })
}

/// Asks for one rate. Asks a second time if the answer is lost, because a question changes nothing.
///
/// # Errors
/// [`Error::Remote`]: the server has no such rate. Others if no server has answered.
pub fn ask(caller: &Caller, pair: &Pair) -> carrot::Result<Rate> {
    match caller.call(pair, TIMEOUT) {
        Err(error) if error.is_retryable() => caller.call(pair, TIMEOUT),
        answer => answer,
    }
}

/// Asks for all rates, from this number of threads that share one caller. Returns the answers in
/// the order of the pairs.
pub fn ask_all(caller: &Caller, threads: usize, pairs: &[Pair]) -> Vec<carrot::Result<Rate>> {
    let share = pairs.len().div_ceil(threads.max(1)).max(1);
    let mut answers = vec![None; pairs.len()];
    thread::scope(|scope| {
        for (pairs, answers) in pairs.chunks(share).zip(answers.chunks_mut(share)) {
            scope.spawn(move || {
                for (pair, answer) in pairs.iter().zip(answers) {
                    *answer = Some(ask(caller, pair));
                }
            });
        }
    });
    answers.into_iter().flatten().collect()
}
