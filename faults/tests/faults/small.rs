use std::sync::{Mutex, MutexGuard, PoisonError};

use carrot_faults::OutcomeTable;
use carrot_faults::scenarios::{self, Context, Size};

static CONTEXT: Mutex<Option<Context>> = Mutex::new(None);

/// Blocks until no other test runs, because each test needs the whole machine.
pub fn exclusive() -> MutexGuard<'static, Option<Context>> {
    CONTEXT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a scenario on the node of the scenario before.
fn run_scenario(name: &str) {
    let mut context = exclusive();
    let seed = fastrand::u64(..1_000_000);
    let program = env!("CARGO_BIN_EXE_carrot-faults").into();
    let context = context.get_or_insert_with(|| Context::new(Size::Small, seed, program));
    let outcome = scenarios::named(name).unwrap().run(context);
    let passed = outcome.passed();
    println!("{}", OutcomeTable(&[outcome]));
    assert!(passed, "{name} failed");
}

macro_rules! scenarios {
    ($($test:ident: $name:expr;)*) => {
        $(#[test]
        #[ignore = "needs RabbitMQ: run ./scripts/test"]
        fn $test() {
            run_scenario($name);
        })*

        #[test]
        fn scenarios_all_have_a_test() {
            let mut tested = [$($name),*];
            let mut known: Vec<&str> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
            tested.sort_unstable();
            known.sort_unstable();
            assert_eq!(known, tested);
        }
    };
}

scenarios! {
    tls_with_wrong_settings_is_refused: "tls";
    node_killed_loses_no_message: "node-killed";
    connections_cut_lose_no_message: "connection-cut";
    node_frozen_hangs_no_call: "node-frozen";
    memory_alarm_blocks_publishers_until_cleared: "memory-alarm";
    leader_killed_loses_no_message: "cluster";
    consumers_cancelled_continue_unless_their_queue_is_deleted: "consumer-cancelled";
    entities_deleted_affect_no_other_channel: "entities-deleted";
    graceful_stop_acknowledges_or_leaves_every_message: "graceful-stop";
    slow_handlers_keep_the_connection: "slow-handler";
    failing_handlers_lose_no_message: "failing-handlers";
    random_faults_lose_no_message: "soak";
}
