//! `carrot list`, `top` and `topology` with the control interface of a hosted broker.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::controlled_broker::{ControlledBroker, TwoVhosts};
use crate::listings::{entries, entry};
use crate::support::{LONG, command, finish, interrupt, next_line, run, start};

/// Defines a test on a controlled broker over AMQP, and one over ZeroMQ.
macro_rules! on_each_host {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn over_amqp() {
                super::$name(&crate::controlled_broker::ControlledBroker::hosted("amqp"));
            }

            #[test]
            fn over_zeromq() {
                super::$name(&crate::controlled_broker::ControlledBroker::hosted("zeromq"));
            }
        }
    )*};
}

on_each_host! {
    everything_of_a_hosted_broker_is_listed
    top_of_a_hosted_broker_computes_rates
    topology_of_a_hosted_broker_is_exported_and_checked
}

fn everything_of_a_hosted_broker_is_listed(broker: &ControlledBroker) {
    broker.ok(&["declare", "exchange", "prices", "--type", "topic"]);
    broker.ok(&["declare", "queue", "jobs", "--type", "quorum"]);
    broker.ok(&["declare", "queue", "other"]);
    broker.ok(&["bind", "prices", "jobs", "-k", "a.#", "--argument", "n:=7"]);
    broker.ok(&["publish", "-q", "jobs", "--count", "3", "body"]);
    // Holds the three messages, and waits for two more.
    let arguments = ["consume", "jobs", "--requeue", "-n", "5", "--wait", "600"];
    let (child, _output) = start(broker.command(&arguments));
    let held = json!({
        "name": "jobs", "type": "quorum", "ready": 0, "unacknowledged": 3, "consumers": 1
    });
    wait_for(broker, &["queues", "jo*"], |listed| listed == [held.clone()]);
    let queues = broker.list(&["queues"]);
    assert_eq!((queues.len(), &queues[1]["type"]), (2, &json!("classic")));
    let exchange = json!({
        "name": "prices", "type": "topic", "durable": true, "auto_delete": false, "internal": false
    });
    assert_eq!(broker.list(&["exchanges", "pri*"]), [exchange]);
    assert!(broker.list(&["exchanges"]).len() > 5);
    let binding = json!({
        "source": "prices", "destination": "jobs", "destination_type": "queue",
        "routing_key": "a.#", "arguments": {"n": 7}
    });
    assert_eq!(broker.list(&["bindings"]), [binding]);
    wait_for(broker, &["connections", "carrot command*"], |listed| {
        listed.iter().any(|entry| entry["channels"].as_u64() > Some(0) && entry["user"].is_string())
    });
    assert_eq!(broker.list(&["connections", "none*"]), Vec::<Value>::new());
    interrupt(&child);
    assert_eq!(finish(child).code, 130);
}

/// Waits for a listing.
fn wait_for(broker: &ControlledBroker, arguments: &[&str], wanted: impl Fn(&[Value]) -> bool) {
    let deadline = Instant::now() + LONG;
    loop {
        let listed = broker.list(arguments);
        if wanted(&listed) {
            return;
        }
        assert!(Instant::now() < deadline, "{listed:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn top_of_a_hosted_broker_computes_rates(broker: &ControlledBroker) {
    let queue = broker.name();
    broker.ok(&["declare", "queue", &queue]);
    broker.ok(&["publish", "-q", &queue, "before"]);
    let (child, mut output) = start(broker.command(&["top", "--interval", "0.2", "--json"]));
    let mut next = || entry(&next_line(&mut output));
    let first = next();
    assert_eq!((&first["queue"], &first["ready"]), (&json!(queue), &json!(1)));
    assert_eq!((&first["publish_rate"], &first["deliver_rate"]), (&Value::Null, &Value::Null));
    assert_eq!((&next()["publish_rate"], &next()["deliver_rate"]), (&json!(0.0), &json!(0.0)));
    let deadline = Instant::now() + LONG;
    let mut wait_for_rate = |field: &str| {
        loop {
            let entry = next();
            if entry[field].as_f64() > Some(0.0) {
                return;
            }
            assert!(Instant::now() < deadline, "{field}: {entry}");
        }
    };
    broker.ok(&["publish", "-q", &queue, "--count", "5", "body"]);
    wait_for_rate("publish_rate");
    broker.ok(&["consume", &queue, "-n", "6"]);
    wait_for_rate("deliver_rate");
    interrupt(&child);
    let ran = finish(child);
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""), "{ran:?}");
}

fn topology_of_a_hosted_broker_is_exported_and_checked(broker: &ControlledBroker) {
    broker.ok(&["declare", "exchange", "prices", "--type", "topic"]);
    broker.ok(&["declare", "exchange", "rest", "--type", "fanout"]);
    broker.ok(&["declare", "queue", "jobs", "--type", "quorum", "--argument", "x-max-length:=9"]);
    broker.ok(&["bind", "prices", "jobs", "-k", "a.#", "--argument", "n:=1"]);
    broker.ok(&["bind", "prices", "rest", "--to-exchange", "-k", "b"]);
    let folder = tempfile::tempdir().unwrap();
    let other = ControlledBroker::hosted("amqp");
    for (format, file) in
        [("toml", "t.toml"), ("json", "t.json"), ("definitions", "definitions.json")]
    {
        let path = folder.path().join(file);
        let exported = broker.ok(&["topology", "export", "--format", format]);
        std::fs::write(&path, &exported).unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(broker.run(&["topology", "check", path]).errors, "", "{format}");
        other.ok(&["topology", "apply", path]);
        let ran = other.run(&["topology", "check", path]);
        assert_eq!((&*ran.output, &*ran.errors), ("no differences\n", ""), "{format}: {ran:?}");
        assert_eq!(other.ok(&["topology", "export", "--format", format]), exported, "{format}");
    }
    let path = folder.path().join("t.toml");
    let path = path.to_str().unwrap();
    // The bindings are not compared without an interface.
    broker.ok(&["unbind", "prices", "jobs", "-k", "a.#", "--argument", "n:=1"]);
    broker.ok(&["bind", "prices", "jobs", "-k", "a.#", "--argument", "n:=2"]);
    other.ok(&["delete", "exchange", "rest"]);
    other.ok(&["declare", "exchange", "rest", "--type", "fanout"]);
    let ran = broker.run(&["topology", "check", path]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.output.contains("routing key \"a.#\"") && ran.errors.contains("1 difference"));
    let ran = other.run(&["topology", "check", path, "--json"]);
    let found = entries(&ran.output);
    assert_eq!(found.len(), 1, "{ran:?}");
    assert_eq!(found[0]["difference"], "is missing", "{ran:?}");
    assert_eq!(found[0]["reason"], "the broker has no such binding", "{ran:?}");
    let mut check = command(&["topology", "check", path]);
    check.env("CARROT_URL", &other.url);
    let ran = run(check, "");
    assert_eq!((ran.code, &*ran.output), (0, "no differences\n"), "{ran:?}");
    assert!(ran.errors.contains("2 bindings were not checked"), "{ran:?}");
}

#[test]
fn arguments_that_a_broker_ignores_are_checked() {
    let broker = ControlledBroker::hosted("amqp");
    broker.ok(&["declare", "queue", "jobs", "--argument", "x-own=here"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    std::fs::write(&path, "[[queues]]\nname = \"jobs\"\narguments = { x-own = \"there\" }\n")
        .unwrap();
    let ran = broker.run(&["topology", "check", path.to_str().unwrap(), "--json"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    let found = entries(&ran.output);
    assert_eq!((found.len(), &found[0]["entity"]), (1, &json!("queue \"jobs\"")), "{ran:?}");
    let reason = "argument \"x-own\": the broker has \"here\", the file \"there\"";
    assert_eq!(found[0]["reason"], reason, "{ran:?}");
}

#[test]
fn arguments_name_the_interface_in_place_of_the_environment() {
    let broker = ControlledBroker::hosted("amqp");
    broker.ok(&["declare", "queue", "jobs"]);
    let file = broker.token_file();
    let arguments = ["list", "--control", &broker.control, "--control-token-file", &file, "--json"];
    let mut list = command(&arguments);
    list.env("CARROT_MANAGEMENT", "http://127.0.0.1:1").env("CARROT_CONTROL_TOKEN", "00");
    let ran = run(list, "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(entries(&ran.output)[0]["name"], "jobs");
    // A URL without its path.
    let short = broker.control.trim_end_matches("/v1").to_string();
    let ran = run(command(&["list", "--control", &short, "--control-token-file", &file]), "");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn virtual_hosts_of_a_hosted_broker_are_listed() {
    let brokers = TwoVhosts::new();
    for (broker, queue) in [(&brokers.blue, "one"), (&brokers.green, "two")] {
        carrot::Connection::new(broker.connector()).declare_queue(queue).unwrap();
    }
    let listed = |arguments: &[&str]| {
        let ran = brokers.run(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        let entries = entries(&ran.output).into_iter();
        entries.map(|entry| format!("{} {}", entry["vhost"], entry["name"])).collect::<Vec<_>>()
    };
    let both = ["\"/\" \"one\"", "\"green\" \"two\""];
    assert_eq!(listed(&["list", "--all-vhosts", "--json"]), both);
    assert_eq!(listed(&["list", "--json"]), ["null \"one\""]);
    let exchanges = listed(&["list", "exchanges", "amq.topic", "--all-vhosts", "--json"]);
    assert_eq!(exchanges, ["\"/\" \"amq.topic\"", "\"green\" \"amq.topic\""]);
    let green = format!("amqp://{}/green", brokers.server.address());
    let ran = brokers.run(&["list", "--json", "--url", &green]);
    assert_eq!(entries(&ran.output)[0]["name"], "two", "{ran:?}");
    let ran = brokers.run(&["topology", "export", "--all-vhosts", "--format", "definitions"]);
    let definitions = entry(&ran.output);
    assert_eq!(definitions["vhosts"], json!([{"name": "/"}, {"name": "green"}]), "{ran:?}");
    assert_eq!(definitions["queues"][1]["vhost"], "green", "{ran:?}");
    let missing = format!("amqp://{}/r%0aed", brokers.server.address());
    let ran = brokers.run(&["list", "--url", &missing]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.errors.contains("no virtual host \"r\\ned\""), "{ran:?}");
}
