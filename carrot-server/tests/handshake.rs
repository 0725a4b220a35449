//! The handshake, the trust rules, and the limits of a connection.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each file of tests uses a part of the support")]

mod support;

use std::time::{Duration, Instant};

use carrot_amqp_wire::{ChannelOpen, FRAME_OVERHEAD, Method, ProtocolHeader};
use carrot_backend_memory::{Broker, Operation};
use carrot_core::{Error, RabbitMqRelease};
use carrot_server::Server;

use crate::support::{RawClient, SOON};

const HOST: &str = "127.0.0.1:0";

fn server() -> Server {
    Server::bind(HOST, &Broker::new()).unwrap()
}

#[test]
fn client_with_credentials_opens_a_connection() {
    let server = server();
    let client = RawClient::open(server.address());
    assert_eq!(server.connection_count(), 1);
    client.close();
    server.stop(SOON).unwrap();
}

#[test]
fn wrong_password_is_refused_after_a_pause() {
    let server = Server::builder(&Broker::new()).user("ann", "hush").bind(HOST).unwrap();
    for (user, password) in [("ann", "wrong"), ("guest", "guest"), ("ann", "")] {
        let started = Instant::now();
        let mut client = RawClient::connect(server.address());
        client.log_in(user, password);
        let refused = client.next();
        assert!(refused.starts_with("connection.close 403 ACCESS_REFUSED - Login"), "{refused}");
        assert!(started.elapsed() >= Duration::from_millis(250));
        client.method(0, Method::ConnectionCloseOk);
        assert_eq!(client.next(), "end");
    }
    let mut client = RawClient::connect(server.address());
    client.log_in("ann", "hush");
    assert_eq!(client.next(), "connection.tune 2047 131072 60");
}

#[test]
fn virtual_hosts_are_brokers_of_their_own() {
    let (blue, green) = (Broker::new(), Broker::new());
    let server = Server::builder(&blue).vhost("green", &green).bind(HOST).unwrap();
    let mut client = RawClient::connect(server.address());
    client.log_in("guest", "guest");
    client.next();
    client.tune(0x7ff, 131_072, 0);
    assert_eq!(client.open_vhost("green"), "connection.open-ok");
    client.method(1, ChannelOpen::default());
    client.next();
    client.declare("q");
    assert!(blue.queue("q").is_none() && green.queue("q").is_some());
    client.method(1, carrot_amqp_wire::QueuePurge { queue: "x".into(), no_wait: false });
    let closed = client.next();
    assert!(closed.contains("404 NOT_FOUND - no queue 'x' in vhost 'green' (50, 30)"), "{closed}");
    let mut client = RawClient::connect(server.address());
    client.log_in("guest", "guest");
    client.next();
    client.tune(0x7ff, 131_072, 0);
    let refused = client.open_vhost("red");
    assert_eq!(refused, "connection.close 530 NOT_ALLOWED - vhost red not found (10, 40)");
}

#[test]
fn limits_above_those_of_the_server_are_refused() {
    let server = Server::builder(&Broker::new()).channel_max(2).bind(HOST).unwrap();
    // RabbitMQ ends such a connection without a close.
    let tuned = |channel_max, frame_max| {
        let mut client = RawClient::connect(server.address());
        client.log_in("guest", "guest");
        client.next();
        client.tune(channel_max, frame_max, 0);
        client.next()
    };
    for (channel_max, frame_max) in [(2, 131_073), (2, 8191), (2, 0), (3, 8192), (0, 8192)] {
        assert_eq!(tuned(channel_max, frame_max), "end", "{channel_max} {frame_max}");
    }
    let tuned = |channel_max, frame_max| {
        let mut client = RawClient::connect(server.address());
        client.log_in("guest", "guest");
        client.next();
        client.tune(channel_max, frame_max, 0);
        client.open_vhost("/")
    };
    assert_eq!(tuned(2, 8192), "connection.open-ok");
}

#[test]
fn frame_above_the_least_limit_ends_the_handshake() {
    // RabbitMQ ends such a connection without a close.
    for (release, limit) in [(RabbitMqRelease::V3_10, 4096), (RabbitMqRelease::V4_3, 8192)] {
        let broker = Broker::builder().imitate(release).build();
        let server = Server::bind(HOST, &broker).unwrap();
        for (size, is_read) in [(limit, true), (limit + 1, false)] {
            let mut client = RawClient::connect(server.address());
            client.send(&ProtocolHeader::AMQP_0_9_1.octets());
            client.next();
            let empty = RawClient::start_ok(b"\0guest\0").len() - FRAME_OVERHEAD;
            let response = format!("\0guest\0{}", "x".repeat(size - empty));
            client.send(&RawClient::start_ok(response.as_bytes()));
            let answer = client.next();
            // Wrong credentials are read before they are refused.
            let refusal = if is_read { "connection.close 403" } else { "end" };
            assert!(answer.starts_with(refusal), "{size}: {answer}");
        }
    }
}

#[test]
fn channel_beyond_channel_max_closes_the_connection() {
    let server = Server::builder(&Broker::new()).channel_max(1).bind(HOST).unwrap();
    let mut client = RawClient::connect(server.address());
    client.log_in("guest", "guest");
    client.next();
    client.tune(1, 131_072, 0);
    client.open_vhost("/");
    for channel in [9, 7] {
        client.method(channel, ChannelOpen::default());
    }
    assert_eq!(client.next(), "channel.open-ok");
    let refused = client.next();
    assert!(refused.starts_with("connection.close 530 NOT_ALLOWED - number of channels"));
}

#[test]
fn other_protocol_receives_the_header_of_amqp() {
    let server = server();
    for octets in [b"GET / HTTP/1.1\r\n\r\n", &b"AMQP\x03\x01\0\0"[..]] {
        let mut client = RawClient::connect(server.address());
        client.send(octets);
        let seen = client.next();
        assert!(seen.contains("major: 0, minor: 9, revision: 1"), "{seen}");
        assert_eq!(client.next(), "end");
    }
}

#[test]
fn slow_handshake_ends_at_its_deadline() {
    let server = Server::builder(&Broker::new())
        .handshake_timeout(Duration::from_millis(50))
        .bind(HOST)
        .unwrap();
    let mut client = RawClient::connect(server.address());
    client.send(b"AMQP");
    assert_eq!(client.next(), "end");
}

#[test]
fn silent_client_with_heartbeats_is_cut() {
    let server = server();
    let mut client = RawClient::connect(server.address());
    client.log_in("guest", "guest");
    client.next();
    client.tune(1, 131_072, 1);
    assert_eq!(client.open_vhost("/"), "connection.open-ok");
    let mut heartbeats = 0;
    while client.next() == "heartbeat" {
        heartbeats += 1;
    }
    assert!(heartbeats >= 2, "{heartbeats} heartbeats in two seconds");
}

#[test]
fn connections_beyond_the_limit_are_closed_until_one_ends() {
    let server = Server::builder(&Broker::new()).max_connections(1).bind(HOST).unwrap();
    let first = RawClient::open(server.address());
    let mut second = RawClient::connect(server.address());
    assert_eq!(second.next(), "end");
    first.close();
    let deadline = Instant::now() + SOON;
    while server.connection_count() > 0 {
        assert!(Instant::now() < deadline, "the first connection has not ended");
        std::thread::yield_now();
    }
    RawClient::open(server.address()).close();
}

#[test]
fn injected_fault_refuses_a_connection() {
    let broker = Broker::new();
    let server = Server::bind(HOST, &broker).unwrap();
    broker.faults().refuse_connects(1);
    assert_eq!(RawClient::connect(server.address()).next(), "end");
    RawClient::open(server.address()).close();
}

#[test]
fn injected_hard_error_closes_the_connection_with_its_code() {
    let broker = Broker::new();
    let server = Server::bind(HOST, &broker).unwrap();
    let mut client = RawClient::open(server.address());
    let reason = "INTERNAL_ERROR - planned".to_string();
    broker.faults().fail_next(Operation::Declare, Error::HardError { code: 541, reason });
    let closed = client.declare("q");
    assert_eq!(closed, "connection.close 541 INTERNAL_ERROR - planned (0, 0)");
}

#[test]
fn address_of_other_machines_needs_permission_and_a_user() {
    let option = |bound: carrot_core::Result<Server>| match bound {
        Err(Error::Config { option, .. }) => option.into_owned(),
        other => panic!("{other:?}"),
    };
    let broker = Broker::new();
    assert_eq!(option(Server::bind("0.0.0.0:0", &broker)), "address");
    let open = Server::builder(&broker).allow_other_machines();
    assert_eq!(option(open.clone().bind("0.0.0.0:0")), "user");
    let server = open.user("ann", "hush").bind("0.0.0.0:0").unwrap();
    server.stop(SOON).unwrap();
}

#[test]
fn settings_out_of_their_limits_are_named() {
    for (builder, named) in [
        (Server::builder(&Broker::new()).frame_max(4095), "frame_max"),
        (Server::builder(&Broker::new()).frame_max(u32::MAX), "frame_max"),
        (Server::builder(&Broker::new()).user("a".repeat(256), "x"), "user"),
        (Server::builder(&Broker::new()).vhost("a".repeat(256), &Broker::new()), "vhost"),
    ] {
        let Err(Error::Config { option, .. }) = builder.bind(HOST) else { panic!("{named}") };
        assert_eq!(option, named);
    }
    let server = server();
    let taken = Server::bind(server.address(), &Broker::new());
    assert!(matches!(taken, Err(Error::Backend { .. })));
}
