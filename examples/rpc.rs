//! Calls: clients ask for exchange rates, and two servers answer.
//!
//! The program shows an answer, an error of the server with its kind, a call that no server can
//! receive, and calls from several threads. `CARROT_URL` or the first argument names the broker.

use std::error::Error;
use std::thread;
use std::time::Duration;

use carrot::call::RemoteError;
use carrot::topology::DeleteIf;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Pair {
    from: String,
    to: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Rate {
    rate: f64,
    server: String,
}

/// The most that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

fn pair(from: &str, to: &str) -> Pair {
    Pair { from: from.into(), to: to.into() }
}

/// Returns the rate of a pair. A caller can tell an unknown pair from other errors by its kind.
fn rate(pair: &Pair) -> Result<f64, RemoteError> {
    match (&*pair.from, &*pair.to) {
        ("GBP", "USD") => Ok(1.27),
        ("EUR", "USD") => Ok("1.08".parse()?), // an error of `?` has the kind "handler"
        (from, to) => Err(RemoteError::new("unknown-pair", format!("no rate of {from}/{to}"))),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().nth(1).or_else(|| std::env::var("CARROT_URL").ok());
    let connection = carrot::connect(given.unwrap_or_else(|| "memory://".into()))?;

    // A small prefetch shares the requests.
    let mut servers = Vec::new();
    for name in ["one", "two"] {
        let consumer = connection.consumer("rates").prefetch(2).build()?;
        servers.push(consumer.serve(2, move |pair: Pair| {
            Ok::<_, RemoteError>(Rate { rate: rate(&pair)?, server: name.into() })
        })?);
    }

    let caller = connection.caller("rates").build()?;
    let answer: Rate = caller.call(&pair("GBP", "USD"), TIMEOUT)?;
    println!("GBP/USD = {}", answer.rate);

    match caller.call::<_, Rate>(&pair("GBP", "XXX"), TIMEOUT) {
        Err(carrot::Error::Remote { kind, message }) if kind == "unknown-pair" => {
            println!("refused: {message}");
        }
        other => return Err(format!("expected an error of the server: {other:?}").into()),
    }

    match connection.caller("weather").build()?.call::<_, Rate>("Paris", TIMEOUT) {
        Err(carrot::Error::Unroutable { .. }) => println!("no server of \"weather\""),
        other => return Err(format!("expected no server: {other:?}").into()),
    }

    let answered = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..25)
                        .filter(|_| caller.call::<_, Rate>(&pair("EUR", "USD"), TIMEOUT).is_ok())
                        .count()
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum::<usize>()
    });
    println!("{answered} calls from 4 threads answered");

    let mut requests = 0;
    for server in servers {
        let report = server.stop(Duration::from_secs(10))?;
        requests += report.acknowledged;
    }
    println!("{requests} requests acknowledged");
    connection.delete_queue("rates", DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(())
}
