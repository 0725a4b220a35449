//! Random sessions of raw frames, and malformed frames of every kind, on RabbitMQ and on the
//! server.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrot_core::{ConnectionOptions, RabbitMqRelease};
use carrot_differential::broker::release_of;
use carrot_differential::wire::compare::{SETTLE, WireResult, serve};
use carrot_differential::wire::generate::{MALFORMED, malformed_program, program};
use carrot_differential::wire::program::WireProgram;
use carrot_differential::wire::regression::WireRegression;
use carrot_differential::wire::series::WireSeries;

/// The time for programs of a fresh seed, on each release.
const BUDGET: Duration = Duration::from_secs(25);
/// The same with `scripts/test --full`.
const FULL_BUDGET: Duration = Duration::from_secs(600);

/// Whether `scripts/test --full` runs the tests.
fn is_full() -> bool {
    env::var_os("CARROT_TEST_FULL").is_some()
}

fn series(seed: u64, time: Duration) -> WireSeries {
    let url = env::var("CARROT_TEST_AMQP_URL").expect("CARROT_TEST_AMQP_URL is not set");
    let options: ConnectionOptions = url.parse().unwrap();
    WireSeries {
        release: release_of(&options).unwrap(),
        options,
        rabbitmqctl: env::var("CARROT_TEST_RABBITMQCTL").ok(),
        programs: u64::MAX,
        seed,
        first: 0,
        with_consumers: is_full(),
        threads: 4,
        max_divergences: 3,
        time,
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn random_frames_of_a_new_seed_are_answered_as_by_rabbitmq() {
    let given = env::var("CARROT_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    });
    let budget = if is_full() { FULL_BUDGET } else { BUDGET };
    println!("programs on the wire, seed {seed}");
    let report = series(seed, budget).run(|line| println!("{line}"));
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert!(report.programs > 0);
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn malformed_frames_are_answered_as_by_rabbitmq() {
    let comparator = series(0, BUDGET).comparators().into_iter().next().unwrap();
    for (name, octets) in MALFORMED {
        let program = malformed_program(*octets);
        let mut result = comparator.compare(&program, SETTLE).unwrap();
        if let WireResult::Divergence(_) = result {
            result = comparator.compare(&program, SETTLE).unwrap();
        }
        assert!(!matches!(result, WireResult::Divergence(_)), "{name}: {result:#?}");
    }
}

#[test]
fn malformed_frames_and_regressions_are_answered_as_recorded_on_rabbitmq() {
    let all = WireRegression::all();
    for (name, _) in MALFORMED {
        let recorded = all.iter().filter(|regression| regression.name == *name).count();
        assert_eq!(recorded, 2, "{name}: one of each release");
    }
    for regression in all {
        let mut result = regression.compare().unwrap();
        if let WireResult::Divergence(_) = result {
            // A connection that makes no round trip may have been slow.
            result = regression.compare().unwrap();
        }
        let WireRegression { name, release, program, .. } = regression;
        assert!(
            !matches!(result, WireResult::Divergence(_)),
            "{name}, RabbitMQ {release}:\n{program}{result:#?}"
        );
    }
}

#[test]
fn program_repeated_on_a_server_is_answered_alike() {
    for number in 0..40 {
        let program = program(1, number);
        if program.from_start {
            continue;
        }
        let release = RabbitMqRelease::default();
        let [one, other] = [0, 1].map(|_| serve(&program, release, "/").unwrap().frames);
        assert_eq!(one, other, "program {number}\n{program}");
    }
}

#[test]
fn program_written_and_parsed_is_equal() {
    for number in 0..50 {
        let program = program(2, number);
        let text = serde_json::to_string(&program).unwrap();
        assert_eq!(serde_json::from_str::<WireProgram>(&text).unwrap(), program);
    }
}
