//! Clients of hosts that are silent, slow, or of another kind.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot::backend::{ChannelOptions, Connector, Content, Publication};
use carrot::zeromq::ZeroMqConnector;
use carrot::{ConnectionOptions, Error};

use support::{FakeHost, RawClient, SOON, connector, host, message, start};

/// A PING of a host.
const PING: &[u8] = b"\x04\x07\x04PING\0\0";

/// Publishes a message of this size, and drops the connection.
fn publish_and_drop(connector: &ZeroMqConnector, bytes: usize) {
    let channel = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    let content = Arc::new(Content::new("", "q", vec![7; bytes]));
    channel.publish(&Publication::new(&content), SOON).unwrap();
}

/// Reads until the client closes the socket. Calls `meanwhile` before each read. Returns the number
/// of octets, and the last of them.
fn read_all(host: &mut RawClient, mut meanwhile: impl FnMut(&mut RawClient)) -> (usize, Vec<u8>) {
    let (mut count, mut last) = (0, Vec::new());
    let mut buffer = vec![0; 64 << 10];
    loop {
        meanwhile(host);
        let read = host.socket.read(&mut buffer).unwrap();
        if read == 0 {
            return (count, last);
        }
        count += read;
        last.extend(&buffer[..read]);
        last.drain(..last.len().saturating_sub(100));
    }
}

fn goodbye() -> Vec<u8> {
    message(&start(19, 0, 0))
}

#[test]
fn dropped_connection_delivers_its_last_messages_to_a_host_that_sends() {
    const BYTES: usize = 8 << 20;
    let fake = FakeHost::new();
    let connector = connector(&fake.url());
    let dropped = thread::spawn(move || publish_and_drop(&connector, BYTES));
    let mut host = fake.welcome();
    dropped.join().unwrap();
    let (count, last) = read_all(&mut host, |host| host.send(PING));
    assert!(count > BYTES, "{count}");
    assert!(last.ends_with(&goodbye()), "{}", last.escape_ascii());
}

#[test]
fn host_that_closes_the_socket_is_passed_over_for_the_next() {
    let (_broker, second) = host();
    let fake = FakeHost::new();
    let url = format!("zmq://{},{}", fake.address(), second.address().unwrap());
    let closing = thread::spawn(move || drop(fake.accept()));
    connector(&url).open(&ChannelOptions::publish(), SOON).unwrap();
    closing.join().unwrap();
}

#[test]
fn silent_host_leaves_time_for_the_next() {
    let (_broker, second) = host();
    let silent = FakeHost::new();
    let url = format!("zmq://{},{}", silent.address(), second.address().unwrap());
    let options = url.parse::<ConnectionOptions>().unwrap().connect_timeout(SOON);
    let connector = ZeroMqConnector::new(&options).unwrap();
    connector.open(&ChannelOptions::publish(), SOON).unwrap();
}

#[test]
fn hosts_that_all_fail_are_named_with_their_reasons() {
    let addresses = [FakeHost::new().address(), FakeHost::new().address()];
    let url = format!("zmq://{}", addresses.join(","));
    let refused = connector(&url).open(&ChannelOptions::publish(), SOON).unwrap_err();
    assert!(matches!(refused, Error::Connect { .. }), "{refused:?}");
    let text = refused.to_string();
    assert!(addresses.iter().all(|address| text.contains(&format!("TCP to {address}"))), "{text}");
}

#[test]
fn connect_timeout_of_the_options_ends_a_longer_call() {
    let silent = FakeHost::new();
    let started = Instant::now();
    let late = connector(&format!("{}?connection_timeout=200", silent.url()))
        .open(&ChannelOptions::publish(), SOON)
        .unwrap_err();
    assert!(matches!(late, Error::Timeout { .. }), "{late:?}");
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
}

#[test]
fn second_thread_waits_for_the_connect_of_the_first_until_its_deadline() {
    let fake = FakeHost::new();
    let options = fake.url().parse::<ConnectionOptions>().unwrap().connect_timeout(SOON * 3);
    let connector = Arc::new(ZeroMqConnector::new(&options).unwrap());
    let first = Arc::clone(&connector);
    let first = thread::spawn(move || first.open(&ChannelOptions::publish(), SOON * 3).is_ok());
    let accepted = fake.accept();
    let started = Instant::now();
    let late = connector.open(&ChannelOptions::publish(), Duration::from_millis(100)).unwrap_err();
    assert!(matches!(late, Error::Timeout { .. }), "{late:?}");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    // The first connect fails now, and not at its deadline.
    drop(accepted);
    assert!(!first.join().unwrap());
}

#[cfg(unix)]
#[test]
fn host_that_accepts_nothing_ends_a_connect_at_its_deadline() {
    use socket2::{Domain, SockAddr, Socket, Type};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("carrot.sock");
    let address = SockAddr::unix(&path).unwrap();
    let socket = || Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let listener = socket();
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    // One connection fits.
    let filling = socket();
    filling.connect(&address).unwrap();
    let started = Instant::now();
    let late = connector(&format!("zmq+ipc://{}", path.display()))
        .open(&ChannelOptions::publish(), Duration::from_millis(200))
        .unwrap_err();
    assert!(matches!(late, Error::Timeout { .. } | Error::Connect { .. }), "{late:?}");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

#[test]
fn new_secret_stays_with_its_program() {
    let fake = FakeHost::new();
    let connector = connector(&fake.url());
    let updating = thread::spawn(move || {
        connector.open(&ChannelOptions::publish(), SOON).unwrap();
        connector.update_secret("hush", "rotated", SOON)
    });
    let mut host = fake.welcome();
    let sent = host.read_until(|octets| octets.windows(7).any(|part| part == b"rotated"));
    assert!(!sent.windows(4).any(|part| part == b"hush"), "{}", sent.escape_ascii());
    let update = start(18, 0, 3);
    assert!(sent.windows(9).any(|part| part == update), "{}", sent.escape_ascii());
    host.send(&message(&start(66, 0, 3)));
    updating.join().unwrap().unwrap();
}
