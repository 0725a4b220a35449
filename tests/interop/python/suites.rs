//! The test suites that py-amqp and kombu bring, on Carrot's server.
//!
//! The suites reach RabbitMQ as their authors run them, so they run on the server only.

use std::time::Duration;

use crate::support::Broker;

/// Long enough for a suite, whose tests wait for seconds.
const WHOLE_SUITE: Duration = Duration::from_secs(240);

/// Runs the tests that `expression` selects. All of them have to pass, and at least `fewest`.
#[track_caller]
fn run(client: &str, tests: &str, expression: &str, fewest: u32) {
    let broker = Broker::on_server();
    let suite = broker.python("suite", &[client, tests, expression]);
    let last = suite.line_within(WHOLE_SUITE);
    let passed = last.split_once(" passed").and_then(|(count, _)| count.parse().ok());
    assert!(passed.is_some_and(|passed: u32| passed >= fewest), "{last}");
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn suite_of_py_amqp_passes_on_the_server() {
    // The tests with TLS need certificates that the package does not have.
    run("amqp", "t/integration", "not tls", 48);
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn suite_of_kombu_passes_on_the_server() {
    // The others wait for ports without a broker.
    run("kombu", "t/integration/test_py_amqp.py", "not test_failed", 40);
}
