//! `--all-vhosts` and the check of bindings, with RabbitMQ's management API.

use crate::http_stub::HttpStub;
use crate::listings::{entries, entry};
use crate::support::{Ran, command, run};
use crate::virtual_hosts::TestVhost;

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn virtual_hosts_are_listed_and_exported_together() {
    let (one, other) = (TestVhost::new(), TestVhost::new());
    for vhost in [&one, &other] {
        vhost.ok(&["declare", "queue", "jobs"]);
        vhost.ok(&["declare", "exchange", "prices", "--type", "topic"]);
        vhost.ok(&["bind", "prices", "jobs", "-k", "a"]);
    }
    other.ok(&["declare", "queue", "only"]);
    let of_both = |arguments: &[&str]| {
        let listed = entries(&one.ok(&[&["list", "--all-vhosts", "--json"], arguments].concat()));
        let is_of =
            |vhost: &TestVhost| listed.iter().filter(|entry| entry["vhost"] == *vhost.name).count();
        (is_of(&one), is_of(&other))
    };
    assert_eq!(of_both(&["queues"]), (1, 2));
    assert_eq!(of_both(&["exchanges", "prices"]), (1, 1));
    assert_eq!(of_both(&["bindings"]), (1, 1));
    let exported = one.ok(&["topology", "export", "--all-vhosts", "--format", "definitions"]);
    let definitions = entry(&exported);
    let vhosts = definitions["vhosts"].as_array().unwrap();
    for vhost in [&one, &other] {
        assert!(vhosts.iter().any(|listed| listed["name"] == *vhost.name), "{exported}");
    }
    let fields = vhosts.iter().flat_map(|listed| listed.as_object().unwrap().keys());
    assert!(fields.clone().all(|field| field == "name" || field == "metadata"), "{exported}");
    assert!(definitions["rabbit_version"].is_string(), "{exported}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("definitions.json");
    std::fs::write(&path, exported).unwrap();
    let path = path.to_str().unwrap();
    for vhost in [&one, &other] {
        let ran = vhost.run(&["topology", "check", path]);
        assert_eq!((&*ran.output, &*ran.errors), ("no differences\n", ""), "{ran:?}");
    }
    // Only the entries of its own virtual host are compared.
    other.ok(&["delete", "queue", "only"]);
    assert_eq!(one.run(&["topology", "check", path]).code, 0);
    assert_eq!(other.run(&["topology", "check", path]).code, 5);
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn bindings_and_arguments_are_checked() {
    let vhost = TestVhost::new();
    vhost.ok(&["declare", "queue", "jobs", "--argument", "x-own=here"]);
    vhost.ok(&["declare", "exchange", "prices", "--type", "topic"]);
    vhost.ok(&["bind", "prices", "jobs", "-k", "a", "--argument", "n:=1"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    let write = |argument: &str, number: u8, key: &str| {
        let text = format!(
            "[[exchanges]]\nname = \"prices\"\ntype = \"topic\"\n\
             [[queues]]\nname = \"jobs\"\narguments = {{ x-own = \"{argument}\" }}\n\
             [[bindings]]\nsource = \"prices\"\ndestination = {{ queue = \"jobs\" }}\n\
             routing_key = \"{key}\"\narguments = {{ n = {number} }}\n"
        );
        std::fs::write(&path, text).unwrap();
    };
    let check = || vhost.run(&["topology", "check", path.to_str().unwrap(), "--json"]);
    write("here", 1, "a");
    let ran = check();
    assert_eq!((ran.code, &*ran.output, &*ran.errors), (0, "", ""), "{ran:?}");
    for (argument, number, key, reason) in [
        ("there", 1, "a", "argument \"x-own\": the broker has \"here\", the file \"there\""),
        ("here", 1, "b", "the broker has no such binding"),
        (
            "here",
            2,
            "a",
            "the broker has the binding with other arguments: {\"n\":1}, the file has {\"n\":2}",
        ),
    ] {
        write(argument, number, key);
        let ran = check();
        assert_eq!(ran.code, 5, "{reason}: {ran:?}");
        assert_eq!(entries(&ran.output)[0]["reason"], reason, "{ran:?}");
    }
}

fn ask(url: &str, arguments: &[&str]) -> Ran {
    let mut command = command(arguments);
    command.env("CARROT_MANAGEMENT", url);
    run(command, "")
}

#[test]
fn all_virtual_hosts_are_asked_for_at_once() {
    let stub = HttpStub::answering(|_| {
        (200, r#"[{"vhost": "a/b", "name": "jobs"}, {"vhost": "/", "name": "evil\u001b"}]"#.into())
    });
    for (kind, path) in [
        ("queues", "/api/queues?"),
        ("exchanges", "/api/exchanges?"),
        ("connections", "/api/connections?"),
    ] {
        let ran = ask(&stub.url(), &["list", kind, "--all-vhosts", "--json"]);
        assert_eq!((ran.code, ran.errors.as_str()), (0, ""), "{ran:?}");
        assert_eq!(entries(&ran.output)[0]["vhost"], "a/b", "{ran:?}");
        let requests = stub.requests();
        let asked = &requests.last().unwrap().path;
        assert!(asked.starts_with(path) && asked.ends_with(",vhost"), "{asked}");
    }
    let ran = ask(&stub.url(), &["list", "--all-vhosts"]);
    assert!(ran.output.contains("a/b") && !ran.output.contains('\u{1b}'), "{ran:?}");
    let stub = HttpStub::answering(|_| (404, String::new()));
    let ran = ask(&stub.url(), &["list", "--all-vhosts"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.errors.contains("is no management API"), "{ran:?}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn top_shows_the_queues_of_all_virtual_hosts() {
    let (one, other) = (TestVhost::new(), TestVhost::new());
    for vhost in [&one, &other] {
        vhost.ok(&["declare", "queue", "jobs"]);
    }
    let vhosts_of = |arguments: &[&str]| {
        let arguments = [&["top", "jobs", "-n", "1", "--json"], arguments].concat();
        let listed = entries(&one.ok(&arguments));
        let vhosts = listed.iter().map(|entry| entry["vhost"].as_str().map(str::to_string));
        vhosts.collect::<Vec<_>>()
    };
    let all = vhosts_of(&["--all-vhosts"]);
    for vhost in [&one, &other] {
        let is_of = |listed: &&Option<String>| listed.as_deref() == Some(&*vhost.name);
        assert_eq!(all.iter().filter(is_of).count(), 1, "{all:?}");
    }
    assert_eq!(vhosts_of(&[]), [None]);
}

#[test]
fn top_of_all_virtual_hosts_needs_an_interface() {
    let ran = run(command(&["top", "jobs", "--all-vhosts"]), "");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.errors.contains("--management") && ran.errors.contains("--control"), "{ran:?}");
    let stub = HttpStub::answering(|_| {
        let queue = |vhost: &str| format!(r#"{{"vhost": "{vhost}", "name": "jobs"}}"#);
        (200, format!("[{}, {}]", queue("shop"), queue("/")))
    });
    let ran = ask(&stub.url(), &["top", "--all-vhosts", "-n", "1"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<Vec<_>> =
        ran.output.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(lines, [["vhost", "queue"], ["/", "jobs"], ["shop", "jobs"]], "{ran:?}");
}

#[test]
fn forms_without_virtual_hosts_are_refused() {
    for format in [&[][..], &["--format", "toml"], &["--format", "json"]] {
        let arguments = [&["topology", "export", "--all-vhosts"][..], format].concat();
        let ran = ask("http://127.0.0.1:1", &arguments);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.errors.contains("--format definitions"), "{ran:?}");
    }
    let ran = run(command(&["list", "queues", "jobs", "--all-vhosts"]), "");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.errors.contains("--management") && ran.errors.contains("--control"), "{ran:?}");
}
