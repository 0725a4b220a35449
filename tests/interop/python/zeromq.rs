//! pyzmq, as a client of a host.

use std::time::Duration;

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

fn python(host: &BrokerHost, arguments: &[&str]) -> Program {
    Program::python("zeromq_client", &host.url(), arguments)
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn messages_of_pyzmq_are_confirmed_and_returned() {
    let (_broker, host, connection) = host();
    let consumer = connection.consumer("jobs").build().unwrap();
    let client = python(&host, &["publish", "jobs", "one", "two"]);
    let bodies: Vec<_> =
        receive(&consumer, 2).iter().map(|message| message.text().unwrap().to_owned()).collect();
    assert_eq!(bodies, ["one", "two"]);
    let mut line = client.line();
    while line.starts_with("confirmed") {
        assert!(line.ends_with("outcome 0"), "{line}");
        line = client.line();
    }
    assert_eq!(line, "closed");
    // No queue has this name, and the message is mandatory.
    let client = python(&host, &["publish", "nobody", "lost"]);
    client.expect("confirmed 1 to 1 outcome 2");
    client.expect("closed");
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn pyzmq_consumes_and_acknowledges() {
    let (broker, host, connection) = host();
    let client = python(&host, &["consume", "numbers", "8"]);
    client.expect("ready");
    let publisher = connection.publisher().routing_key("numbers").build().unwrap();
    publisher.send_all(1..=8).unwrap();
    for number in 1..=8 {
        client.expect(&format!("{number} {number}"));
    }
    client.expect("closed");
    let queue = broker.queue("numbers").unwrap();
    assert_eq!((queue.ready.len(), queue.unacked.len()), (0, 0));
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn carrot_calls_a_server_of_pyzmq() {
    let (_broker, host, connection) = host();
    let server = python(&host, &["serve", "double"]);
    server.expect("ready");
    let caller = connection.caller("double").build().unwrap();
    for number in 1..=20_u64 {
        assert_eq!(caller.call::<u64, u64>(&number, SOON).unwrap(), 2 * number);
    }
}

#[test]
#[ignore = "needs other clients: run ./scripts/test"]
fn socket_that_connects_again_is_refused_with_a_reason() {
    let broker = memory::Broker::new();
    let host = BrokerHost::bind("127.0.0.1:0", &broker).unwrap();
    let address = host.address().unwrap();
    let client = python(&host, &["reconnect"]);
    client.expect("ready");
    host.stop(Duration::from_secs(10)).unwrap();
    let _host = BrokerHost::bind(address, &broker).unwrap();
    client.expect("end code 9");
}
