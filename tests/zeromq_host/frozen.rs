//! Hosts that are frozen: their sockets stay open, and nothing answers.

use std::time::Duration;

use carrot::{ConnectionOptions, Error};

use crate::calls::{CALL_TIMEOUT, errors_of_calls, next};
use crate::load::HostLoad;
use crate::process::{HostProcess, SOON};

fn options(host: &HostProcess, heartbeat: Duration) -> ConnectionOptions {
    let options: ConnectionOptions = host.url.parse().unwrap();
    options.heartbeat(heartbeat)
}

fn heartbeats_find_a_frozen_host(host: HostProcess) {
    let load = HostLoad::start(&options(&host, Duration::from_secs(1)));
    load.progress(300);
    host.freeze();
    // The publishers and the workers find out that no octet arrives.
    load.wait_for_connection(false);
    host.thaw();
    load.wait_for_connection(true);
    load.progress(300);
    let outcome = load.finish();
    assert!(outcome.missing.is_empty(), "{:?}", outcome.missing);
}

#[test]
fn frozen_host_of_tcp_is_found_by_heartbeats_and_loses_nothing() {
    heartbeats_find_a_frozen_host(HostProcess::on_tcp());
}

#[test]
fn frozen_host_of_ipc_is_found_by_heartbeats_and_loses_nothing() {
    heartbeats_find_a_frozen_host(HostProcess::on_ipc());
}

fn calls_to_a_frozen_host_end(host: HostProcess) {
    // No heartbeat finds the host in the time of this test.
    let options = options(&host, Duration::from_secs(600)).call_timeout(CALL_TIMEOUT);
    let connection = carrot::connect(&options).unwrap();
    let publisher = connection.publisher().queue("jobs").build().unwrap();
    let consumer = connection.consumer("jobs").build().unwrap();
    publisher.send("first").unwrap();
    consumer.fetch().unwrap().unwrap().ack().unwrap();
    host.freeze();
    for error in errors_of_calls(&options, &connection, &publisher, &consumer) {
        assert!(matches!(error, Error::Connect { .. } | Error::Timeout { .. }), "{error:?}");
    }
    host.thaw();
    publisher.message().timeout(SOON).send("last").unwrap();
    // The message of the call that timed out arrives, too: the host had it in its socket.
    for body in ["x", "last"] {
        let message = next(&consumer);
        assert_eq!(message.decode::<String>().unwrap(), body);
        message.ack().unwrap();
    }
    let connecting = connection.statistics().connecting;
    assert_eq!((connecting.publish.losses, connecting.consume.losses), (0, 0));
}

#[test]
fn calls_to_a_frozen_host_of_tcp_end_by_their_deadlines() {
    calls_to_a_frozen_host_end(HostProcess::on_tcp());
}

#[test]
fn calls_to_a_frozen_host_of_ipc_end_by_their_deadlines() {
    calls_to_a_frozen_host_end(HostProcess::on_ipc());
}
