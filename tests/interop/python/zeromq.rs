//! The programs of `examples/zeromq_python`, with pyzmq, as clients of a host.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use carrot::zeromq::BrokerHost;
use carrot::{Connection, memory};

use crate::program::Program;
use crate::support::{SOON, receive};

fn host() -> (memory::Broker, BrokerHost, Connection) {
    let broker = memory::Broker::new();
    let host = BrokerHost::bind("127.0.0.1:0", &broker).unwrap();
    let connection = carrot::connect(host.url()).unwrap();
    (broker, host, connection)
}

fn start(name: &str, host: &BrokerHost, arguments: &[&str]) -> Program {
    Program::zeromq_example(name, &host.url(), arguments)
}

/// Starts a program that runs into an error.
fn fail(url: &str, task: &str, queue: &str) -> Program {
    Program::python("zeromq_errors", url, &[task, queue])
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn messages_of_pyzmq_are_confirmed() {
    let (_broker, host, connection) = host();
    let consumer = connection.consumer("jobs").build().unwrap();
    let client = start("publish", &host, &["jobs", "one", "zw\u{f6}lf"]);
    for (message, body) in receive(&consumer, 2).into_iter().zip(["one", "zw\u{f6}lf"]) {
        assert_eq!(message.text(), Some(body));
        assert_eq!(message.properties().content_type(), Some("text/plain"));
        message.ack().unwrap();
    }
    client.expect("2 confirmed");
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn pyzmq_consumes_and_acknowledges() {
    let (broker, host, connection) = host();
    let client = start("consume", &host, &["numbers", "25"]);
    client.expect("ready");
    let publisher = connection.publisher().routing_key("numbers").build().unwrap();
    publisher.send_all(1..=25).unwrap();
    for number in 1..=25 {
        client.expect(&number.to_string());
    }
    client.expect_end();
    let queue = broker.queue("numbers").unwrap();
    assert_eq!((queue.ready.len(), queue.unacked.len()), (0, 0));
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn killed_program_of_pyzmq_leaves_its_messages() {
    let (broker, host, connection) = host();
    connection.publisher().queue("jobs").build().unwrap().send_all(1..=20).unwrap();
    let client = fail(&host.url(), "keep", "jobs");
    client.expect("received");
    drop(client);
    let consumer = connection.consumer("jobs").build().unwrap();
    assert!(receive(&consumer, 20).iter().any(carrot::Message::is_redelivered));
    drop(broker);
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn callers_and_servers_of_pyzmq_and_carrot_answer_each_other() {
    let (_broker, host, connection) = host();
    let server = start("rpc_server", &host, &["double"]);
    server.expect("ready");
    let caller = connection.caller("double").build().unwrap();
    for number in 1..=20_u64 {
        assert_eq!(caller.call::<u64, u64>(&number, SOON).unwrap(), 2 * number);
    }
    let client = start("rpc_client", &host, &["double", "4", "21"]);
    client.expect("4 doubled is 8");
    client.expect("21 doubled is 42");

    let consumer = connection.consumer("triple").build().unwrap();
    let _workers = consumer.serve(1, |number: u64| Ok::<_, String>(3 * number)).unwrap();
    start("rpc_client", &host, &["triple", "5"]).expect("5 doubled is 15");
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn errors_of_pyzmq_name_their_reason() {
    let (broker, host, _connection) = host();
    let line = |task: &str| fail(&host.url(), task, "nobody").line();
    assert_eq!(line("publish"), "HostError messages 1 to 1 were returned: 312 NO_ROUTE");
    assert_eq!(line("request"), "HostError messages 1 to 1 were returned: 312 NO_ROUTE");
    let missing = line("consume");
    assert!(missing.starts_with("HostError NOT_FOUND - no queue 'nobody'"), "{missing}");

    let secured = BrokerHost::builder(&broker).user("ann", "hush").bind("127.0.0.1:0").unwrap();
    let address = secured.address().unwrap();
    let url = |user: &str| format!("zmq://{user}@{address}");
    let client = Program::zeromq_example("publish", &url("ann:hush"), &["jobs", "x"]);
    client.expect("1 confirmed");
    let refused = fail(&url("ann:wrong"), "publish", "jobs").line();
    assert!(refused.starts_with("TimeoutError") && refused.contains("password"), "{refused}");
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn socket_that_connects_again_is_refused_with_a_reason() {
    let broker = memory::Broker::new();
    let host = BrokerHost::bind("127.0.0.1:0", &broker).unwrap();
    let address = host.address().unwrap();
    let client = fail(&host.url(), "reconnect", "jobs");
    client.expect("ready");
    host.stop(Duration::from_secs(10)).unwrap();
    let _host = BrokerHost::bind(address, &broker).unwrap();
    let reason = client.line();
    assert!(reason.starts_with("HostError the host ended the connection: "), "{reason}");
    assert!(reason.contains("hello"), "{reason}");
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn idle_consumer_of_pyzmq_finds_that_its_host_started_again() {
    let broker = memory::Broker::new();
    let host = BrokerHost::bind("127.0.0.1:0", &broker).unwrap();
    let address = host.address().unwrap();
    let client = fail(&host.url(), "reconnect", "idle");
    client.expect("ready");
    host.stop(Duration::from_secs(10)).unwrap();
    let deadline = Duration::from_millis(500);
    let builder = BrokerHost::builder(&broker).handshake_timeout(deadline);
    let _host = builder.bind(address).unwrap();
    let reason = client.line();
    assert!(reason.starts_with("HostError the host ended the connection: "), "{reason}");
    assert!(reason.contains("hello"), "{reason}");
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn pyzmq_leaves_a_host_that_falls_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("zmq://{}", silent.local_addr().unwrap());
    let _client = fail(&url, "silent", "jobs");
    let (mut socket, _) = silent.accept().unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut greeting = [0; 64];
    greeting[0] = 0xFF;
    greeting[9..12].copy_from_slice(&[0x7F, 3, 1]);
    greeting[12..16].copy_from_slice(b"NULL");
    socket.write_all(&greeting).unwrap();
    socket.write_all(b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER").unwrap();
    let mut read = Vec::new();
    socket.read_to_end(&mut read).unwrap();
    assert!(read.windows(5).any(|octets| octets == b"\x04PING"), "{}", read.escape_ascii());
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn pyzmq_waits_for_a_host_that_blocks_publishers_no_longer_than_its_timeout() {
    let (broker, host, connection) = host();
    connection.declare_queue("jobs").unwrap();
    broker.faults().block_publishers("low on disk");
    let client = fail(&host.url(), "blocked", "jobs");
    let late = client.line();
    assert!(late.starts_with("no confirm of tcp://"), "{late}");
    assert!(late.ends_with("the host blocks publishers: low on disk"), "{late}");
    let full = client.line();
    assert!(full.starts_with("TimeoutError no room for more messages of tcp://"), "{full}");
    assert!(full.ends_with("the host blocks publishers: low on disk"), "{full}");
    client.expect_end();
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn refused_value_of_pyzmq_is_named_with_field_and_limit() {
    let (_broker, host, _connection) = host();
    let error = fail(&host.url(), "nest", "jobs").line();
    assert!(
        error.starts_with("HostError the host closed the channel: invalid headers: "),
        "{error}"
    );
    assert!(error.contains("more than "), "{error}");
    assert!(error.ends_with(" levels of nested tables and arrays"), "{error}");
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn server_of_pyzmq_discards_what_it_cannot_answer() {
    let (broker, host, connection) = host();
    let server = start("rpc_server", &host, &["double"]);
    server.expect("ready");
    let publisher = connection.publisher().routing_key("double").build().unwrap();
    publisher.send(&1_u64).unwrap();
    server.expect("discarded: KeyError");
    publisher.message().send_bytes("no number").unwrap();
    server.expect("discarded: JSONDecodeError");
    let caller = connection.caller("double").build().unwrap();
    assert_eq!(caller.call::<u64, u64>(&21, SOON).unwrap(), 42);
    // The server settles the last request after it has answered it.
    let deadline = Instant::now() + SOON;
    let left = || broker.queue("double").map(|queue| queue.ready.len() + queue.unacked.len());
    while left() != Some(0) {
        assert!(Instant::now() < deadline, "{:?}", left());
        thread::yield_now();
    }
}
