//! The control interface as a server of HTTP: its trust rules, its limits, its end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each file of tests uses a part of the support")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_core::backend::Content;
use carrot_core::{Connection, Error};
use carrot_server::Server;
use serde_json::json;

use crate::support::SOON;
use crate::support::control::{ControlClient, error_of, eventually, response, serve};

/// Sends a head with these lines, and returns the status and the error.
fn refused(client: &ControlClient, lines: &[String]) -> (u16, String) {
    let (status, body) = client.raw(&format!("{}\r\n\r\n", lines.join("\r\n")));
    (status, error_of(&body))
}

/// The lines of a head that is accepted.
fn head(client: &ControlClient) -> Vec<String> {
    vec![
        "POST /v1/vhosts HTTP/1.1".into(),
        format!("Host: {}", client.address),
        format!("Authorization: Bearer {}", client.token),
    ]
}

#[test]
fn request_with_the_token_is_answered() {
    let (_server, client) = serve(&Broker::new());
    assert_eq!(client.call("vhosts", &json!({})), json!({ "vhosts": ["/"] }));
    let mut lines = head(&client);
    lines[1] = format!("host: LOCALHOST:{}", client.address.port());
    let answer = client.raw(&format!("{}\r\n\r\n", lines.join("\r\n")));
    assert_eq!(answer, (200, json!({ "vhosts": ["/"] })));
}

#[test]
fn request_without_the_token_is_refused() {
    let (_server, client) = serve(&Broker::new());
    let other = ControlClient { token: "0".repeat(64), ..client.clone() };
    assert_eq!(other.refused("clear_faults", &json!({})).0, 401);
    let short = ControlClient { token: client.token[..63].into(), ..client.clone() };
    assert_eq!(short.refused("clear_faults", &json!({})).0, 401);
    let mut lines = head(&client);
    lines.truncate(2);
    let (status, error) = refused(&client, &lines);
    assert!(status == 401 && error.contains("\"Authorization\" is missing"), "{error}");
    lines.push(format!("Authorization: Basic {}", client.token));
    assert_eq!(refused(&client, &lines).0, 401);
    let mut lines = head(&client);
    lines.push("Authorization: Bearer x".into());
    assert_eq!(refused(&client, &lines).0, 401);
}

#[test]
fn request_for_another_host_is_refused() {
    let (_server, client) = serve(&Broker::new());
    let port = client.address.port();
    for host in [format!("evil.example:{port}"), "127.0.0.1".into(), format!("127.0.0.1:{port}1")] {
        let mut lines = head(&client);
        lines[1] = format!("Host: {host}");
        let (status, error) = refused(&client, &lines);
        assert!(status == 421 && error.contains(&format!("{host:?}")), "{status} {error}");
    }
    let mut lines = head(&client);
    lines.remove(1);
    assert_eq!(refused(&client, &lines).0, 400);
    let mut lines = head(&client);
    lines.push("Host: evil.example".into());
    assert_eq!(refused(&client, &lines).0, 400);
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let (_server, client) = serve(&Broker::new());
    for (path, status, text) in [
        ("/v1/no%0Asuch", 404, "no operation \"no%0Asuch\"; there are vhosts, advance_clock"),
        ("/v1/", 404, "no operation \"\""),
        ("/v2/vhosts", 404, "the path has to be /v1/"),
        ("/", 404, "the path has to be /v1/"),
        ("/v1/vhosts?x=1", 404, "no operation"),
        ("http://evil.example/v1/vhosts", 400, "has to begin with a slash"),
    ] {
        let mut lines = head(&client);
        lines[0] = format!("POST {path} HTTP/1.1");
        let (found, error) = refused(&client, &lines);
        assert!(found == status && error.contains(text), "{path}: {found} {error}");
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "post"] {
        let mut lines = head(&client);
        lines[0] = format!("{method} /v1/vhosts HTTP/1.1");
        assert_eq!(refused(&client, &lines).0, 405, "{method}");
    }
}

#[test]
fn malformed_requests_are_refused() {
    let (_server, client) = serve(&Broker::new());
    for octets in ["\0\0\0\r\n\r\n", "AMQP\0\0\x09\x01", "POST\r\n\r\n", "POST / HTTP/9\r\n\r\n"] {
        let (status, body) = client.raw(octets);
        assert!(status == 400 && error_of(&body).contains("no HTTP/1.1"), "{octets:?}: {body}");
    }
    for (body, text) in [
        ("{", "the body is no JSON: EOF"),
        ("[]", "has to be a JSON object"),
        ("{\"count\": }", "no JSON"),
        ("{\"a\": 1}", "unknown field \"a\""),
    ] {
        let (status, answer) = client.send("clear_faults", body);
        assert!(status == 400 && error_of(&answer).contains(text), "{body}: {answer}");
    }
}

#[test]
fn head_above_its_limit_is_refused() {
    let (_server, client) = serve(&Broker::new());
    let mut lines = head(&client);
    lines.push(format!("X: {}", "x".repeat(8 << 10)));
    let (status, error) = refused(&client, &lines);
    assert!(status == 431 && error.contains("more than 8192 bytes"), "{status} {error}");
    let mut lines = head(&client);
    lines.extend((0..70).map(|index| format!("X-{index}: x")));
    let (status, error) = refused(&client, &lines);
    assert!(status == 431 && error.contains("more than 64 headers"), "{status} {error}");
    // No end of the head at all.
    let (status, body) = client.raw(&"x".repeat(200_000));
    assert!(status == 431 || status == 400, "{status} {body}");
}

#[test]
fn body_above_its_limit_is_refused_before_it_is_sent() {
    let (_server, client) = serve(&Broker::new());
    for (header, status, text) in [
        ("Content-Length: 1048577", 413, "1048577 bytes, and the limit is 1048576"),
        ("Content-Length: 99999999999999999999999999", 413, "the limit is 1048576"),
        ("Content-Length: -1", 400, "one whole number"),
        ("Content-Length: +1", 400, "one whole number"),
        ("Content-Length: 1\r\nContent-Length: 2", 400, "one whole number"),
        ("Transfer-Encoding: chunked", 411, "not supported"),
    ] {
        let mut lines = head(&client);
        lines.push(header.into());
        let (found, error) = refused(&client, &lines);
        assert!(found == status && error.contains(text), "{header}: {found} {error}");
    }
    // The client has sent the body, and receives the response nevertheless.
    let (status, body) = client.send("vhosts", &" ".repeat((1 << 20) + 1));
    assert_eq!(status, 413, "{body}");
    let (status, body) = client.send("vhosts", &format!("{{}}{}", " ".repeat((1 << 20) - 2)));
    assert_eq!(status, 200, "{body}");
}

#[test]
fn client_that_asks_first_is_told_to_continue() {
    let (_server, client) = serve(&Broker::new());
    let mut socket = client.connect();
    let mut lines = head(&client);
    lines.extend(["Expect: 100-continue".into(), "Content-Length: 2".into()]);
    socket.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).unwrap();
    let mut sign = [0; 25];
    socket.read_exact(&mut sign).unwrap();
    assert_eq!(&sign, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"{}").unwrap();
    assert_eq!(response(&mut socket).0, 200);
}

#[test]
fn unfinished_requests_stall_neither_others_nor_the_stop() {
    let (server, client) = serve(&Broker::new());
    let mut held = Vec::new();
    for octets in ["", "POST /v1/vho", "POST /v1/vhosts HTTP/1.1\r\nHost:"] {
        let mut socket = client.connect();
        socket.write_all(octets.as_bytes()).unwrap();
        held.push(socket);
    }
    let mut lines = head(&client);
    lines.push("Content-Length: 10".into());
    let mut socket = client.connect();
    socket.write_all(format!("{}\r\n\r\n{{", lines.join("\r\n")).as_bytes()).unwrap();
    held.push(socket);
    assert_eq!(client.call("vhosts", &json!({})), json!({ "vhosts": ["/"] }));
    server.stop(SOON).unwrap();
    for mut socket in held {
        // The end, or a reset.
        assert_eq!(socket.read(&mut [0; 10]).unwrap_or(0), 0);
    }
}

#[test]
fn requests_above_their_number_wait_until_another_ends() {
    let (server, client) = serve(&Broker::new());
    let mut held: Vec<TcpStream> = (0..32).map(|_| client.connect()).collect();
    let mut waiting = client.connect();
    let request = format!("{}\r\n\r\n", head(&client).join("\r\n"));
    waiting.write_all(request.as_bytes()).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(waiting.read(&mut [0; 1]).is_err());
    waiting.set_read_timeout(Some(3 * SOON)).unwrap();
    held.pop();
    assert_eq!(response(&mut waiting).0, 200);
    // A full interface ends, too.
    held.extend([client.connect(), client.connect()]);
    server.stop(SOON).unwrap();
}

#[test]
fn interface_ends_with_its_server() {
    for is_stopped in [true, false] {
        let name = format!("interface-ends-with-its-server-{is_stopped}");
        let broker = Broker::named(&name);
        Connection::new(broker.connector()).declare_queue("q").unwrap();
        let (server, client) = serve(&broker);
        assert_eq!(client.call("queue", &json!({ "queue": "q" }))["name"], "q");
        drop(broker);
        if is_stopped {
            server.stop(SOON).unwrap();
        } else {
            drop(server);
        }
        // The broker ends with the threads of the interface. Its port may be that of another
        // server already.
        eventually("the end of the interface", || Broker::named(&name).queue("q").is_none());
    }
}

#[test]
fn stop_ends_a_request_that_waits() {
    let name = "stop-ends-a-request-that-waits";
    let broker = Broker::named(name);
    let connection = Connection::new(broker.connector());
    connection.declare_queue("busy").unwrap();
    broker.put("busy", Content::new("", "busy", "x")).unwrap();
    let (server, client) = serve(&broker);
    let mut socket = client.connect();
    let body = json!({ "timeout_seconds": 60 }).to_string();
    let mut lines = head(&client);
    lines[0] = "POST /v1/wait_until_idle HTTP/1.1".into();
    lines.push(format!("Content-Length: {}", body.len()));
    socket.write_all(format!("{}\r\n\r\n{body}", lines.join("\r\n")).as_bytes()).unwrap();
    assert_eq!(client.call("vhosts", &json!({})), json!({ "vhosts": ["/"] }));
    server.stop(SOON).unwrap();
    drop((connection, broker));
    // The thread of the request was the last one that used the broker.
    eventually("the end of the request", || Broker::named(name).queue("busy").is_none());
}

#[test]
fn interface_is_bound_to_the_loopback_interface_only() {
    let broker = Broker::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let server = Server::builder(&broker).user("ann", "hush").allow_other_machines();
        match server.control(address).bind("127.0.0.1:0") {
            Err(Error::Config { option, reason }) => {
                assert!(option == "control" && reason.contains("loopback"), "{option}: {reason}");
            }
            other => panic!("{address}: {other:?}"),
        }
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let server = Server::builder(&broker).control(address).bind("127.0.0.1:0");
    assert!(matches!(server, Err(Error::Backend { .. })), "{server:?}");
    let server = Server::builder(&broker).control("no port").bind("127.0.0.1:0");
    assert!(matches!(server, Err(Error::Backend { .. })), "{server:?}");
}

#[test]
fn token_is_in_no_debug_output() {
    let (server, client) = serve(&Broker::new());
    let shown = format!("{server:?} {:?}", server.control());
    assert!(!shown.contains(&client.token) && shown.contains("address"), "{shown}");
    assert_eq!(server.control().unwrap().url(), format!("http://{}/v1", client.address));
}
