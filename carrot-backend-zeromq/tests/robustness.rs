//! Hosts with clients that are silent, are many, or vanish; the end of a host; its users.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use carrot::backend::{ChannelOptions, Connector, Declare};
use carrot::memory::Broker;
use carrot::zeromq::BrokerHost;
use carrot::{Error, Queue};

use support::{
    RawClient, SOON, connector, eventually, greeting, hello, host, is_well, message, ready, start,
};

#[test]
fn silent_handshake_ends_at_its_deadline() {
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker)
        .handshake_timeout(Duration::from_millis(200))
        .bind("127.0.0.1:0")
        .unwrap();
    for octets in [vec![], greeting().to_vec(), [&greeting()[..], &ready("DEALER")].concat()] {
        let mut client = RawClient::new(&host);
        client.send(&octets);
        client.read_to_end();
    }
    eventually("the connections end", || host.connection_count() == 0);
}

#[test]
fn half_open_connection_ends_without_a_sign_of_life() {
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker)
        .heartbeat(Duration::from_millis(100))
        .bind("127.0.0.1:0")
        .unwrap();
    // The driver answers each PING.
    let well = connector(&host.url());
    let channel = well.open(&ChannelOptions::publish(), SOON).unwrap();
    let mut silent = RawClient::welcomed(&host);
    let sent = silent.read_to_end();
    assert!(sent.matches("PING").count() >= 2, "{sent:?}");
    eventually("one connection is left", || host.connection_count() == 1);
    channel.check().unwrap();
}

#[test]
fn client_of_zmtp_3_0_receives_no_ping_and_may_be_silent() {
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker)
        .heartbeat(Duration::from_millis(50))
        .bind("127.0.0.1:0")
        .unwrap();
    let mut old = greeting();
    old[11] = 0;
    let mut client = RawClient::new(&host);
    client.send(&[&old[..], &ready("DEALER"), &hello(1)].concat());
    client.read_until(|octets| octets.windows(5).any(|part| part == [65, 0, 0, 0, 0]));
    // Another client is lost meanwhile.
    RawClient::welcomed(&host).read_to_end();
    client.send(&message(&[start(2, 1, 5), vec![0; 9]].concat()));
    let sent = client.read_until(|octets| octets.ends_with(&[66, 0, 0, 0, 1, 0, 0, 0, 5]));
    assert!(!sent.windows(4).any(|part| part == b"PING"), "{}", sent.escape_ascii());
}

#[test]
fn two_hundred_connections_are_served_at_once() {
    let (broker, host) = host();
    let connectors: Vec<_> = (0..200).map(|_| connector(&host.url())).collect();
    let channels: Vec<_> = connectors
        .iter()
        .map(|connector| connector.open(&ChannelOptions::publish(), SOON).unwrap())
        .collect();
    assert_eq!(host.connection_count(), 200);
    for (number, channel) in channels.iter().enumerate() {
        channel.declare(Declare::Queue(&Queue::new(format!("q{number}"))), SOON).unwrap();
    }
    assert!(broker.queue("q199").is_some());
    host.stop(SOON).unwrap();
    for channel in &channels {
        let lost = channel.declare(Declare::Queue(&Queue::new("late")), SOON);
        assert!(matches!(lost, Err(Error::Disconnected { .. })), "{lost:?}");
    }
}

#[test]
fn connects_and_drops_leave_nothing_behind() {
    let (_broker, host) = host();
    for number in 0..2000 {
        match number % 4 {
            0 => drop(TcpStream::connect(host.address().unwrap()).unwrap()),
            1 => RawClient::new(&host).send(&greeting()),
            2 => drop(RawClient::welcomed(&host)),
            _ => {
                let connector = connector(&host.url());
                connector.open(&ChannelOptions::publish(), SOON).unwrap();
            }
        }
        // The host refuses more than 256 handshakes at once.
        eventually("there is room", || host.connection_count() < 100);
    }
    eventually("all connections end", || host.connection_count() == 0);
    assert!(is_well(&host));
}

#[test]
fn stop_without_a_limit_waits_for_the_clients() {
    let (_broker, host) = host();
    let mut client = RawClient::welcomed(&host);
    let stopping = std::thread::spawn(move || host.stop(Duration::MAX));
    client.read_until(|octets| octets.windows(14).any(|part| part == b"the host stops"));
    assert!(!stopping.is_finished());
    drop(client);
    stopping.join().unwrap().unwrap();
}

#[test]
fn host_that_stops_gives_its_clients_a_reason() {
    let (_broker, host) = host();
    let connector = connector(&host.url());
    let channel = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    let address = host.address().unwrap();
    host.stop(SOON).unwrap();
    eventually("the channel ends", || channel.check().is_err());
    let error = channel.check().unwrap_err();
    assert!(
        matches!(&error, Error::Disconnected { reason, .. } if reason.contains("the host stops"))
    );
    let refused = connector.open(&ChannelOptions::publish(), SOON).unwrap_err();
    assert!(matches!(refused, Error::Connect { .. }), "{refused:?}");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn users_need_their_password_and_others_are_refused_after_a_pause() {
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker).user("ann", "hush").bind("127.0.0.1:0").unwrap();
    let address = host.address().unwrap();
    let channel = connector(&format!("zmq://ann:hush@{address}"));
    channel.open(&ChannelOptions::publish(), SOON).unwrap();
    for credentials in ["ann:wrong@", "eve:hush@", ""] {
        let started = Instant::now();
        let refused = connector(&format!("zmq://{credentials}{address}"))
            .open(&ChannelOptions::publish(), SOON)
            .unwrap_err();
        let Error::Authentication { .. } = &refused else { panic!("{refused:?}") };
        assert!(!refused.to_string().contains("wrong@"), "{refused}");
        assert!(started.elapsed() >= Duration::from_millis(250));
    }
}

#[test]
fn other_machines_need_permission_and_users() {
    let broker = Broker::new();
    let option = |result: carrot::Result<BrokerHost>| match result {
        Err(Error::Config { option, .. }) => option.into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(option(BrokerHost::bind("0.0.0.0:0", &broker)), "address");
    let open = || BrokerHost::builder(&broker).allow_other_machines();
    assert_eq!(option(open().bind("0.0.0.0:0")), "user");
    let host = open().user("ann", "hush").bind("0.0.0.0:0").unwrap();
    assert!(host.url().starts_with("zmq://127.0.0.1:"), "{}", host.url());
}

#[test]
fn host_does_not_wait_for_the_reader_of_a_dropped_client() {
    let (_broker, host) = host();
    let mut client = RawClient::welcomed(&host);
    let mut one = [0; 1];
    client.socket.set_nonblocking(true).unwrap();
    assert!(client.socket.read(&mut one).is_err());
    let started = Instant::now();
    drop(host);
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
}
