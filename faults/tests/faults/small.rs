use std::sync::{Mutex, MutexGuard, PoisonError};

use carrot_faults::Table;
use carrot_faults::scenarios::{self, Context, Size};

static CONTEXT: Mutex<Option<Context>> = Mutex::new(None);

/// Keeps the others waiting: each test needs the machine for itself.
pub fn alone() -> MutexGuard<'static, Option<Context>> {
    CONTEXT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a scenario on the node that the one before has left.
fn passes(name: &str) {
    let mut context = alone();
    let seed = fastrand::u64(..1_000_000);
    let program = env!("CARGO_BIN_EXE_carrot-faults").into();
    let context = context.get_or_insert_with(|| Context::new(Size::Small, seed, program));
    let outcome = context.run(scenarios::named(name).unwrap());
    let passed = outcome.passed();
    println!("{}", Table(&[outcome]));
    assert!(passed, "{name} failed");
}

macro_rules! scenarios {
    ($($test:ident: $name:expr;)*) => {
        $(#[test]
        #[ignore = "needs RabbitMQ: run ./scripts/test"]
        fn $test() {
            passes($name);
        })*

        #[test]
        fn every_scenario_has_a_test() {
            let mut tested = [$($name),*];
            let mut known: Vec<&str> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
            tested.sort_unstable();
            known.sort_unstable();
            assert_eq!(known, tested);
        }
    };
}

scenarios! {
    tls_that_is_wrong_is_refused: "tls";
    a_killed_node_costs_nothing: "node-killed";
    cut_connections_cost_nothing: "connection-cut";
    a_frozen_node_hangs_nobody: "node-frozen";
    a_memory_alarm_is_told_and_outlived: "memory-alarm";
    a_killed_leader_costs_nothing: "cluster";
    cancelled_consumers_go_on_unless_their_queue_is_deleted: "consumer-cancelled";
    deleted_queues_and_exchanges_harm_nobody_else: "entities-deleted";
    a_graceful_stop_adds_up: "graceful-stop";
    slow_handlers_are_waited_for: "slow-handler";
    failing_handlers_lose_nothing: "failing-handlers";
    faults_at_random_cost_nothing: "soak";
}
