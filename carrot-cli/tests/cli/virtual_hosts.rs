//! `carrot list`, `top` and `topology export` with RabbitMQ's management API.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::listings::entries;
use crate::support::{LONG, TestBroker, finish, interrupt, run, start};

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn everything_of_a_virtual_host_is_listed() {
    let vhost = TestVhost::new();
    vhost.ok(&["declare", "exchange", "prices", "--type", "topic"]);
    vhost.ok(&["declare", "queue", "jobs", "--type", "quorum"]);
    vhost.ok(&["declare", "queue", "other"]);
    vhost.ok(&["bind", "prices", "jobs", "-k", "a.#"]);
    vhost.ok(&["publish", "-q", "jobs", "--count", "3", "body"]);
    vhost.ok(&["publish", "-q", "other", "--count", "2", "body"]);
    // Holds the three messages, and waits for two more.
    let arguments = ["consume", "jobs", "--requeue", "-n", "5", "--wait", "600"];
    let (child, _output) = start(vhost.command(&arguments));
    // RabbitMQ counts every 5 seconds.
    vhost.wait_for(&["list", "queues", "jo*"], |entries| {
        entries
            == [serde_json::json!({
                "name": "jobs", "type": "quorum", "ready": 0, "unacknowledged": 3, "consumers": 1
            })]
    });
    vhost.wait_for(&["list"], |entries| {
        entries.len() == 2 && entries[1]["name"] == "other" && entries[1]["ready"] == 2
    });
    let exchanges = entries(&vhost.ok(&["list", "exchanges", "prices", "--json"]));
    assert_eq!((exchanges.len(), &exchanges[0]["type"]), (1, &"topic".into()));
    assert!(entries(&vhost.ok(&["list", "exchanges", "--json"])).len() > 5);
    let binding = serde_json::json!({
        "source": "prices", "destination": "jobs", "destination_type": "queue",
        "routing_key": "a.#", "arguments": {}
    });
    assert_eq!(entries(&vhost.ok(&["list", "bindings", "--json"])), [binding]);
    vhost.wait_for(&["list", "connections"], |entries| {
        entries.iter().any(|entry| {
            entry["client"].as_str().is_some_and(|name| name.starts_with("carrot command"))
                && entry["user"] == "guest"
        })
    });
    let top = entries(&vhost.ok(&["top", "jobs", "--count", "1", "--json"]));
    assert_eq!((&top[0]["ready"], &top[0]["unacknowledged"]), (&0.into(), &3.into()));
    assert!(top[0]["publish_rate"].is_number(), "{top:?}");
    interrupt(&child);
    assert_eq!(finish(child).code, 130);
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn exported_topology_is_applied_and_equal() {
    let vhost = TestVhost::new();
    vhost.ok(&[
        "declare",
        "exchange",
        "prices",
        "--type",
        "topic",
        "--argument",
        "alternate-exchange=rest",
    ]);
    vhost.ok(&["declare", "exchange", "rest", "--type", "fanout", "--internal"]);
    vhost.ok(&["declare", "queue", "jobs", "--type", "quorum", "--argument", "x-max-length:=9"]);
    vhost.ok(&["declare", "queue", "plain"]);
    vhost.ok(&["bind", "prices", "jobs", "-k", "a.#"]);
    vhost.ok(&["bind", "rest", "plain"]);
    vhost.ok(&["bind", "prices", "rest", "--to-exchange", "-k", "b"]);
    let folder = tempfile::tempdir().unwrap();
    let exported = vhost.ok(&["topology", "export"]);
    for (format, file) in
        [("toml", "t.toml"), ("json", "t.json"), ("definitions", "definitions.json")]
    {
        let path = folder.path().join(file);
        std::fs::write(&path, vhost.ok(&["topology", "export", "--format", format])).unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(vhost.ok(&["topology", "check", path]), "no differences\n");
        // Another virtual host is as empty as a new broker.
        let other = TestVhost::new();
        assert_eq!(other.run(&["topology", "check", path]).code, 5);
        other.ok(&["topology", "apply", path]);
        assert_eq!(other.ok(&["topology", "check", path]), "no differences\n");
        assert_eq!(lines(&other.ok(&["topology", "export"])), lines(&exported), "{format}");
    }
    assert_eq!(TestVhost::new().ok(&["topology", "export"]).trim(), "");
}

/// The lines in an order that does not depend on that of the export.
fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// A new virtual host of RabbitMQ, which is deleted with this value.
pub(crate) struct TestVhost {
    pub(crate) name: String,
    pub(crate) broker: TestBroker,
    management: String,
}

impl TestVhost {
    pub(crate) fn new() -> TestVhost {
        let mut broker = TestBroker::rabbitmq();
        let management = std::env::var("CARROT_TEST_MANAGEMENT_URL").expect(
            "CARROT_TEST_MANAGEMENT_URL has to name a management API; ./scripts/test starts one",
        );
        let name = broker.name();
        let (server, _) = broker.url.rsplit_once('/').unwrap();
        broker.url = format!("{server}/{name}");
        let vhost = TestVhost { name, broker, management };
        vhost.ask("PUT", &format!("vhosts/{}", vhost.name), "{}");
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        vhost.ask("PUT", &format!("permissions/{}/guest", vhost.name), all);
        vhost
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.broker.command(arguments);
        command.env("CARROT_MANAGEMENT", &self.management);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> crate::support::Ran {
        run(self.command(arguments), "")
    }

    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.output
    }

    /// Waits for a listing.
    pub(crate) fn wait_for(
        &self,
        arguments: &[&str],
        wanted: impl Fn(&[serde_json::Value]) -> bool,
    ) {
        let deadline = Instant::now() + LONG;
        loop {
            let listed = entries(&self.ok(&[arguments, &["--json"]].concat()));
            if wanted(&listed) {
                return;
            }
            assert!(Instant::now() < deadline, "{listed:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Changes something with the management API.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) {
        let (login, address) =
            self.management.trim_start_matches("http://").rsplit_once('@').unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        write!(
            stream,
            "{method} /api/{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Basic {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            STANDARD.encode(login),
            body.len()
        )
        .unwrap();
        let mut answer = BufReader::new(stream);
        let mut status = String::new();
        answer.read_line(&mut status).unwrap();
        answer.read_to_end(&mut Vec::new()).unwrap();
        assert!(status.starts_with("HTTP/1.1 20"), "{method} {path}: {status}");
    }
}

impl Drop for TestVhost {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.ask("DELETE", &format!("vhosts/{}", self.name), "");
        }
    }
}
