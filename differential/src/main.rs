//! Runs random programs on RabbitMQ and on the memory broker, and prints the differences. See
//! `scripts/differential`.

use std::env;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use carrot_differential::broker::{DefaultQueueType, release_of};
use carrot_differential::program::Program;
use carrot_differential::series::Series;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).peekable();
    let default_type = match arguments.next_if(|argument| argument == "--quorum-by-default") {
        Some(_) => DefaultQueueType::Quorum,
        None => DefaultQueueType::Classic,
    };
    let kept = arguments.next_if(|argument| argument == "keep").and_then(|_| arguments.next());
    let replayed = match arguments
        .peek()
        .map(|argument| (argument.starts_with('['), serde_json::from_str::<Program>(argument)))
    {
        Some((true, Ok(program))) => {
            arguments.next();
            Some(program)
        }
        Some((true, Err(error))) => {
            eprintln!("invalid program: {error}");
            return ExitCode::from(2);
        }
        _ => None,
    };
    let mut number =
        |default: u64| arguments.next().map_or(Ok(default), |argument| argument.parse());
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (Ok(programs), Ok(seed), Ok(first)) = (number(300), number(fresh), number(0)) else {
        eprintln!(
            "usage: differential [--quorum-by-default] [programs] [seed] [first program] | PROGRAM | keep NAME PROGRAM"
        );
        return ExitCode::from(2);
    };
    let Some(options) = env::var("CARROT_TEST_AMQP_URL")
        .ok()
        .and_then(|url| url.parse::<carrot_core::ConnectionOptions>().ok())
    else {
        eprintln!(
            "CARROT_TEST_AMQP_URL is not set to the URL of a broker: run ./scripts/differential"
        );
        return ExitCode::from(2);
    };
    let release = match release_of(&options) {
        Ok(release) => release,
        Err(error) => {
            eprintln!("the release of the broker is not known: {error}");
            return ExitCode::from(2);
        }
    };
    let threads = env::var("CARROT_DIFFERENTIAL_THREADS")
        .ok()
        .and_then(|threads| threads.parse().ok())
        .unwrap_or(8);
    let max_divergences =
        env::var("CARROT_DIFFERENTIAL_MOST").ok().and_then(|most| most.parse().ok()).unwrap_or(10);
    let rabbitmqctl = env::var("CARROT_TEST_RABBITMQCTL").ok();
    let series = Series {
        options,
        release,
        default_type,
        rabbitmqctl,
        programs,
        seed,
        first,
        threads,
        max_divergences,
    };
    if let (Some(name), Some(program)) = (&kept, &replayed) {
        return match (Series { threads: 1, ..series }).keep(name, program) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("cannot write the regression: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if let Some(program) = replayed {
        println!("{}", Series { threads: 1, ..series }.replay(&program));
        return ExitCode::SUCCESS;
    }
    println!("{programs} programs, seed {seed}, RabbitMQ {release}");
    let report = series.run(|line| println!("{line}"));
    println!("{report}");
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
