//! Hosts that are killed and started again at the same address, under load.

use std::collections::BTreeSet;

use carrot::{Connection, ConnectionOptions, Error};

use crate::calls::{CALL_TIMEOUT, errors_of_calls, next};
use crate::load::{HostLoad, WORKERS};
use crate::process::{HostProcess, SOON};

fn options(host: &HostProcess) -> ConnectionOptions {
    host.url.parse().unwrap()
}

/// Kills the host, counts what its end has cost, and starts it again.
fn kill_and_restart(host: &mut HostProcess, load: &HostLoad) -> usize {
    host.kill();
    let lost = load.note_loss();
    host.start();
    load.wait_for_connection(true);
    lost
}

fn only_what_a_host_had_confirmed_is_lost(mut host: HostProcess) {
    const WAITING: usize = 100;
    let load = HostLoad::start(&options(&host));
    let (mut lost_busy, mut lost_held) = (0, 0);
    for _ in 0..3 {
        // In the middle of everything.
        load.progress(300);
        lost_busy += kill_and_restart(&mut host, &load);
        // With messages that no worker has received.
        load.progress(100);
        load.hold_workers(WAITING);
        let lost = kill_and_restart(&mut host, &load);
        assert!(lost >= WAITING, "{lost}");
        lost_held += lost;
        load.release_workers();
    }
    load.progress(300);
    let outcome = load.finish();
    let total = lost_busy + lost_held;
    println!(
        "lost {} of {total}, {} unconfirmed, {} handled twice",
        outcome.missing.len(),
        outcome.unconfirmed.len(),
        outcome.duplicates.len()
    );
    // All others are handled, those included that the last host has confirmed.
    let in_flight: BTreeSet<_> = outcome.missing.difference(&outcome.lost).copied().collect();
    assert!(in_flight.is_subset(&outcome.unconfirmed), "{in_flight:?}");
    // A worker of a host that is killed in the middle may have had a message at that moment.
    let handled = outcome.lost.difference(&outcome.missing).count();
    assert!(handled <= 3 * WORKERS, "{handled} of {total}");
    // Only a message that was sent again is handled again.
    assert!(outcome.duplicates.is_subset(&outcome.unconfirmed));
    assert!(outcome.resent > 0);
}

#[test]
fn killed_host_of_tcp_loses_exactly_what_it_had_confirmed() {
    only_what_a_host_had_confirmed_is_lost(HostProcess::on_tcp());
}

#[test]
fn killed_host_of_ipc_loses_exactly_what_it_had_confirmed() {
    only_what_a_host_had_confirmed_is_lost(HostProcess::on_ipc());
}

/// Publishes 100 messages, and acknowledges 30 of them.
fn publish_and_consume(connection: &Connection) {
    let publisher = connection.publisher().queue("counted").build().unwrap();
    publisher.send_all(1..=100).unwrap();
    let consumer = connection.consumer("counted").build().unwrap();
    for number in 1..=30 {
        let message = consumer.fetch().unwrap().unwrap();
        assert_eq!(message.decode::<u32>().unwrap(), number);
        message.ack().unwrap();
    }
}

#[test]
fn killed_host_comes_back_without_queues_and_messages() {
    for mut host in [HostProcess::on_tcp(), HostProcess::on_ipc()] {
        let connection = carrot::connect(options(&host)).unwrap();
        publish_and_consume(&connection);
        let existing = || connection.declare_queue(carrot::Queue::existing("counted"));
        assert_eq!(existing().unwrap().message_count, 70);
        host.kill();
        host.start();
        assert!(matches!(existing(), Err(Error::NotFound { .. })));
        // Nothing of the first host is delivered by the second.
        publish_and_consume(&connection);
        assert_eq!(existing().unwrap().message_count, 70);
    }
}

#[test]
fn calls_while_the_host_is_away_end_by_their_deadlines() {
    let mut host = HostProcess::on_tcp();
    let options = options(&host).call_timeout(CALL_TIMEOUT);
    let connection = carrot::connect(&options).unwrap();
    let publisher = connection.publisher().queue("jobs").build().unwrap();
    let consumer = connection.consumer("jobs").build().unwrap();
    host.kill();
    let address = host.url.strip_prefix("zmq://").unwrap();
    for error in errors_of_calls(&options, &connection, &publisher, &consumer) {
        assert!(matches!(error, Error::Connect { .. } | Error::Timeout { .. }), "{error:?}");
        assert!(error.to_string().contains(address), "{error}");
    }
    host.start();
    publisher.message().timeout(SOON).send("y").unwrap();
    let body: String = next(&consumer).decode().unwrap();
    assert!(["x", "y"].contains(&&*body), "{body}");
}
