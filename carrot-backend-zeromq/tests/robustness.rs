//! Hosts with clients that break the protocol, do not read, are many, or vanish.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use carrot::backend::{ChannelOptions, Connector, ConsumeOptions, Content, Declare};
use carrot::memory::Broker;
use carrot::zeromq::{BrokerHost, ZeroMqConnector};
use carrot::{ConnectionOptions, Error, Queue};

use support::{RawClient, SOON, eventually, greeting, hello, host, message, ready, start};

fn connector(url: &str) -> ZeroMqConnector {
    ZeroMqConnector::new(&url.parse::<ConnectionOptions>().unwrap()).unwrap()
}

/// Returns whether a host still serves a client.
fn is_well(host: &BrokerHost) -> bool {
    let channel = connector(&host.url()).open(&ChannelOptions::publish(), SOON).unwrap();
    let queue = Queue::new("a queue of a client that behaves");
    channel.declare(Declare::Queue(&queue), SOON).is_ok()
}

#[test]
fn malformed_greetings_and_handshakes_end_the_connection() {
    let (_broker, host) = host();
    for octets in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"AMQP\0\0\x09\x01",
        b"\xFF\0\0\0\0\0\0\0\0\x7E",
        &[&greeting()[..], b"\x04\x06\x05REAWX"].concat(),
        &[&greeting()[..], b"\x04\x02\x05R"].concat(),
        &[&greeting()[..], b"\xFF\xFF"].concat(),
        &[&greeting()[..], b"\x06\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"].concat(),
        &[&greeting()[..], b"\0\x01x"].concat(),
    ] {
        let mut client = RawClient::new(&host);
        client.send(octets);
        client.read_to_end();
    }
    assert!(is_well(&host));
}

#[test]
fn other_sockets_are_refused_with_a_reason() {
    let (_broker, host) = host();
    let mut client = RawClient::new(&host);
    client.send(&[&greeting()[..], &ready("REQ")].concat());
    let sent = client.read_to_end();
    assert!(sent.contains("ERROR") && sent.contains("no DEALER"), "{sent:?}");
}

#[test]
fn unknown_version_is_refused_with_words() {
    let (_broker, host) = host();
    let mut client = RawClient::new(&host);
    client.send(&[&greeting()[..], &ready("DEALER"), &hello(9)].concat());
    let sent = client.read_to_end();
    assert!(sent.contains("version 1, the only one that this host speaks"), "{sent:?}");
}

#[test]
fn call_before_the_hello_is_refused_with_a_reason() {
    let (_broker, host) = host();
    let mut client = RawClient::new(&host);
    let open = message(&[start(2, 1, 1), vec![0; 9]].concat());
    client.send(&[&greeting()[..], &ready("DEALER"), &open].concat());
    let sent = client.read_to_end();
    assert!(sent.contains("the first message has to be hello"), "{sent:?}");
}

#[test]
fn messages_before_the_handshake_and_the_hello_take_no_memory() {
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker)
        .max_unfinished_bytes(1 << 20)
        .user("ann", "hush")
        .bind("127.0.0.1:0")
        .unwrap();
    let address = host.address().unwrap();
    let large = |flags: u8, octets: u64| {
        let whole = vec![0; usize::try_from(octets).unwrap() - 1];
        [&[flags | 2][..], &octets.to_be_bytes(), &whole].concat()
    };
    let mut plain = greeting();
    plain[12..17].copy_from_slice(b"PLAIN");
    // Peers that have not proved who they are: parts of heads, and heads whose body follows.
    let held: Vec<RawClient> = (0..10)
        .map(|number| {
            let mut client = RawClient::new(&host);
            client.send(&plain);
            client.read_until(|octets| octets.len() >= 64);
            client.send(&[large(number % 2, 900 << 10), vec![0]].concat());
            client
        })
        .collect();
    for mut client in held {
        client.read_to_end();
    }
    let well = connector(&format!("zmq://ann:hush@{address}"));
    well.open(&ChannelOptions::publish(), SOON).unwrap();

    // A call that is no hello is answered at once, regardless of its size, and with the same words.
    let (_broker, host) = self::host();
    for early in [large(0, 900 << 10), large(1, 900 << 10), [&[1, 9][..], &[12; 9]].concat()] {
        let mut client = RawClient::new(&host);
        client.send(&[&greeting()[..], &ready("DEALER")].concat());
        client.read_until(|octets| octets.windows(6).any(|part| part == b"ROUTER"));
        // The rest would be answered with a reset.
        client.send(&early[..early.len().min(9)]);
        if early.len() < 20 {
            client.send(&early[9..]);
        }
        let sent = client.read_to_end();
        assert!(sent.contains("the first message has to be hello"), "{sent:?}");
    }
}

#[test]
fn malformed_calls_end_the_connection_with_the_name_of_the_field() {
    let (_broker, host) = host();
    let publish = [start(12, 1, 0), vec![0, 0, 1, b'q', 0, 0]].concat();
    for (octets, field) in [
        (message(&[1]), "channel"),
        (message(&start(200, 0, 0)), "kind"),
        (message(&[start(2, 0, 1), vec![0; 9]].concat()), "channel"),
        (message(&[start(10, 1, 1), vec![9]].concat()), "queue"),
        (message(&publish), "body"),
        ([&[1, 9][..], &start(3, 1, 1), &[0, 0]].concat(), "body"),
        (hello(1), "kind"),
    ] {
        let mut client = RawClient::welcomed(&host);
        client.send(&octets);
        let sent = client.read_to_end();
        assert!(sent.contains(&format!("the field {field:?}")), "{field}: {sent:?}");
    }
    assert!(is_well(&host));
}

#[test]
fn calls_without_a_number_have_no_answer_and_lost_publications_have_one() {
    let (broker, host) = host();
    let mut client = RawClient::welcomed(&host);
    let declare = [start(5, 1, 0), vec![0, 1, b'q', 0, 0, 0, 0]].concat();
    let consume = [start(14, 1, 0), vec![0, 0, 0, 1, 1, 0, 0, 1, b'q', 0, 0, 0, 0]].concat();
    let publish = [start(12, 9, 0), vec![0, 0, 1, b'q', 0, 0]].concat();
    client.send(&message(&[start(2, 1, 0), vec![0; 9]].concat()));
    client.send(&[message(&declare), message(&consume)].concat());
    client.send(&[&[1, publish.len() as u8][..], &publish, &[0, 1, b'x']].concat());
    let closed = start(72, 9, 0);
    let sent = client.read_until(|octets| octets.windows(9).any(|part| part == closed));
    assert_eq!(sent[2..11], closed, "{}", sent.escape_ascii());
    assert_eq!(broker.queue("q").unwrap().consumers.len(), 1);
    client.send(&message(&[start(13, 1, 0), vec![1, 1, b'q']].concat()));
    let sent = client.read_to_end();
    assert!(sent.contains("the field \"number\""), "{sent:?}");
}

#[test]
fn announced_sizes_take_no_memory_and_exceed_no_limit() {
    let (_broker, host) = host();
    // A head of 2 MiB, and a body of an exabyte.
    for octets in [
        [&[2][..], &(2_u64 << 20).to_be_bytes()].concat(),
        [&[1, 1, 12, 2][..], &(1_u64 << 60).to_be_bytes()].concat(),
    ] {
        let mut client = RawClient::welcomed(&host);
        client.send(&octets);
        let sent = client.read_to_end();
        assert!(sent.contains("and the limit is"), "{sent:?}");
    }
    // 16 MiB are permitted, and never arrive.
    let mut waiting: Vec<RawClient> = (0..50).map(|_| RawClient::welcomed(&host)).collect();
    for client in &mut waiting {
        client.send(&[&[1, 1, 12, 2][..], &(16_u64 << 20).to_be_bytes(), &[0; 100]].concat());
    }
    assert!(is_well(&host));
}

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
fn client_that_does_not_read_stops_nobody_else() {
    let (broker, host) = host();
    let connector = connector(&host.url());
    let channel = connector.open(&ChannelOptions::consume(), SOON).unwrap();
    channel.declare(Declare::Queue(&Queue::new("q")), SOON).unwrap();
    // Consumes without acknowledgement and without a prefetch, and never reads.
    let mut deaf = RawClient::welcomed(&host);
    let consume = [start(14, 1, 1), vec![0, 0, 0, 1, 1, 0, 0, 1, b'q', 0, 0, 0, 0]].concat();
    let open = message(&[start(2, 1, 1), vec![0; 9]].concat());
    deaf.send(&[open, message(&consume)].concat());
    eventually("the consumer is there", || {
        broker.queue("q").is_some_and(|queue| queue.consumers.len() == 1)
    });
    const MESSAGES: usize = 400;
    for _ in 0..MESSAGES {
        broker.put("q", Content::new("", "q", vec![7; 64 << 10])).unwrap();
    }
    // What fits into the sockets has left the queue. The rest waits there for others.
    let ready = || broker.queue("q").unwrap().ready.len();
    assert!(ready() > MESSAGES / 3, "{}", ready());
    let other = channel.consume("q", &ConsumeOptions::with_prefetch(10), SOON).unwrap();
    assert!(other.next(SOON).unwrap().is_some());
}

#[test]
fn client_that_does_not_read_its_answers_loses_the_connection() {
    let broker = Broker::new();
    let host =
        BrokerHost::builder(&broker).heartbeat(Duration::from_secs(1)).bind("127.0.0.1:0").unwrap();
    let connector = connector(&host.url());
    let channel = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    channel.declare(Declare::Queue(&Queue::new("q")), SOON).unwrap();
    const MESSAGES: u32 = 60;
    for _ in 0..MESSAGES {
        broker.put("q", Content::new("", "q", vec![7; 1 << 20])).unwrap();
    }
    // More than the sockets and the host hold, in answers.
    let mut deaf = RawClient::welcomed(&host);
    deaf.send(&message(&[start(2, 1, 1), vec![0; 9]].concat()));
    for call in 0..MESSAGES {
        deaf.send(&message(&[start(13, 1, call + 2), vec![1, 1, b'q']].concat()));
    }
    eventually("one connection is left", || host.connection_count() == 1);
    channel.check().unwrap();
}

#[test]
fn publications_of_a_client_that_reads_no_confirms_and_leaves_arrive() {
    let (broker, host) = host();
    const CLIENTS: usize = 20;
    const MESSAGES: usize = 2500;
    let publish = [start(12, 1, 0), vec![0, 0, 1, b'q', 0, 0]].concat();
    let publish = [&[1, publish.len() as u8][..], &publish, &[0, 1, b'x']].concat();
    let declare = [start(5, 1, 0), vec![0, 1, b'q', 0, 0, 0, 0]].concat();
    // A channel for publishing, with confirms.
    let open = message(&[start(2, 1, 0), vec![3; 1], vec![0; 8]].concat());
    for number in 1..=CLIENTS {
        let mut client = RawClient::welcomed(&host);
        client.send(&[open.clone(), message(&declare), publish.repeat(MESSAGES)].concat());
        drop(client);
        eventually("the messages are there", || {
            broker.queue("q").is_some_and(|queue| queue.ready.len() == number * MESSAGES)
        });
    }
    eventually("all connections end", || host.connection_count() == 0);
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

#[cfg(unix)]
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

#[cfg(unix)]
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

#[cfg(unix)]
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

#[cfg(unix)]
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
fn blocked_publisher_is_parked_up_to_its_limit_and_blocks_nobody_else() {
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker).max_parked(10, 1 << 20).bind("127.0.0.1:0").unwrap();
    let connector = connector(&host.url());
    let publishing = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    let consuming = connector.open(&ChannelOptions::consume(), SOON).unwrap();
    publishing.declare(Declare::Queue(&Queue::new("q")), SOON).unwrap();
    broker.faults().block_publishers("low on memory");
    let content = std::sync::Arc::new(Content::new("", "q", vec![7; 100_000]));
    let mut sent = 0;
    // The sockets and the queue of the client are full once the host reads no more.
    let blocked = loop {
        match publishing
            .publish(&carrot::backend::Publication::new(&content), Duration::from_millis(200))
        {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 2000, "nothing stops the publisher");
    };
    assert!(matches!(blocked, Error::Blocked { .. }), "{blocked:?}");
    assert!(
        consuming.get("q", carrot::backend::Acknowledgement::Automatic, SOON).unwrap().is_none()
    );
    broker.faults().unblock_publishers();
    for tag in 1..=sent {
        publishing.confirm(carrot::backend::PublishTag(tag), SOON).unwrap();
    }
    assert_eq!(broker.queue("q").unwrap().ready.len() as u64, sent);
}

#[test]
fn blocked_client_sees_signs_of_life_without_heartbeats_of_the_host() {
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker)
        .heartbeat(Duration::ZERO)
        .max_parked(1, 1 << 20)
        .bind("127.0.0.1:0")
        .unwrap();
    let mut client = RawClient::welcomed(&host);
    client.send(&message(&[start(2, 1, 1), vec![0; 9]].concat()));
    broker.faults().block_publishers("low on memory");
    let head = [start(12, 1, 0), vec![0, 0, 1, b'q', 0, 0]].concat();
    client.send(&[&[1, head.len() as u8][..], &head, &[0, 1, b'x']].concat());
    let pings = |octets: &[u8]| octets.windows(4).filter(|part| *part == b"PING").count();
    client.read_until(|octets| pings(octets) == 3);
    broker.faults().unblock_publishers();
}

#[test]
fn heads_of_parked_publications_count() {
    let broker = Broker::new();
    let host =
        BrokerHost::builder(&broker).max_parked(10_000, 1 << 20).bind("127.0.0.1:0").unwrap();
    broker.faults().block_publishers("low on memory");
    let mut client = RawClient::welcomed(&host);
    client.send(&message(&[start(2, 1, 1), vec![0; 9]].concat()));
    // A header of 900 KiB, and an empty body.
    let text = vec![b'x'; 900 << 10];
    let table = [&b"\x01hS"[..], &(text.len() as u32).to_be_bytes(), &text].concat();
    let properties = [&[0x20, 0][..], &(table.len() as u32).to_be_bytes(), &table].concat();
    let head = [&start(12, 1, 0)[..], &[0, 0, 1, b'q'], &properties].concat();
    let publication = [&[3][..], &(head.len() as u64).to_be_bytes(), &head, &[0, 0]].concat();
    client.socket.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    // The buffers of the sockets are smaller than the messages together.
    let stopped = (0..100).find_map(|_| client.socket.write_all(&publication).err());
    let stopped = stopped.map(|error| error.kind());
    assert!(matches!(stopped, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{stopped:?}");
    assert!(is_well(&host));
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
