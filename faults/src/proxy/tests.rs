#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::eventually;

const SOON: Duration = Duration::from_secs(10);
/// The time in which most unexpected bytes would arrive.
const BRIEFLY: Duration = Duration::from_millis(100);

/// Returns a proxy and both ends of one connection through it.
fn connected() -> (Proxy, TcpStream, TcpStream) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::new("127.0.0.1", server.local_addr().unwrap().port()).unwrap();
    let (client, server) = connect(&proxy, &server);
    (proxy, client, server)
}

fn connect(proxy: &Proxy, server: &TcpListener) -> (TcpStream, TcpStream) {
    let before = proxy.statistics().len();
    let client = TcpStream::connect(proxy.address()).unwrap();
    let server = server.accept().unwrap().0;
    assert!(eventually(SOON, || proxy.statistics().len() > before));
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    (client, server)
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes);
}

fn expect_nothing(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(BRIEFLY)).unwrap();
    let kind = stream.read(&mut [0]).map_err(|error| error.kind());
    assert!(matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{kind:?}");
    stream.set_read_timeout(Some(SOON)).unwrap();
}

fn expect_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

#[test]
fn bytes_in_both_directions_are_forwarded_and_counted() {
    let (proxy, mut client, mut server) = connected();
    client.write_all(b"question").unwrap();
    expect(&mut server, b"question");
    server.write_all(b"an answer").unwrap();
    expect(&mut client, b"an answer");
    let counted = || {
        proxy
            .statistics()
            .iter()
            .map(|passed| (passed.to_server, passed.to_client, passed.open))
            .collect::<Vec<_>>()
    };
    assert!(eventually(SOON, || counted() == [(8, 9, true)]), "{:?}", counted());
}

#[test]
fn large_stream_is_forwarded_unchanged() {
    let (_proxy, mut client, mut server) = connected();
    let sent: Vec<u8> = (0..4_000_000_u32).map(|number| (number / 7) as u8).collect();
    let copy = sent.clone();
    let sender = thread::spawn(move || {
        client.write_all(&copy).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    });
    assert!(expect_end(&mut server) == sent);
    let mut client = sender.join().unwrap();
    server.write_all(b"the other direction is open").unwrap();
    expect(&mut client, b"the other direction is open");
}

#[test]
fn cut_ends_both_sides_and_new_connections_are_accepted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::new("127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
    let (mut client, mut server) = connect(&proxy, &listener);
    proxy.cut();
    assert!(expect_end(&mut client).is_empty());
    assert!(expect_end(&mut server).is_empty());
    assert!(eventually(SOON, || proxy.open_connections() == 0));
    let (mut client, mut server) = connect(&proxy, &listener);
    client.write_all(b"again").unwrap();
    expect(&mut server, b"again");
    assert_eq!(proxy.statistics().iter().filter(|statistics| statistics.open).count(), 1);
}

#[test]
fn reset_reaches_both_sides() {
    let (proxy, mut client, mut server) = connected();
    proxy.reset();
    for stream in [&mut client, &mut server] {
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn cut_after_bytes_happens_at_the_exact_byte_in_either_direction() {
    for bytes in [0, 1, 5, 9] {
        let (proxy, mut client, mut server) = connected();
        proxy.cut_after(Direction::ToServer, bytes);
        client.write_all(b"0123456789").unwrap();
        assert_eq!(expect_end(&mut server), &b"0123456789"[..bytes as usize]);
        assert!(proxy.wait_for_cut(SOON));

        let (proxy, mut client, mut server) = connected();
        proxy.cut_after(Direction::ToClient, bytes);
        client.write_all(b"does not count").unwrap();
        expect(&mut server, b"does not count");
        server.write_all(b"0123456789").unwrap();
        assert_eq!(expect_end(&mut client), &b"0123456789"[..bytes as usize]);
    }
}

#[test]
fn wait_for_cut_blocks_until_the_cut_has_happened() {
    let (proxy, mut client, _server) = connected();
    proxy.cut_after(Direction::ToServer, 4);
    client.write_all(b"four").unwrap();
    assert!(!proxy.wait_for_cut(BRIEFLY));
    client.write_all(b"!").unwrap();
    assert!(proxy.wait_for_cut(SOON));
}

#[test]
fn delay_applies_to_every_byte_and_does_not_accumulate() {
    let (proxy, mut client, mut server) = connected();
    let delay = Duration::from_millis(200);
    proxy.delay(delay);
    let started = Instant::now();
    for _ in 0..10 {
        client.write_all(b"x").unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    expect(&mut server, b"xxxxxxxxxx");
    assert!(started.elapsed() >= delay, "{:?}", started.elapsed());
    assert!(started.elapsed() < delay * 5, "{:?}", started.elapsed());
}

#[test]
fn throttle_limits_the_rate() {
    let (proxy, mut client, mut server) = connected();
    proxy.throttle(Some(10_000));
    let started = Instant::now();
    client.write_all(&[7; 3_000]).unwrap();
    expect(&mut server, &[7; 3_000]);
    assert!(started.elapsed() >= Duration::from_millis(250), "{:?}", started.elapsed());
}

#[test]
fn black_hole_discards_bytes_and_heal_resets_the_connection() {
    let (proxy, mut client, mut server) = connected();
    proxy.black_hole();
    client.write_all(b"lost").unwrap();
    expect_nothing(&mut server);
    assert_eq!(proxy.statistics()[0].discarded, 4);
    proxy.heal().unwrap();
    assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn stalled_direction_forwards_nothing_until_healed() {
    let (proxy, mut client, mut server) = connected();
    proxy.set_forwarding(Direction::ToServer, Forwarding::Stall);
    client.write_all(b"later").unwrap();
    expect_nothing(&mut server);
    server.write_all(b"the other way").unwrap();
    expect(&mut client, b"the other way");
    proxy.heal().unwrap();
    expect(&mut server, b"later");
}

#[test]
fn half_closed_connection_forwards_the_other_direction() {
    let (proxy, mut client, mut server) = connected();
    proxy.half_close(Direction::ToServer);
    assert!(expect_end(&mut server).is_empty());
    client.write_all(b"nobody hears").unwrap();
    server.write_all(b"still there").unwrap();
    expect(&mut client, b"still there");
}

#[test]
fn refuse_rejects_new_connections_and_keeps_open_ones() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::new("127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
    let (mut client, mut server) = connect(&proxy, &listener);
    for _ in 0..3 {
        proxy.refuse(true).unwrap();
        assert_eq!(
            TcpStream::connect(proxy.address()).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        client.write_all(b"old").unwrap();
        expect(&mut server, b"old");
        proxy.refuse(false).unwrap();
        let (mut client, mut server) = connect(&proxy, &listener);
        client.write_all(b"new").unwrap();
        expect(&mut server, b"new");
    }
}

#[test]
fn connection_without_a_server_is_reset() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let proxy = Proxy::new("127.0.0.1", port).unwrap();
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn drop_ends_stalled_connections() {
    let (proxy, mut client, _server) = connected();
    let address = proxy.address();
    proxy.set_forwarding(Direction::ToServer, Forwarding::Stall);
    proxy.delay(Duration::from_secs(3600));
    client.write_all(b"stuck").unwrap();
    drop(proxy);
    assert!(expect_end(&mut client).is_empty());
    assert!(TcpStream::connect(address).is_err());
}
