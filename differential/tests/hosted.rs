//! Random programs on a broker that is hosted over ZeroMQ. No other broker is needed.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use carrot_core::RabbitMqRelease;
use carrot_differential::broker::DefaultQueueType;
use carrot_differential::hosted::HostedSeries;
use carrot_differential::program::Program;
use carrot_differential::regression::Regression;

/// Programs of each run, and of a run of `scripts/test --full`.
const PROGRAMS: (u64, u64) = (60, 2000);

/// Returns `CARROT_TEST_SEED`, or a new seed.
fn seed() -> u64 {
    let chosen = env::var("CARROT_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    chosen.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn series(release: RabbitMqRelease, default_type: DefaultQueueType) -> HostedSeries {
    let is_full = env::var_os("CARROT_TEST_FULL").is_some();
    let programs = if is_full { PROGRAMS.1 } else { PROGRAMS.0 };
    let (seed, first, threads, max_divergences) = (seed(), 0, 4, 2);
    HostedSeries { release, default_type, programs, seed, first, threads, max_divergences }
}

fn assert_hosted_as_in_memory(release: RabbitMqRelease, default_type: DefaultQueueType) {
    let series = series(release, default_type);
    let (seed, programs) = (series.seed, series.programs);
    let report = series.run(|line| println!("{line}"));
    println!("seed {seed}: {report}");
    assert!(report.is_clean(), "seed {seed}:\n{}", report.failures.join("\n"));
    assert_eq!(report.programs, programs);
}

#[test]
fn random_programs_on_a_host_match_the_memory_broker_that_imitates_3_10() {
    assert_hosted_as_in_memory(RabbitMqRelease::V3_10, DefaultQueueType::Classic);
}

#[test]
fn random_programs_on_a_host_match_the_memory_broker_that_imitates_4_3() {
    assert_hosted_as_in_memory(RabbitMqRelease::V4_3, DefaultQueueType::Classic);
}

#[test]
fn random_programs_on_a_host_match_where_quorum_is_the_default_type() {
    assert_hosted_as_in_memory(RabbitMqRelease::V4_3, DefaultQueueType::Quorum);
}

#[test]
fn regressions_on_a_host_match_the_memory_broker() {
    for Regression { name, release, default_type, program, .. } in Regression::all() {
        let difference = series(release, default_type).difference(&program);
        assert_eq!(difference, None, "{name}");
    }
}

#[test]
fn internal_failure_of_the_broker_is_the_same_error_on_a_host() {
    let program = r#"[{"do":{"declare_queue":{"name":"empty","arguments":
        [["x-queue-type",{"string":"nonsense"}]]}}}]"#;
    let program: Program = serde_json::from_str(program).unwrap();
    let series = series(RabbitMqRelease::V3_10, DefaultQueueType::Classic);
    assert_eq!(series.difference(&program), None);
}
