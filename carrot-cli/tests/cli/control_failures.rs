//! A control interface that refuses, is silent, or answers with something else.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::controlled_broker::ControlledBroker;
use crate::http_stub::HttpStub;
use crate::listings::entry;
use crate::support::{LONG, Ran, command, finish, interrupt, next_line, run, start};

/// Lists with an interface, and with a token that no test prints.
fn list(control: &str) -> Ran {
    let mut list = command(&["list", "--timeout", "60"]);
    list.env("CARROT_CONTROL", control).env("CARROT_CONTROL_TOKEN", "5ec2e7");
    run(list, "")
}

#[test]
fn wrong_token_is_exit_code_4_and_not_printed() {
    let broker = ControlledBroker::hosted("amqp");
    let ran = list(&broker.control);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.errors.contains("refuses the token") && !ran.errors.contains("5ec2e7"), "{ran:?}");
}

#[test]
fn interface_that_is_named_wrongly_is_exit_code_2() {
    let url = "http://127.0.0.1:9/v1";
    for (variables, word) in [
        (&[("CARROT_CONTROL", url)][..], "CARROT_CONTROL_TOKEN"),
        (&[("CARROT_CONTROL", url), ("CARROT_CONTROL_TOKEN", "x\r\nhush")], "hexadecimal"),
        (&[("CARROT_CONTROL", "http://192.0.2.1:9"), ("CARROT_CONTROL_TOKEN", "0")], "loopback"),
        (&[("CARROT_CONTROL", "http://hush@127.0.0.1:9/v1")], "CARROT_CONTROL"),
        (&[("CARROT_CONTROL", url), ("CARROT_MANAGEMENT", "http://h")], "CARROT_MANAGEMENT and"),
    ] {
        let mut list = command(&["list"]);
        list.envs(variables.iter().copied());
        let ran = run(list, "");
        assert_eq!(ran.code, 2, "{variables:?}: {ran:?}");
        assert!(ran.errors.contains(word) && !ran.errors.contains("hush"), "{word}: {ran:?}");
    }
    let no_file = ["list", "--control", url, "--control-token-file", "/nonexistent"];
    let ran = run(command(&no_file), "");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.errors.contains("/nonexistent"), "{ran:?}");
    let both = ["list", "--control", url, "--management", "http://127.0.0.1:9"];
    let ran = run(command(&both), "");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.errors.contains("--management and --control"), "{ran:?}");
}

#[test]
fn interface_that_cannot_be_reached_is_exit_code_3() {
    let ran = list("http://127.0.0.1:1/v1");
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.errors.contains("127.0.0.1:1"), "{ran:?}");
}

#[test]
fn interface_that_ends_is_exit_code_3_for_top() {
    let mut broker = ControlledBroker::hosted("zeromq");
    broker.ok(&["declare", "queue", "jobs"]);
    let (child, mut output) = start(broker.command(&["top", "--interval", "0.1", "--json"]));
    assert_eq!(entry(&next_line(&mut output))["queue"], "jobs");
    broker.host.kill().unwrap();
    broker.host.wait().unwrap();
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    let ran = finish(child);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.errors.contains("127.0.0.1"), "{ran:?}");
}

#[test]
fn interface_that_answers_otherwise_is_exit_code_1() {
    for (status, body, word) in [
        (200, "<html>", "no JSON"),
        (200, "7", "no queues"),
        (200, r#"{"queues": 7}"#, "no list"),
        (405, r#"{"error": "hm \u001b[31m"}"#, "hm \\u{1b}"),
        (500, "broken", "500"),
    ] {
        let stub = HttpStub::answering(move |_| (status, body.into()));
        let ran = list(&stub.url());
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.errors.contains(word), "{word}: {ran:?}");
        let request = &stub.requests()[0];
        assert_eq!(request.authorization, "Bearer 5ec2e7");
        assert_eq!((&*request.path, &*request.body), ("/v1/queues", r#"{"vhost":"/"}"#));
    }
    // Entries without fields, and with others than expected.
    let odd = r#"{"queues": [7, {}, {"name": ["x"], "arguments": {"x-queue-type": 1}}]}"#;
    let stub = HttpStub::answering(move |_| (200, odd.into()));
    assert_eq!(list(&stub.url()).code, 0);
    let ran = list(&HttpStub::new(|_, stream| stream.write_all(b"AMQP\0\0\x09\x01")).url());
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.errors.contains("carrot serve prints"), "{ran:?}");
}

#[test]
fn endless_answer_of_an_interface_is_refused() {
    let stub = HttpStub::new(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{")?;
        loop {
            stream.write_all(&[b' '; 1 << 16])?;
        }
    });
    let ran = list(&stub.url());
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.errors.contains("more than 64 MiB"), "{ran:?}");
}

#[test]
fn interrupt_ends_top_while_an_interface_is_silent() {
    // Until the client goes.
    let silent = |stream: &mut TcpStream| std::io::copy(stream, &mut std::io::sink()).map(drop);
    let stub = HttpStub::new(move |_, stream| silent(stream));
    let mut top = command(&["top", "--timeout", "600"]);
    top.env("CARROT_CONTROL", stub.url()).env("CARROT_CONTROL_TOKEN", "5ec2e7");
    let (child, _output) = start(top);
    let deadline = Instant::now() + LONG;
    while stub.requests().is_empty() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    interrupt(&child);
    // Long before the time limit of the request.
    let ran = finish(child);
    assert_eq!((ran.code, &*ran.output, &*ran.errors), (0, "", ""), "{ran:?}");
}
