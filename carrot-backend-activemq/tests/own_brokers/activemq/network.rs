//! Faults between a client and a broker.

use std::time::{Duration, Instant};

use carrot::{ConnectionOptions, Error};
use carrot_faults::{Direction, Forwarding, Proxy, eventually};

use crate::process::{OwnBroker, SOON};
use crate::traffic::{Order, Traffic};

/// Returns a proxy in front of the broker, and the options to connect to it.
fn proxied(broker: &OwnBroker) -> (Proxy, ConnectionOptions) {
    let (proxy, options) = Proxy::in_front_of(&broker.options()).unwrap();
    (proxy, options.heartbeat(Duration::from_secs(1)))
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn cut_and_half_open_connections_lose_nothing() {
    let broker = OwnBroker::start(&[]);
    let (proxy, options) = proxied(&broker);
    let traffic = Traffic::start(&options, 1000);
    traffic.wait_for(1, 5);
    proxy.cut();
    traffic.note_fault();
    traffic.wait_for(2, 5);
    proxy.reset();
    traffic.note_fault();
    traffic.wait_for(3, 5);
    // Nothing is forwarded, and nothing is closed.
    proxy.black_hole();
    traffic.note_fault();
    traffic.wait_for_connection(false);
    proxy.heal().unwrap();
    // What a lost connection still holds at the broker arrives after later messages.
    let outcome = traffic.finish(Order::Any);
    println!("network: {outcome:?}");
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn peer_that_stops_reading_ends_calls_at_their_deadlines() {
    let broker = OwnBroker::start(&[]);
    let (proxy, options) = proxied(&broker);
    let options = options.heartbeat(Duration::from_secs(600)).call_timeout(Duration::from_secs(2));
    let connection = carrot::connect(&options).unwrap();
    let publisher = connection.publisher().queue("unread").build().unwrap();
    publisher.send("x").unwrap();
    proxy.set_forwarding(Direction::ToServer, Forwarding::Stall);
    let started = Instant::now();
    for _ in 0..8 {
        let sent =
            publisher.message().timeout(Duration::from_millis(200)).send_bytes(vec![0; 4 << 20]);
        assert!(matches!(sent, Err(Error::Timeout { .. })), "{sent:?}");
    }
    let declared = connection.declare_queue("other");
    assert!(matches!(declared, Err(Error::Timeout { .. })), "{declared:?}");
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    proxy.heal().unwrap();
    publisher.message().timeout(SOON).send("y").unwrap();
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn slow_peer_delivers_everything() {
    let broker = OwnBroker::start(&[]);
    let (proxy, options) = proxied(&broker);
    let connection = carrot::connect(&options).unwrap();
    let publisher = connection.publisher().queue("slow").build().unwrap();
    let consumer = connection.consumer("slow").build().unwrap();
    // 1 KB in each 20 ms, so that each message arrives in pieces.
    proxy.throttle(Some(50_000));
    let body: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    publisher.message().send_bytes(body.clone()).unwrap();
    let message = consumer.fetch().unwrap().unwrap();
    assert_eq!(message.body(), body);
    message.ack().unwrap();
    // The keep-alives pass meanwhile.
    let connecting = connection.statistics().connecting;
    assert_eq!((connecting.publish.losses, connecting.consume.losses), (0, 0));
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn limit_of_connections_is_named() {
    let broker = OwnBroker::start(&[]);
    broker.configure_port("maximumConnections=1");
    let options = broker.options().connect_timeout(Duration::from_secs(5));
    // The connection that has waited for the broker may not have ended.
    let mut first = None;
    assert!(eventually(SOON, || {
        first = carrot::connect(&options).ok();
        first.is_some()
    }));
    let started = Instant::now();
    let error = carrot::connect(&options).unwrap_err();
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    println!("limit: {error}");
    assert!(error.to_string().contains("limit of connections"), "{error}");
    drop(first);
    assert!(eventually(SOON, || carrot::connect(&options).is_ok()));
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn large_messages_pass_and_larger_ones_are_refused_before_they_leave() {
    let broker = OwnBroker::start(&[]);
    broker.configure_port("wireFormat.maxFrameSize=62914560");
    let (proxy, options) = proxied(&broker);
    let connection = carrot::connect(options.heartbeat(Duration::from_secs(60))).unwrap();
    let publisher = connection.publisher().queue("large").build().unwrap();
    let consumer = connection.consumer("large").build().unwrap();
    let body = vec![7; 50 << 20];
    publisher.message().send_bytes(body.clone()).unwrap();
    let message = consumer.fetch().unwrap().unwrap();
    assert!(message.body() == body);
    message.ack().unwrap();
    let sent = || proxy.statistics().iter().map(|one| one.to_server).sum::<u64>();
    let before = sent();
    // The frames of the broker have 60 MiB at most, and bodies of Carrot have 128 MiB.
    for size in [60 << 20, 129 << 20] {
        let error = publisher.message().send_bytes(vec![7; size]).unwrap_err();
        println!("large: {error}");
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    }
    assert!(sent() - before < 10_000, "{}", sent() - before);
    publisher.send("still open").unwrap();
}
