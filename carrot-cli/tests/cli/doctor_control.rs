//! `carrot doctor` with the control interface of a hosted broker.

use crate::controlled_broker::ControlledBroker;
use crate::doctor::fails;
use crate::support::{command, run};

#[test]
fn doctor_asks_the_control_interface() {
    for protocol in ["amqp", "zeromq"] {
        let broker = ControlledBroker::hosted(protocol);
        broker.ok(&["declare", "queue", "jobs"]);
        broker.ok(&["publish", "-q", "jobs", "x"]);
        let printed = broker.ok(&["doctor", "jobs"]);
        let line = |check: &str| {
            let word = format!(" {check} ");
            printed.lines().find(|line| line.contains(&word)).unwrap_or_default().to_string()
        };
        assert!(line("management").starts_with("ok "), "{printed}");
        assert!(line("patterns").contains("the control interface does not know"), "{printed}");
        assert!(line("nodes").contains("the control interface does not know"), "{printed}");
        assert!(line("queues").contains("1 queue of the vhost: 1 ready"), "{printed}");
        let ran = broker.run(&["doctor", "--json", "jbos"]);
        assert!(ran.output.contains("no queue is named"), "{ran:?}");
        fails(&ran, 5, "queues");
    }
}

#[test]
fn doctor_with_a_wrong_token_is_exit_code_4() {
    let broker = ControlledBroker::hosted("amqp");
    let mut doctor = broker.command(&["doctor", "--json"]);
    doctor.env("CARROT_CONTROL_TOKEN", "5ec2e7");
    let ran = run(doctor, "");
    fails(&ran, 4, "management");
    assert!(ran.output.contains("--control-token-file"), "{ran:?}");
    assert!(!ran.output.contains("5ec2e7"), "{ran:?}");
}

#[test]
fn doctor_without_a_token_is_exit_code_2() {
    let broker = ControlledBroker::hosted("amqp");
    let mut doctor = command(&["doctor", "--json"]);
    doctor.env("CARROT_URL", &broker.url).env("CARROT_CONTROL", &broker.control);
    fails(&run(doctor, ""), 2, "management");
}
