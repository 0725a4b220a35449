//! Connecting to peers that are no brokers, to brokers that refuse, and to brokers that break the
//! protocol.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::io::Write;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use carrot_core::backend::{Backend, Content, Outcome, Publication, PublishTag};
use carrot_core::{ConnectionOptions, Error};
use support::{
    BYTES_MESSAGE, CONNECTION_INFO, FakeBroker, KEEP_ALIVE, PRODUCER_INFO, SOON, exception, frame,
    open, wire_format,
};

/// Returns the text of the error of a login.
fn refused(broker: &FakeBroker) -> String {
    let error = broker.open().unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn peers_of_other_protocols_are_named() {
    for (octets, expected) in [
        (&b"AMQP\0\0\x09\x01"[..], "speaks AMQP"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP"),
        (b"ERROR\nmessage:Unknown STOMP action\n\n\0", "speaks STOMP"),
        (b"\x15\x03\x03\x00\x02\x02\x0a", "use activemq+ssl://"),
        (b"\x7f\xff\xff\xff\x01", "no ActiveMQ with OpenWire"),
        (b"\0\0\0\x0e\x01NotTheBroker\0", "no ActiveMQ with OpenWire"),
    ] {
        let broker = FakeBroker::sending(octets);
        let text = refused(&broker);
        assert!(text.contains(expected), "{text}");
        broker.join();
    }
}

#[test]
fn peer_that_closes_the_connection_is_named() {
    let text = refused(&FakeBroker::new(drop));
    assert!(text.contains("no ActiveMQ, or expects TLS"), "{text}");
}

#[test]
fn silent_peer_fails_at_the_deadline() {
    let (release, held) = mpsc::channel::<()>();
    let broker = FakeBroker::new(move |socket| {
        let _ = held.recv();
        drop(socket);
    });
    let timeout = Duration::from_millis(100);
    let started = Instant::now();
    let error = open(&broker.options().connect_timeout(timeout)).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    drop(release);
    broker.join();
}

#[test]
fn older_version_is_refused_before_the_password_leaves() {
    let broker = FakeBroker::new(|mut socket| {
        socket.write_all(&wire_format(11)).unwrap();
        let mut all = Vec::new();
        let _ = std::io::Read::read_to_end(&mut socket, &mut all);
        assert!(!all.windows(4).any(|octets| octets == b"hush"), "the password left");
    });
    let text = refused(&broker);
    let expected = "version 11 of OpenWire, and version 12 is needed (ActiveMQ 5.14 or later)";
    assert!(text.contains(expected), "{text}");
    broker.join();
}

#[test]
fn wrong_password_is_an_authentication_error_that_does_not_show_it() {
    let broker = FakeBroker::answering(|socket, frame| {
        assert_eq!(frame.kind, CONNECTION_INFO);
        let class = "java.lang.SecurityException";
        socket.write_all(&exception(frame.id, class, "hush is wrong")).unwrap();
        false
    });
    let error = broker.open().unwrap_err();
    let Error::Authentication { user, reason, .. } = &error else { panic!("{error:?}") };
    assert_eq!((&**user, &**reason), ("ann", "SecurityException: *** is wrong"));
    assert!(!format!("{error:?} {error}").contains("hush"), "{error:?}");
}

#[test]
fn malformed_command_ends_the_connection_and_names_the_field() {
    let broker = FakeBroker::answering(|socket, client| {
        if client.kind == PRODUCER_INFO {
            // The class of an exception that ends within its length.
            let octets = [31, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 1, 0];
            let _ = socket.write_all(&frame(&octets));
        }
        true
    });
    let error = broker.open().unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("ExceptionResponse ends within the field exception"), "{text}");
}

#[test]
fn larger_command_than_the_limit_ends_the_connection() {
    let broker = FakeBroker::answering(|socket, client| {
        if client.kind == PRODUCER_INFO {
            let _ = socket.write_all(&[0x7f, 0xff, 0xff, 0xff, 21]);
        }
        true
    });
    let error = open(&broker.options().max_message_size(1000)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("exceeds the limit of 1049576 bytes"), "{text}");
}

/// Opens a channel of a broker that asks for one keep-alive. Returns the keep-alives of the client.
fn asking(heartbeat: Duration) -> (Arc<dyn Backend>, mpsc::Receiver<()>) {
    let (seen, keep_alives) = mpsc::channel();
    let broker = FakeBroker::answering(move |socket, client| {
        if client.kind == PRODUCER_INFO {
            let _ = socket.write_all(&frame(&[KEEP_ALIVE, 0, 0, 0, 1, 1]));
        }
        if client.kind == KEEP_ALIVE {
            let _ = seen.send(());
        }
        true
    });
    (open(&broker.options().heartbeat(heartbeat)).unwrap(), keep_alives)
}

#[test]
fn keep_alive_is_answered() {
    let (_channel, keep_alives) = asking(Duration::ZERO);
    keep_alives.recv_timeout(SOON).unwrap();
}

#[test]
fn keep_alives_are_sent() {
    let (channel, keep_alives) = asking(Duration::from_secs(1));
    // The answer, and two more: one in each third of two intervals.
    for _ in 0..3 {
        keep_alives.recv_timeout(SOON).unwrap();
    }
    channel.check().unwrap();
}

#[test]
fn silent_broker_is_lost() {
    let broker = FakeBroker::answering(|_, _| true);
    let options = broker.options().heartbeat(Duration::from_secs(1));
    let channel = open(&options).unwrap();
    // The broker answers no keep-alive. A thread that waits learns of the end.
    let error = channel.confirm(PublishTag(1), SOON).unwrap_err();
    assert!(error.to_string().contains("the broker is silent"), "{error}");
}

#[test]
fn refused_message_is_the_answer_of_its_confirm() {
    let broker = FakeBroker::answering(|socket, client| {
        if client.kind == BYTES_MESSAGE {
            let class = "javax.jms.ResourceAllocationException";
            let _ = socket.write_all(&exception(client.id, class, "no space"));
        } else if client.kind == PRODUCER_INFO {
            let _ = socket.write_all(&advisory("q"));
        }
        true
    });
    let channel = broker.open().unwrap();
    let content = Arc::new(Content::new("", "q", "x"));
    let tag = channel.publish(&Publication::new(&content), SOON).unwrap();
    assert_eq!(channel.confirm(tag, SOON).unwrap(), Outcome::Refused);
}

/// Returns the advisory about a new queue.
fn advisory(queue: &str) -> Vec<u8> {
    let mut octets = vec![21, 0, 0, 0, 0, 0];
    // The consumer of advisories: session -1, number 0.
    octets.extend([1, 122, 0]);
    octets.extend([0xff; 8]);
    octets.extend([0; 8]);
    octets.push(0);
    // A message, up to its properties.
    octets.extend([1, 23, 0, 0, 0, 0, 0]);
    octets.extend([0; 6]);
    octets.extend([0; 1 + 4 + 1 + 1 + 8 + 1 + 1 + 8 + 1 + 1 + 1]);
    // The queue that was added.
    octets.extend([1, 8, 0, 0, 0, 0, 0, 0, 1, 100, 1, 0, u8::try_from(queue.len()).unwrap()]);
    octets.extend(queue.as_bytes());
    octets.extend([0; 1 + 8 + 1]);
    // The rest of the message, and the counter of the dispatch.
    octets.extend([0; 1 + 1 + 4 + 1 + 8 + 1 + 1 + 1 + 1 + 8 + 8 + 1]);
    octets.extend([0; 4]);
    frame(&octets)
}

#[test]
fn options_of_other_schemes_are_refused() {
    let options: ConnectionOptions = "amqp://h".parse().unwrap();
    let error = carrot_backend_activemq::ActiveMqConnector::new(&options).unwrap_err();
    assert!(error.to_string().contains("must be activemq or activemq+ssl"), "{error}");
    let error = "activemq://h/shop".parse::<ConnectionOptions>().unwrap_err();
    assert!(error.to_string().contains("ActiveMQ has no vhosts"), "{error}");
}
