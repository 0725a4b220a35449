//! Random programs, and those that once showed a difference.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::env;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrot_core::ConnectionOptions;
use carrot_differential::campaign::Campaign;
use carrot_differential::compare::{Corner, Verdict};
use carrot_differential::generate;
use carrot_differential::open::SETTLE;
use carrot_differential::regression::Regression;
use carrot_differential::side::Memory;

const MOMENT: Duration = Duration::from_millis(100);

fn broker() -> ConnectionOptions {
    env::var("CARROT_TEST_AMQP_URL").expect("CARROT_TEST_AMQP_URL names the broker to test against").parse().unwrap()
}

fn campaign(programs: u64, seed: u64) {
    let campaign = Campaign {
        options: broker(),
        rabbitmqctl: env::var("CARROT_TEST_RABBITMQCTL").ok(),
        programs,
        seed,
        first: 0,
        threads: 8,
        most_divergences: 3,
    };
    let report = campaign.run(|line| println!("{line}"));
    println!("{report}");
    assert!(report.is_clean(), "{} divergences, {} failures, seed {seed}", report.divergences.len(), report.failures);
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn random_programs_of_a_fixed_seed_show_the_same_on_both_brokers() {
    campaign(200, 1);
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn random_programs_of_a_fresh_seed_show_the_same_on_both_brokers() {
    campaign(100, SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
}

#[test]
fn programs_that_once_differed_show_on_the_memory_broker_what_rabbitmq_showed() {
    let mut failures = String::new();
    for regression in Regression::all() {
        if let Some((step, shown)) = regression.differs_on_memory() {
            let expected = regression.rabbitmq.get(step).cloned().unwrap_or_default();
            writeln!(failures, "{}: at operation {step} {shown:#?} instead of {expected:#?}", regression.name).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn programs_that_once_differed_show_on_rabbitmq_what_was_written_down() {
    let mut corner = Corner::new(broker());
    for regression in Regression::all() {
        assert_eq!(corner.watch(&regression.program, MOMENT).steps, regression.rabbitmq, "{}", regression.name);
        assert_eq!(corner.compare(&regression.program, SETTLE).0, Verdict::Same, "{}", regression.name);
    }
}

#[test]
fn a_program_shows_the_same_again_on_the_memory_broker() {
    for number in 0..50 {
        let program = generate::program(1, number);
        let [one, other] = ["one.", "other."].map(|prefix| carrot_differential::run(&program, &Memory::new(), prefix, None).steps);
        assert_eq!(one, other, "program {number}");
    }
}

#[test]
fn a_program_survives_being_written_and_read() {
    for number in 0..50 {
        let program = generate::program(2, number);
        let text = serde_json::to_string(&program).unwrap();
        assert_eq!(serde_json::from_str::<carrot_differential::program::Program>(&text).unwrap(), program, "program {number}");
    }
}
