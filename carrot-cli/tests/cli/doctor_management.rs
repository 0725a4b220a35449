//! The checks of `carrot doctor` that ask a management API.

use serde_json::{Value, json};

use crate::http_stub::HttpStub;
use crate::listings::entries;
use crate::support::{Ran, TestBroker};
use crate::virtual_hosts::TestVhost;

/// The checks that ask the management API, with their results.
fn results(ran: &Ran) -> Vec<(String, String)> {
    let entries = entries(&ran.output);
    assert_eq!(entries.len(), 14, "{ran:?}");
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_string();
    entries[10..].iter().map(|entry| (text(entry, "check"), text(entry, "result"))).collect()
}

fn expected(results: [&str; 4]) -> Vec<(String, String)> {
    let checks = ["management", "patterns", "nodes", "queues"];
    checks.iter().zip(results).map(|(check, result)| ((*check).into(), result.into())).collect()
}

/// Checks a hosted broker, with a stub as its management API.
fn doctor(url: &str) -> Ran {
    let broker = TestBroker::hosted("amqp");
    let mut doctor = broker.command(&["doctor", "--json", "--timeout", "20"]);
    doctor.env("CARROT_MANAGEMENT", url);
    crate::support::run(doctor, "")
}

/// A management API on which everything is right, except for what `other` answers.
fn stub(other: impl Fn(&str) -> Option<(u16, Value)> + Send + Sync + 'static) -> HttpStub {
    HttpStub::answering(move |request| {
        let path = request.path.split('?').next().unwrap();
        let (status, body) = other(path).unwrap_or_else(|| (200, right(path)));
        (status, body.to_string())
    })
}

fn right(path: &str) -> Value {
    match path {
        "/api/whoami" => json!({"name": "ann", "tags": ["monitoring"]}),
        "/api/overview" => json!({"rabbitmq_version": "9.8"}),
        "/api/permissions/%2F/guest" => json!({"configure": "c", "write": "w", "read": "^$"}),
        "/api/nodes" => json!([{"name": "a@b", "running": true, "mem_alarm": false}]),
        "/api/queues/%2F" => {
            json!([{"name": "jobs", "state": "running", "messages_ready": 2, "consumers": 0}])
        }
        _ => Value::Null,
    }
}

#[test]
fn management_that_finds_nothing_wrong_is_reported() {
    let ran = doctor(&stub(|_| None).url());
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""), "{ran:?}");
    assert_eq!(results(&ran), expected(["ok"; 4]));
    for text in [
        r#"RabbitMQ 9.8, user \"ann\": monitoring"#,
        r#"configure \"c\", write \"w\", read \"^$\""#,
        "1 node without an alarm",
        "2 ready, 0 unacknowledged; 1 with ready messages and no consumer",
    ] {
        assert!(ran.output.contains(text), "{text}: {ran:?}");
    }
}

#[test]
fn management_names_what_is_wrong() {
    let alarm = json!([
        {"name": "a\u{1b}", "running": true, "mem_alarm": true, "mem_used": 5_000_000},
        {"name": "b", "running": false}
    ]);
    let down = json!([{"name": "jobs", "state": "down"}]);
    for (path, status, body, code, wanted, text) in [
        ("/api/nodes", 200, alarm, 1, ["ok", "ok", "failed", "ok"], "5 MB of an unknown amount; b"),
        ("/api/queues/%2F", 200, down, 1, ["ok", "ok", "ok", "failed"], "is down"),
        ("/api/permissions/%2F/guest", 404, json!({}), 4, ["ok", "failed", "ok", "ok"], "let the"),
        ("/api/nodes", 401, json!({}), 0, ["ok", "ok", "skipped", "ok"], "the tag monitoring"),
        ("/api/permissions/%2F/guest", 401, json!({}), 0, ["ok", "skipped", "ok", "ok"], "tag adm"),
        ("/api/nodes", 500, json!({}), 1, ["ok", "ok", "failed", "ok"], "500"),
        ("/api/queues/%2F", 401, json!({}), 4, ["ok", "ok", "ok", "failed"], "permissions on"),
    ] {
        let stub = stub(move |asked| (asked == path).then(|| (status, body.clone())));
        let ran = doctor(&stub.url());
        assert_eq!(ran.code, code, "{path} {status}: {ran:?}");
        assert_eq!(results(&ran), expected(wanted), "{path} {status}: {ran:?}");
        assert!(ran.output.contains(text) && !ran.output.contains('\u{1b}'), "{text}: {ran:?}");
    }
}

#[test]
fn management_that_was_not_reached_skips_its_checks() {
    let refusing = stub(|_| Some((401, json!({"reason": "hm"}))));
    let wrong = stub(|_| Some((200, Value::Null)));
    let wrong = wrong.url().replace("http://", "http://ann:hush-9@");
    for (url, code) in
        [(&*refusing.url(), 4), ("http://127.0.0.1:1", 3), ("http://ann:hush-9@127.0.0.1:x", 2)]
    {
        let ran = doctor(url);
        assert_eq!(ran.code, code, "{url}: {ran:?}");
        assert_eq!(results(&ran), expected(["failed", "skipped", "skipped", "skipped"]));
        assert!(!ran.output.contains("hush"), "{ran:?}");
    }
    let ran = doctor(&wrong);
    assert!(!ran.output.contains("hush") && ran.code == 1, "{ran:?}");
}

#[test]
fn checks_without_management_are_skipped_with_the_reason() {
    let broker = TestBroker::hosted("zeromq");
    let ran = broker.run(&["doctor", "--json"], "");
    assert_eq!(results(&ran), expected(["skipped"; 4]));
    assert_eq!(ran.output.matches("--management names no management API").count(), 4);
}

#[test]
fn management_is_asked_although_the_broker_is_not_reached() {
    let stub = stub(|_| None);
    let mut doctor = crate::support::command(&["doctor", "--json"]);
    doctor.env("CARROT_URL", "amqp://127.0.0.1:1").env("CARROT_MANAGEMENT", stub.url());
    let ran = crate::support::run(doctor, "");
    assert_eq!((ran.code, results(&ran)), (3, expected(["ok"; 4])), "{ran:?}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn management_of_rabbitmq_finds_nothing_wrong() {
    let vhost = TestVhost::new();
    vhost.ok(&["declare", "queue", "jobs"]);
    let ran = vhost.run(&["doctor", "--json"]);
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""), "{ran:?}");
    assert_eq!(results(&ran), expected(["ok"; 4]));
    assert!(ran.output.contains("1 queue of the vhost"), "{ran:?}");
    assert!(ran.output.contains(r#"configure \".*\""#), "{ran:?}");
}
