//! Random programs, and programs that once differed.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::env;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrot_conformance::Release;
use carrot_core::{ConnectionOptions, RabbitMqRelease};
use carrot_differential::broker::{DefaultQueueType, MemoryBroker, imitated, release_of};
use carrot_differential::compare::{Comparator, ComparisonResult};
use carrot_differential::coverage::Coverage;
use carrot_differential::program::{Program, ProgramAction, ProgramOperation};
use carrot_differential::regression::Regression;
use carrot_differential::series::Series;
use carrot_differential::specs::PropertiesSpec;
use carrot_differential::unspecified::SETTLE;
use carrot_differential::{code, generate, shrink};

const PATIENCE: Duration = Duration::from_millis(100);

fn broker() -> ConnectionOptions {
    env::var("CARROT_TEST_AMQP_URL").expect("CARROT_TEST_AMQP_URL is not set").parse().unwrap()
}

fn series_of(programs: u64, seed: u64, default_type: DefaultQueueType) -> Series {
    Series {
        release: release_of(&broker()).unwrap(),
        options: broker(),
        default_type,
        rabbitmqctl: env::var("CARROT_TEST_RABBITMQCTL").ok(),
        programs,
        seed,
        first: 0,
        threads: 8,
        max_divergences: 3,
    }
}

/// Runs a series alone, because it has many threads and waits for the effects of its operations for
/// a limited time.
fn series(programs: u64, seed: u64, default_type: DefaultQueueType) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let series = series_of(programs, seed, default_type);
    let report = series.run(|line| println!("{line}"));
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
fn random_programs_of_a_fixed_seed_match_on_both_brokers() {
    series(200, 1, DefaultQueueType::Classic);
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn random_programs_of_a_new_seed_match_on_both_brokers() {
    series(100, fresh_seed(), DefaultQueueType::Classic);
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn random_programs_match_where_quorum_is_the_default_type() {
    if release_of(&broker()).unwrap() >= Release::new(3, 11) {
        series(50, fresh_seed(), DefaultQueueType::Quorum);
    }
}

fn fresh_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn regressions_on_the_memory_broker_match_rabbitmq() {
    let mut failures = String::new();
    for regression in Regression::all() {
        if let Some((step, shown)) = regression.differs_on_memory() {
            let expected = regression.rabbitmq.get(step).cloned().unwrap_or_default();
            writeln!(
                failures,
                "{}: at operation {step}: expected {expected:#?}, got {shown:#?}",
                regression.name
            )
            .unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn regressions_on_rabbitmq_match_their_record() {
    let release = release_of(&broker()).unwrap();
    for default_type in [DefaultQueueType::Classic, DefaultQueueType::Quorum] {
        let known = Regression::all().into_iter().filter(|regression| {
            regression.release == imitated(release) && regression.default_type == default_type
        });
        let known: Vec<Regression> = known.collect();
        if !known.is_empty() {
            check_on_rabbitmq(&known, series_of(0, 0, default_type).comparator().unwrap());
        }
    }
}

fn check_on_rabbitmq(regressions: &[Regression], mut comparator: Comparator) {
    for regression in regressions {
        assert_eq!(
            comparator.record(&regression.program, PATIENCE).steps,
            regression.rabbitmq,
            "{}",
            regression.name
        );
        assert_eq!(
            comparator.compare(&regression.program, SETTLE).0,
            ComparisonResult::Same,
            "{}",
            regression.name
        );
    }
}

#[test]
fn program_repeated_on_the_memory_broker_matches() {
    for number in 0..50 {
        let program = generate::program(1, number);
        let [one, other] = ["one.", "other."].map(|prefix| {
            carrot_differential::run(
                &program,
                &MemoryBroker::imitating(RabbitMqRelease::default(), DefaultQueueType::Classic),
                prefix,
                None,
            )
            .steps
        });
        assert_eq!(one, other, "program {number}");
    }
}

#[test]
fn generator_uses_every_important_feature() {
    let mut coverage = Coverage::default();
    for number in 0..600 {
        let program = generate::program(1, number);
        coverage.add_program(
            &program,
            &carrot_differential::run(
                &program,
                &MemoryBroker::imitating(RabbitMqRelease::default(), DefaultQueueType::Classic),
                "reach.",
                None,
            )
            .steps,
        );
    }
    let expected = [
        ("event", "dead letter: expired"),
        ("event", "dead letter: rejected"),
        ("event", "dead letter: maxlen"),
        ("event", "dead letter twice"),
        ("event", "redelivered"),
        ("event", "consumer receives"),
        ("event", "consumer cancelled"),
        ("event", "consumer ended with its channel"),
        ("event", "queue deleted"),
        ("publish", "accepted"),
        ("publish", "refused"),
        ("publish", "returned"),
        ("publish", "NotFound"),
        ("publish", "AccessRefused"),
        ("publish", "PreconditionFailed"),
        ("publish", "direct reply"),
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
        ("declare exchange", "PreconditionFailed"),
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
        expected.into_iter().filter(|(group, item)| coverage.count(group, item) == 0).collect();
    assert!(missing.is_empty(), "not covered: {missing:?}\n{coverage}");
}

#[test]
fn shrink_keeps_only_the_failing_operations() {
    let fails = |program: &Program| {
        let is_purge =
            |operation: &ProgramOperation| matches!(operation.action, ProgramAction::Purge(_));
        let is_mandatory = |operation: &ProgramOperation| matches!(&operation.action, ProgramAction::Publish(publish) if publish.mandatory);
        program.operations.iter().any(is_mandatory) && program.operations.iter().any(is_purge)
    };
    let program = (0..).map(|number| generate::program(3, number)).find(fails).unwrap();
    let smallest = shrink(&program, fails);
    assert_eq!(smallest.operations.len(), 2, "{}", code::program(&smallest));
    let ProgramAction::Publish(publish) = &smallest
        .operations
        .iter()
        .find(|operation| matches!(operation.action, ProgramAction::Publish(_)))
        .unwrap()
        .action
    else {
        unreachable!()
    };
    assert_eq!(publish.properties, PropertiesSpec::default());
}

#[test]
fn program_written_and_parsed_is_equal() {
    for number in 0..50 {
        let program = generate::program(2, number);
        let text = serde_json::to_string(&program).unwrap();
        assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), program, "program {number}");
    }
}
