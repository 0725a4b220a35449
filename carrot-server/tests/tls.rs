//! TLS, and logins with client certificates.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each file of tests uses a part of the support")]

#[path = "support/authority.rs"]
mod authority;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use carrot::config::{Pem, TlsOptions};
use carrot::{Connection, ConnectionOptions, Error};
use carrot_amqp_wire::ProtocolHeader;
use carrot_backend_memory::Broker;
use carrot_server::{Server, ServerBuilder, ServerTls};
use carrot_tls::TlsConnector;

use crate::authority::{TestAuthority, TestIdentity};
use crate::support::{RawClient, SOON};

const HOST: &str = "127.0.0.1:0";

/// The log lines of all tests of this file.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("carrot_server") {
            LINES.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

fn keep_log() {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// Sends all but the last octet of a TLS record, one in each pause. Ends when the peer closes the
/// socket.
fn drip(socket: &mut TcpStream, pause: Duration) {
    socket.set_read_timeout(Some(pause)).unwrap();
    let record = [&[0x16, 3, 1, 1, 0, 1, 0, 0, 252][..], &[0; 251]].concat();
    for octet in &record {
        if socket.write_all(&[*octet]).is_err() {
            return;
        }
        match socket.read(&mut [0; 100]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // An end, an alert before it, or a reset.
            _ => return,
        }
    }
    panic!("the handshake went on for {} octets", record.len());
}

/// Waits for a log line.
fn until_logged(words: &str) {
    let deadline = Instant::now() + SOON;
    while !LINES.lock().unwrap().iter().any(|line| line.contains(words)) {
        assert!(Instant::now() < deadline, "no line has {words:?}: {:?}", LINES.lock().unwrap());
        std::thread::yield_now();
    }
}

fn tls_of(identity: &TestIdentity) -> ServerTls {
    ServerTls::new(Pem::text(&*identity.certificate), Pem::text(&*identity.key))
}

fn builder(authority: &TestAuthority) -> ServerBuilder {
    builder_of(&Broker::new(), authority)
}

fn builder_of(broker: &Broker, authority: &TestAuthority) -> ServerBuilder {
    keep_log();
    Server::builder(broker).tls(tls_of(&authority.server()))
}

fn trusting(server: &Server, authority: &TestAuthority) -> ConnectionOptions {
    let options = server.url().parse::<ConnectionOptions>().unwrap();
    options.tls(TlsOptions::new().authority(Pem::text(&*authority.certificate)))
}

fn with_certificate(
    server: &Server,
    authority: &TestAuthority,
    identity: &TestIdentity,
) -> ConnectionOptions {
    let mut options = trusting(server, authority);
    options.tls =
        options.tls.identity(Pem::text(&*identity.certificate), Pem::text(&*identity.key));
    options
}

/// Sends a message of this size through the server, and receives it.
fn exchange(connection: &Connection, size: usize) {
    let consumer = connection.consumer("q").build().unwrap();
    let publisher = connection.publisher().routing_key("q").build().unwrap();
    publisher.message().send_bytes(vec![7; size]).unwrap();
    let message = consumer.fetch().unwrap().expect("a message");
    assert_eq!(message.body(), vec![7; size]);
    message.ack().unwrap();
}

fn connect(options: &ConnectionOptions) -> carrot::Result<Connection> {
    carrot::connect(options)
}

#[test]
fn messages_of_any_size_cross_tls() {
    let authority = TestAuthority::new();
    let server = builder(&authority).bind(HOST).unwrap();
    assert!(server.url().starts_with("amqps://guest:guest@127.0.0.1:"), "{}", server.url());
    let connection = connect(&trusting(&server, &authority)).unwrap();
    for size in [0, 1, 100_000, 5_000_000] {
        exchange(&connection, size);
    }
    drop(connection);
    server.stop(SOON).unwrap();
}

#[test]
fn tls_client_that_does_not_read_stops_only_itself() {
    const MESSAGES: usize = 2_000;
    let authority = TestAuthority::new();
    let broker = Broker::new();
    let server = builder_of(&broker, &authority).bind(HOST).unwrap();
    let options = TlsOptions::new().authority(Pem::text(&*authority.certificate));
    let connector = TlsConnector::new(&options, "127.0.0.1").unwrap();
    let mut slow = RawClient::open_with_tls(server.address(), &connector);
    slow.declare("slow");
    slow.consume("slow", true);
    assert_eq!(slow.next(), "basic.consume-ok");
    let mut other = RawClient::open_with_tls(server.address(), &connector);
    for _ in 0..MESSAGES {
        other.publish("slow", &[0; 20_000]);
    }
    assert_eq!(other.declare("other"), "queue.declare-ok other 0");
    // Apart from the buffers of the system, a connection takes less than 1 MiB here.
    let left = broker.queue("slow").unwrap().ready.len();
    assert!(left > MESSAGES / 2, "{left} messages wait in their queue");
    // Once the client reads, it receives everything, in order.
    let mut delivered = 0;
    while delivered < MESSAGES {
        let seen = slow.next();
        if let Some(tag) = seen.strip_prefix("basic.deliver ") {
            delivered += 1;
            assert_eq!(tag, delivered.to_string());
        }
    }
    slow.close();
    other.close();
}

#[test]
fn client_that_trusts_another_authority_refuses_the_server() {
    let (authority, other) = (TestAuthority::new(), TestAuthority::new());
    let server = builder(&authority).bind(HOST).unwrap();
    let refused = connect(&trusting(&server, &other));
    assert!(matches!(refused, Err(Error::Connect { .. } | Error::Config { .. })), "{refused:?}");
    until_logged("WARN a connection was closed in its TLS handshake");
}

#[test]
fn client_without_tls_is_closed_with_the_reason_in_the_log() {
    let server = builder(&TestAuthority::new()).bind(HOST).unwrap();
    let mut client = RawClient::connect(server.address());
    client.send(&ProtocolHeader::AMQP_0_9_1.octets());
    assert_eq!(client.next(), "end");
    until_logged("TLS handshake: the client speaks AMQP without TLS");
}

#[test]
fn tls_client_of_a_plain_server_is_closed_with_the_reason_in_the_log() {
    keep_log();
    let authority = TestAuthority::new();
    let server = Server::bind(HOST, &Broker::new()).unwrap();
    let options = trusting(&server, &authority);
    assert!(connect(&options).is_err());
    until_logged("the client speaks TLS, and the server has none");
}

#[test]
fn octets_that_are_no_tls_end_the_handshake() {
    let server = builder(&TestAuthority::new()).bind(HOST).unwrap();
    for octets in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff], &[0; 100]] {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket.write_all(octets).unwrap();
        // An alert may come before the end. A reset is an end, too.
        let _ = socket.read_to_end(&mut Vec::new());
    }
    let deadline = Instant::now() + SOON;
    while server.connection_count() > 0 {
        assert!(Instant::now() < deadline, "a connection has not ended");
        std::thread::yield_now();
    }
}

#[test]
fn slow_tls_handshake_ends_at_its_deadline() {
    const DEADLINE: Duration = Duration::from_millis(200);
    let server = builder(&TestAuthority::new()).handshake_timeout(DEADLINE).bind(HOST).unwrap();
    for octets in [&b""[..], &[0x16, 3, 1, 1, 0]] {
        let mut client = RawClient::connect(server.address());
        client.send(octets);
        assert_eq!(client.next(), "end");
    }
    // Each octet arrives in time. Together, they do not.
    drip(&mut TcpStream::connect(server.address()).unwrap(), DEADLINE / 4);
}

#[test]
fn stop_does_not_wait_for_a_tls_handshake() {
    const LONG: Duration = Duration::from_secs(60);
    let server = builder(&TestAuthority::new()).handshake_timeout(2 * LONG).bind(HOST).unwrap();
    let mut client = RawClient::connect(server.address());
    let deadline = Instant::now() + SOON;
    while server.connection_count() == 0 {
        assert!(Instant::now() < deadline, "the connection was not accepted");
        std::thread::yield_now();
    }
    // Both the close of the server and that of a thread that has not begun end the client.
    let started = Instant::now();
    let _ = server.stop(LONG);
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    assert_eq!(client.next(), "end");
}

#[test]
fn client_certificate_logs_in_as_its_common_name() {
    let (authority, clients) = (TestAuthority::new(), TestAuthority::new());
    let tls = tls_of(&authority.server()).client_authority(Pem::text(&*clients.certificate));
    let server = builder(&authority)
        .tls(tls)
        .user("ann", "hush")
        .certificate_user("worker")
        .bind(HOST)
        .unwrap();
    let external = |name: &str| {
        let identity = clients.client(name);
        connect(&with_certificate(&server, &authority, &identity).external_credentials())
    };
    for name in ["worker", "ann"] {
        let connection = external(name).unwrap();
        // The broker knows the user: a message may name no other.
        let publisher = connection.publisher().exchange("amq.direct").build().unwrap();
        let named = |user: &str| {
            let properties = carrot::message::Properties::new().with_user_id(user);
            publisher.message().properties(|_| properties).send_bytes("x")
        };
        named(name).unwrap();
        assert!(named("eve").is_err());
    }
    assert!(external("eve").is_err());
    until_logged("WARN the login of a peer was refused: no user has the common name");
    // Passwords are still accepted, but not of users without one.
    let ann = trusting(&server, &authority).credentials("ann", "hush");
    exchange(&connect(&ann).unwrap(), 10);
    for password in ["", "worker"] {
        let options = trusting(&server, &authority).credentials("worker", password);
        assert!(connect(&options).is_err());
    }
    // Without a certificate, the user of EXTERNAL is unknown.
    assert!(connect(&trusting(&server, &authority).external_credentials()).is_err());
}

#[test]
fn certificate_of_another_authority_is_refused() {
    let (authority, other) = (TestAuthority::new(), TestAuthority::new());
    let tls = tls_of(&authority.server()).client_authority(Pem::text(&*authority.certificate));
    let server = builder(&authority).tls(tls).certificate_user("worker").bind(HOST).unwrap();
    let options = with_certificate(&server, &authority, &other.client("worker"));
    assert!(connect(&options.external_credentials()).is_err());
}

#[test]
fn required_certificate_is_demanded_in_the_handshake() {
    let authority = TestAuthority::new();
    let tls = tls_of(&authority.server())
        .client_authority(Pem::text(&*authority.certificate))
        .require_client_certificate();
    let server = builder(&authority).tls(tls).bind(HOST).unwrap();
    assert!(connect(&trusting(&server, &authority)).is_err());
    let options = with_certificate(&server, &authority, &authority.client("anyone"));
    exchange(&connect(&options).unwrap(), 10);
}

#[test]
fn unusable_certificates_and_keys_are_named() {
    let authority = TestAuthority::new();
    let TestIdentity { certificate, key } = authority.server();
    let tls =
        |certificates: &str, key: &str| ServerTls::new(Pem::text(certificates), Pem::text(key));
    let missing = ServerTls::new(Pem::file("/nowhere/server.pem"), Pem::text(&*key));
    let broken = "-----BEGIN PRIVATE KEY-----\nhush*hush\n-----END PRIVATE KEY-----\n";
    for (tls, named) in [
        (missing, "tls certificates"),
        (tls("nothing", &key), "tls certificates"),
        (tls(&certificate, &authority.server().key), "tls certificates"),
        (tls(&certificate, broken), "tls key"),
        (tls(&certificate, &key).client_authority(Pem::text("nothing")), "tls client_authority"),
        (tls(&certificate, &key).require_client_certificate(), "tls client_authority"),
    ] {
        let bound = Server::builder(&Broker::new()).tls(tls).bind(HOST);
        let Err(error @ Error::Config { .. }) = bound else { panic!("{named}: {bound:?}") };
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        let Error::Config { option, .. } = error else { panic!("{error}") };
        assert_eq!(option, named);
    }
}

#[test]
fn debug_output_hides_the_key() {
    let identity = TestAuthority::new().server();
    let secret = identity.key.lines().nth(1).unwrap();
    let builder = Server::builder(&Broker::new()).tls(tls_of(&identity)).user("ann", "hush");
    let server = builder.clone().bind(HOST).unwrap();
    let shown = format!("{builder:?} {:?} {server:?}", tls_of(&identity));
    assert!(!shown.contains(secret) && !shown.contains("hush"), "{shown}");
}
