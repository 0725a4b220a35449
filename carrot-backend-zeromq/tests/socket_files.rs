//! Hosts at sockets of the file system.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use carrot::backend::{ChannelOptions, Connector};
use carrot::memory::Broker;
use carrot::zeromq::BrokerHost;

use support::{SOON, connector, eventually, is_well};

#[test]
fn socket_of_the_file_system_serves_and_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("carrot.sock");
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker).bind_path(&path).unwrap();
    assert_eq!(host.path(), Some(&*path));
    let connection = carrot::connect(host.url()).unwrap();
    connection.publisher().queue("jobs").build().unwrap().send("hello").unwrap();
    assert_eq!(broker.queue("jobs").unwrap().ready.len(), 1);
    assert!(BrokerHost::builder(&broker).bind_path(&path).is_err());
    host.stop(SOON).unwrap();
    assert!(!path.exists());
}

#[test]
fn url_of_any_path_is_that_of_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::new();
    let path = folder.path().join("50% of a path? no # it\u{e9}");
    let host = BrokerHost::builder(&broker).bind_path(&path).unwrap();
    assert!(host.url().ends_with("/50%25%20of%20a%20path%3F%20no%20%23%20it%C3%A9"), "{host:?}");
    assert!(is_well(&host));

    let depth = std::env::current_dir().unwrap().components().count() - 1;
    let relative = format!("{}{}/r", "../".repeat(depth), &folder.path().to_str().unwrap()[1..]);
    let host = BrokerHost::builder(&broker).bind_path(&relative).unwrap();
    assert!(host.url().starts_with("zmq+ipc:///"), "{host:?}");
    assert!(host.path().unwrap().is_absolute());
    host.stop(SOON).unwrap();
    assert!(!folder.path().join("r").exists());
}

#[test]
fn host_whose_file_was_replaced_stops_and_leaves_the_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("carrot.sock");
    let (first, second) = (Broker::new(), Broker::new());
    let replaced = BrokerHost::builder(&first).bind_path(&path).unwrap();
    let early = connector(&replaced.url()).open(&ChannelOptions::publish(), SOON).unwrap();
    std::fs::remove_file(&path).unwrap();
    let host = BrokerHost::builder(&second).bind_path(&path).unwrap();
    let started = Instant::now();
    replaced.stop(SOON).unwrap();
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    eventually("the early client is told", || early.check().is_err());
    assert!(is_well(&host));
    assert_eq!(second.queues().len(), 1);

    // A host whose file no longer exists stops, too.
    std::fs::remove_file(&path).unwrap();
    host.stop(SOON).unwrap();
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn socket_of_a_killed_host_is_replaced_and_other_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("carrot.sock");
    let broker = Broker::new();
    // Dropping a listener leaves the file, as a killed process does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let host = BrokerHost::builder(&broker).bind_path(&path).unwrap();
    assert!(is_well(&host));
    assert!(BrokerHost::builder(&broker).bind_path(&path).is_err());
    assert!(is_well(&host));
    drop(host);
    std::fs::write(&path, "a file of someone else").unwrap();
    assert!(BrokerHost::builder(&broker).bind_path(&path).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file of someone else");
}

#[test]
fn one_of_several_hosts_that_start_at_one_path_at_once_starts() {
    const HOSTS: usize = 6;
    const ROUNDS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        let path = folder.path().join(format!("{round}.sock"));
        if round % 3 > 0 {
            // The file of a host that was killed.
            drop(UnixListener::bind(&path).unwrap());
        }
        let together = Barrier::new(HOSTS);
        let bind = |path: &Path| {
            together.wait();
            BrokerHost::builder(&Broker::new()).bind_path(path)
        };
        let bound: Vec<_> = thread::scope(|scope| {
            let starting: Vec<_> = (0..HOSTS).map(|_| scope.spawn(|| bind(&path))).collect();
            starting.into_iter().map(|host| host.join().unwrap()).collect()
        });
        let (started, refused): (Vec<_>, Vec<_>) = bound.into_iter().partition(Result::is_ok);
        assert_eq!(started.len(), 1, "round {round}");
        assert!(is_well(started[0].as_ref().unwrap()), "round {round}");
        for error in refused.into_iter().map(Result::unwrap_err) {
            assert!(error.to_string().to_lowercase().contains("address already in use"), "{error}");
        }
        drop(started);
        assert!(!path.exists(), "round {round}");
    }
}
