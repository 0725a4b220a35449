//! A management API that refuses, is slow, or answers with something else.

use std::io::Write;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::http_stub::HttpStub;
use crate::support::{LONG, Ran, command, run};

fn list(url: &str, arguments: &[&str]) -> Ran {
    let mut command = command(&[&["list"], arguments].concat());
    command.env("CARROT_MANAGEMENT", url);
    run(command, "")
}

/// A page of a listing of queues.
fn page(names: &[&str], page: u32, pages: u32) -> String {
    let items: Vec<_> = names
        .iter()
        .map(|name| serde_json::json!({"name": name, "type": "classic", "messages_ready": 3}))
        .collect();
    serde_json::json!({"items": items, "page": page, "page_count": pages}).to_string()
}

#[test]
fn management_that_cannot_be_reached_is_exit_code_3() {
    let ran = list("http://127.0.0.1:1", &["queues", "--timeout", "20"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.errors.contains("127.0.0.1:1"), "{ran:?}");
}

#[test]
fn management_that_refuses_the_user_is_exit_code_4() {
    let stub = HttpStub::answering(|_| {
        (401, r#"{"error":"not_authorized","reason":"Login \u001b[31mfailed"}"#.into())
    });
    let url = stub.url().replace("http://", "http://ann:hush-9@");
    let ran = list(&url, &[]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.errors.contains("\"ann\"") && ran.errors.contains("Login \\u{1b}"), "{ran:?}");
    assert!(!ran.errors.contains("hush") && !ran.errors.contains("other users"), "{ran:?}");
    let ran = run(command(&["list", "--management", &url]), "");
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.errors.contains("read the password of --management"), "{ran:?}");
    assert!(!ran.errors.contains("hush"), "{ran:?}");
    let stub = HttpStub::answering(|_| (403, String::new()));
    assert_eq!(list(&stub.url(), &[]).code, 4);
}

#[test]
fn management_without_the_virtual_host_is_exit_code_5() {
    let stub = HttpStub::answering(|_| (404, r#"{"reason":"Not Found"}"#.into()));
    let ran = list(&stub.url(), &["--url", "amqp://localhost/a%2fb"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.errors.contains("\"a/b\"") && ran.errors.contains("Not Found"), "{ran:?}");
    assert!(stub.requests()[0].path.starts_with("/api/queues/a%2Fb?"), "{:?}", stub.requests());
}

#[test]
fn management_that_is_silent_is_exit_code_7() {
    let headers = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[";
    for answer in ["", headers] {
        let stub = HttpStub::new(move |_, stream| {
            stream.write_all(answer.as_bytes())?;
            // Until the client goes.
            let mut rest = Vec::new();
            std::io::Read::read_to_end(stream, &mut rest).map(drop)
        });
        let started = Instant::now();
        let ran = list(&stub.url(), &["--timeout", "0.5"]);
        assert_eq!(ran.code, 7, "{ran:?}");
        assert!(started.elapsed() < LONG);
    }
}

#[test]
fn management_with_an_endless_answer_is_refused() {
    let stub = HttpStub::new(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[")?;
        loop {
            stream.write_all(&[b' '; 1 << 16])?;
        }
    });
    let ran = list(&stub.url(), &["--timeout", "60"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.errors.contains("more than 64 MiB"), "{ran:?}");
}

#[test]
fn management_that_answers_otherwise_is_exit_code_1() {
    for (status, body, word) in [
        (200, "<html>", "no JSON"),
        (200, "7", "no list"),
        (200, "{}", "no items"),
        (500, "broken", "500"),
    ] {
        let stub = HttpStub::answering(move |_| (status, body.into()));
        let ran = list(&stub.url(), &[]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.errors.contains(word), "{word}: {ran:?}");
    }
    let amqp = HttpStub::new(|_, stream| stream.write_all(b"AMQP\x00\x00\x09\x01"));
    let ran = list(&amqp.url(), &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.errors.contains("15672"), "{ran:?}");
}

#[test]
fn management_that_redirects_gets_no_second_request() {
    let other = HttpStub::answering(|_| (200, "[]".into()));
    let location = other.url();
    let stub = HttpStub::new(move |_, stream| {
        write!(stream, "HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
    });
    let mut list = command(&["list"]);
    // Nor does a proxy.
    list.env("CARROT_MANAGEMENT", stub.url()).env("http_proxy", other.url());
    let ran = run(list, "");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.errors.contains("302"), "{ran:?}");
    assert_eq!((stub.requests().len(), other.requests().len()), (1, 0));
}

#[test]
fn listing_has_the_queues_of_every_page() {
    let stub = HttpStub::answering(|request| {
        if request.path.contains("page=1&") {
            (200, page(&["jobs.a", "other", "evil\u{1b}[2J"], 1, 3))
        } else if request.path.contains("page=2&") {
            (200, page(&["jobs.b"], 2, 3))
        } else {
            // The queues of the last page were deleted.
            (400, r#"{"error":"page_out_of_range"}"#.into())
        }
    });
    let ran = list(&stub.url(), &["queues", "--json", "jobs.*", "oth?r"]);
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""), "{ran:?}");
    let names: Vec<_> = ran
        .output
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|entry| format!("{} {}", entry["name"], entry["unacknowledged"]))
        .collect();
    assert_eq!(names, ["\"jobs.a\" null", "\"other\" null", "\"jobs.b\" null"]);
    assert_eq!(stub.requests().len(), 3);
    let ran = list(&stub.url(), &[]);
    assert!(ran.output.contains("evil\\u{1b}") && !ran.output.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn user_and_password_are_those_of_the_arguments() {
    let stub = HttpStub::answering(|_| (200, "[]".into()));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hush-9\n").unwrap();
    let path = file.path().to_str().unwrap();
    let with_user = stub.url().replace("http://", "http://eve:no@") + "/prefix/";
    assert_eq!(list(&stub.url(), &["exchanges"]).code, 0);
    assert_eq!(list(&with_user, &["--password-file", path]).code, 0);
    assert_eq!(list(&with_user, &["--password-file", path, "--user", "ann"]).code, 0);
    let logins: Vec<_> = stub.requests().into_iter().map(|request| request.authorization).collect();
    let basic = |login: &str| format!("Basic {}", STANDARD.encode(login));
    assert_eq!(logins, [basic("guest:guest"), basic("eve:hush-9"), basic("ann:hush-9")]);
    assert!(stub.requests()[1].path.starts_with("/prefix/api/queues/%2F?"));
}

#[test]
fn url_of_management_that_cannot_be_used_is_exit_code_2() {
    for url in ["localhost", "amqp://localhost", "http://ann:hush/9@localhost", "http://h:x"] {
        for arguments in [&["list"][..], &["top"], &["topology", "export"]] {
            let ran = run(command(&[arguments, &["--management", url]].concat()), "");
            assert_eq!(ran.code, 2, "{url}: {ran:?}");
            assert!(!ran.errors.contains("hush"), "{ran:?}");
        }
    }
}
