//! Random programs, and those that once showed a difference.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::env;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrot_core::ConnectionOptions;
use carrot_differential::campaign::Campaign;
use carrot_differential::compare::{Corner, Verdict};
use carrot_differential::coverage::Coverage;
use carrot_differential::open::SETTLE;
use carrot_differential::program::{Action, Operation, Program, PropertiesSpec};
use carrot_differential::regression::Regression;
use carrot_differential::side::Memory;
use carrot_differential::{code, generate, shrink};

const MOMENT: Duration = Duration::from_millis(100);

fn broker() -> ConnectionOptions {
    env::var("CARROT_TEST_AMQP_URL")
        .expect("CARROT_TEST_AMQP_URL names the broker to test against")
        .parse()
        .unwrap()
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
    assert!(
        report.is_clean(),
        "{} divergences, {} failures, seed {seed}",
        report.divergences.len(),
        report.failures
    );
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
            writeln!(
                failures,
                "{}: at operation {step} {shown:#?} instead of {expected:#?}",
                regression.name
            )
            .unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn programs_that_once_differed_show_on_rabbitmq_what_was_written_down() {
    let mut corner = Corner::new(broker());
    for regression in Regression::all() {
        assert_eq!(
            corner.watch(&regression.program, MOMENT).steps,
            regression.rabbitmq,
            "{}",
            regression.name
        );
        assert_eq!(
            corner.compare(&regression.program, SETTLE).0,
            Verdict::Same,
            "{}",
            regression.name
        );
    }
}

#[test]
fn a_program_shows_the_same_again_on_the_memory_broker() {
    for number in 0..50 {
        let program = generate::program(1, number);
        let [one, other] = ["one.", "other."]
            .map(|prefix| carrot_differential::run(&program, &Memory::new(), prefix, None).steps);
        assert_eq!(one, other, "program {number}");
    }
}

#[test]
fn the_generator_reaches_what_is_to_be_compared() {
    let mut coverage = Coverage::default();
    for number in 0..600 {
        let program = generate::program(1, number);
        coverage.note(
            &program,
            &carrot_differential::run(&program, &Memory::new(), "reach.", None).steps,
        );
    }
    let wanted = [
        ("event", "dead letter: expired"),
        ("event", "dead letter: rejected"),
        ("event", "dead letter: maxlen"),
        ("event", "dead letter twice"),
        ("event", "delivered again"),
        ("event", "consumer takes"),
        ("event", "consumer cancelled"),
        ("event", "consumer ended with its channel"),
        ("event", "queue gone"),
        ("publish", "accepted"),
        ("publish", "refused"),
        ("publish", "returned"),
        ("publish", "NotFound"),
        ("publish", "AccessRefused"),
        ("publish", "PreconditionFailed"),
        ("publish", "a direct answer"),
        ("publish", "later NotFound"),
        ("consume", "ok"),
        ("consume", "NotFound"),
        ("consume", "ResourceLocked"),
        ("consume", "PreconditionFailed"),
        ("get", "a message"),
        ("get", "ResourceLocked"),
        ("declare queue", "ok"),
        ("declare queue", "PreconditionFailed"),
        ("declare queue", "AccessRefused"),
        ("declare queue", "ResourceLocked"),
        ("declare queue", "NotFound"),
        ("declare exchange", "HardError"),
        ("delete queue if empty", "PreconditionFailed"),
        ("delete queue if unused", "PreconditionFailed"),
        ("delete exchange if unused", "PreconditionFailed"),
        ("bind exchange", "ok"),
        ("unbind queue", "ok"),
        ("ack", "ok"),
        ("ack multiple", "ok"),
        ("requeue multiple", "ok"),
        ("reject multiple", "ok"),
        ("settle", "unknown tag"),
        ("take", "taking"),
        ("purge", "ok"),
        ("close connection", "closed"),
        ("wait", "waited"),
    ];
    let missing: Vec<_> =
        wanted.into_iter().filter(|(group, what)| coverage.count(group, what) == 0).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}\n{coverage}");
}

#[test]
fn a_program_is_shrunk_to_what_fails() {
    let fails = |program: &Program| {
        let is_purge = |operation: &Operation| matches!(operation.action, Action::Purge(_));
        let is_mandatory = |operation: &Operation| matches!(&operation.action, Action::Publish(publish) if publish.mandatory);
        program.operations.iter().any(is_mandatory) && program.operations.iter().any(is_purge)
    };
    let program = (0..).map(|number| generate::program(3, number)).find(fails).unwrap();
    let smallest = shrink(&program, fails);
    assert_eq!(smallest.operations.len(), 2, "{}", code::program(&smallest));
    let Action::Publish(publish) = &smallest
        .operations
        .iter()
        .find(|operation| matches!(operation.action, Action::Publish(_)))
        .unwrap()
        .action
    else {
        unreachable!()
    };
    assert_eq!(publish.properties, PropertiesSpec::default());
}

#[test]
fn a_program_survives_being_written_and_read() {
    for number in 0..50 {
        let program = generate::program(2, number);
        let text = serde_json::to_string(&program).unwrap();
        assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), program, "program {number}");
    }
}
