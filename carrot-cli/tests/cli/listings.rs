//! `carrot list` and `top`, without a management API.

use std::time::Instant;

use crate::support::{LONG, TestBroker, command, finish, interrupt, on_each_broker, run, start};

on_each_broker! {
    named_queues_are_listed_without_management
    top_without_management_shows_changes
}

fn named_queues_are_listed_without_management(broker: &TestBroker) {
    let (full, empty) = (broker.queue(&[]), broker.queue(&[]));
    broker.ok(&["publish", "-q", &full, "--count", "3", "body"]);
    let ran = broker.run(&["list", "queues", &full, &empty, "--json"], "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let expected = [(&full, 3), (&empty, 0)].map(|(name, ready)| {
        serde_json::json!({
            "name": name, "type": null, "ready": ready, "unacknowledged": null, "consumers": 0
        })
    });
    assert_eq!(entries(&ran.output), expected);
    assert!(ran.errors.contains("--management"), "{ran:?}");
    let ran = broker.run(&["list", "queues", &broker.name()], "");
    assert_eq!(ran.code, 5, "{ran:?}");
}

fn top_without_management_shows_changes(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let arguments = ["top", &queue, "--interval", "0.2", "--json"];
    let (child, mut output) = start(broker.command(&arguments));
    let mut next = || entry(&crate::support::next_line(&mut output));
    let first = next();
    assert_eq!((&first["ready"], &first["change_rate"]), (&0.into(), &serde_json::Value::Null));
    broker.ok(&["publish", "-q", &queue, "body"]);
    let deadline = Instant::now() + LONG;
    loop {
        let entry = next();
        if entry["change_rate"].as_f64() > Some(0.0) {
            assert_eq!(entry["ready"], 1);
            break;
        }
        assert!(Instant::now() < deadline, "{entry}");
    }
    interrupt(&child);
    let ran = finish(child);
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""), "{ran:?}");
}

#[test]
fn top_prints_this_number_of_tables() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    let printed = broker.ok(&["top", &queue, "--interval", "0.1", "--count", "3"]);
    assert_eq!(printed.matches(&queue).count(), 3, "{printed}");
    assert!(!printed.contains('\u{1b}'), "{printed:?}");
}

#[test]
fn listings_that_need_management_say_so() {
    for arguments in [
        &["list"][..],
        &["list", "exchanges"],
        &["list", "bindings", "a"],
        &["list", "connections"],
        &["top"],
        &["topology", "export"],
    ] {
        let ran = run(command(arguments), "");
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.errors.contains("--management"), "{arguments:?}: {ran:?}");
    }
    for arguments in [&["top", "q", "--interval", "0"][..], &["top", "q", "-n", "0"]] {
        assert_eq!(run(command(arguments), "").code, 2, "{arguments:?}");
    }
}

pub(crate) fn entry(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}

pub(crate) fn entries(output: &str) -> Vec<serde_json::Value> {
    output.lines().map(entry).collect()
}
