//! Hosts and clients with TLS.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "each file of tests uses a part of the support")]

#[path = "../../carrot-server/tests/support/authority.rs"]
mod authority;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use carrot::backend::{
    Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delivery,
};
use carrot::config::{Pem, TlsOptions};
use carrot::memory::Broker;
use carrot::zeromq::{BrokerHost, BrokerHostBuilder, ServerTls, ZeroMqConnector};
use carrot::{Connection, ConnectionOptions, Error, Queue, Result};

use authority::{TestAuthority, TestIdentity};
use support::{RawClient, SOON, eventually, greeting};

const HOST: &str = "127.0.0.1:0";

fn tls_of(identity: &TestIdentity) -> ServerTls {
    ServerTls::new(Pem::text(&*identity.certificate), Pem::text(&*identity.key))
}

fn builder(authority: &TestAuthority) -> BrokerHostBuilder {
    BrokerHost::builder(&Broker::new()).tls(tls_of(&authority.server()))
}

fn trusting(host: &BrokerHost, authority: &TestAuthority) -> ConnectionOptions {
    let options = host.url().parse::<ConnectionOptions>().unwrap();
    options.tls(TlsOptions::new().authority(Pem::text(&*authority.certificate)))
}

fn showing(mut options: ConnectionOptions, identity: &TestIdentity) -> ConnectionOptions {
    options.tls =
        options.tls.identity(Pem::text(&*identity.certificate), Pem::text(&*identity.key));
    options
}

/// Opens a channel, at most for [`SOON`].
fn open(options: &ConnectionOptions) -> Result<Arc<dyn Backend>> {
    ZeroMqConnector::new(options)?.open(&ChannelOptions::publish(), SOON)
}

/// Returns the text of a refused connect, which has to end before its deadline.
#[track_caller]
fn refused(options: &ConnectionOptions) -> String {
    let options = options.clone().connect_timeout(SOON);
    let started = Instant::now();
    let error = open(&options).expect_err("the connect succeeded");
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    error.to_string()
}

/// Sends all but the last octet of a TLS record, one in each pause. Ends when the peer closes the
/// socket.
fn drip(socket: &mut TcpStream, pause: Duration) {
    socket.set_read_timeout(Some(pause)).unwrap();
    let record = [&[0x16, 3, 1, 1, 0, 1, 0, 0, 252][..], &[0; 251]].concat();
    for octet in &record {
        if socket.write_all(&[*octet]).is_err() {
            return;
        }
        match socket.read(&mut [0; 100]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // An end, an alert before it, or a reset.
            _ => return,
        }
    }
    panic!("the handshake went on for {} octets", record.len());
}

/// Sends a message of this size through the host, and receives it.
fn exchange(connection: &Connection, bytes: usize) {
    let consumer = connection.consumer("q").build().unwrap();
    let publisher = connection.publisher().routing_key("q").build().unwrap();
    publisher.message().send_bytes(vec![7; bytes]).unwrap();
    let message = consumer.fetch().unwrap().expect("a message");
    assert_eq!(message.body(), vec![7; bytes]);
    message.ack().unwrap();
}

#[test]
fn messages_of_any_size_cross_tls_with_a_password() {
    let authority = TestAuthority::new();
    let host = builder(&authority).user("ann", "hush").bind(HOST).unwrap();
    assert!(host.url().starts_with("zmqs://127.0.0.1:"), "{}", host.url());
    let options = trusting(&host, &authority).credentials("ann", "hush");
    let connection = carrot::connect(&options).unwrap();
    for bytes in [0, 1, 16 << 10, 100_000, 5_000_000] {
        exchange(&connection, bytes);
    }
    let wrong = trusting(&host, &authority).credentials("ann", "wrong");
    let error = open(&wrong).unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error:?}");
    drop(connection);
    host.stop(SOON).unwrap();
}

#[test]
fn both_directions_are_used_at_once() {
    const MESSAGES: u32 = 3000;
    let authority = TestAuthority::new();
    let host = builder(&authority).bind(HOST).unwrap();
    let connection = carrot::connect(trusting(&host, &authority)).unwrap();
    let consumer = connection.consumer("q").prefetch(100).build().unwrap();
    let publisher = connection.publisher().routing_key("q").build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MESSAGES {
                let body = [&number.to_be_bytes()[..], &[7; 2000]].concat();
                publisher.message().send_bytes(body).unwrap();
            }
        });
        for (number, message) in (0..MESSAGES).zip(consumer.messages().unwrap().timeout(SOON)) {
            let message = message.unwrap();
            assert_eq!(message.body()[..4], number.to_be_bytes());
            message.ack().unwrap();
        }
    });
}

#[test]
fn dropped_connection_delivers_its_last_messages() {
    let authority = TestAuthority::new();
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker).tls(tls_of(&authority.server())).bind(HOST).unwrap();
    let channel = open(&trusting(&host, &authority)).unwrap();
    channel.declare(Declare::Queue(&Queue::new("q")), SOON).unwrap();
    let content = Arc::new(Content::new("", "q", vec![7; 8 << 20]));
    channel.publish(&carrot::backend::Publication::new(&content), SOON).unwrap();
    drop(channel);
    eventually("the message is there", || broker.queue("q").unwrap().ready.len() == 1);
    eventually("the connection ends", || host.connection_count() == 0);
}

#[test]
fn idle_connection_lives_and_host_that_stops_gives_its_reason() {
    let authority = TestAuthority::new();
    let host = builder(&authority)
        .heartbeat(Duration::from_millis(200))
        .handshake_timeout(Duration::from_secs(2))
        .bind(HOST)
        .unwrap();
    let channel = open(&trusting(&host, &authority)).unwrap();
    // The silent client of the handshake is lost after ten intervals of the other.
    RawClient::new(&host).read_to_end();
    channel.check().unwrap();
    host.stop(SOON).unwrap();
    eventually("the channel ends", || channel.check().is_err());
    let error = channel.check().unwrap_err();
    assert!(
        matches!(&error, Error::Disconnected { reason, .. } if reason.contains("the host stops")),
        "{error:?}"
    );
}

#[test]
fn host_of_another_authority_is_refused_by_its_client() {
    let (authority, other) = (TestAuthority::new(), TestAuthority::new());
    let host = builder(&authority).bind(HOST).unwrap();
    let text = refused(&trusting(&host, &other));
    assert!(
        text.contains("the TLS handshake failed") && text.contains("invalid peer certificate"),
        "{text}"
    );
}

#[test]
fn certificate_of_another_name_or_time_is_refused_by_its_client() {
    let authority = TestAuthority::new();
    let named = tls_of(&authority.server_named("mq.example"));
    let host = builder(&authority).tls(named).bind(HOST).unwrap();
    let mut options = trusting(&host, &authority);
    let text = refused(&options);
    assert!(text.contains("not valid for name"), "{text}");
    options.tls = options.tls.server_name("mq.example");
    open(&options).unwrap();

    let host = builder(&authority).tls(tls_of(&authority.expired_server())).bind(HOST).unwrap();
    let text = refused(&trusting(&host, &authority));
    assert!(text.contains("expired"), "{text}");
}

#[test]
fn required_certificate_is_demanded_in_the_handshake() {
    let (authority, clients) = (TestAuthority::new(), TestAuthority::new());
    let tls = tls_of(&authority.server())
        .client_authority(Pem::text(&*clients.certificate))
        .require_client_certificate();
    let host = builder(&authority).tls(tls).bind(HOST).unwrap();
    let options = trusting(&host, &authority);
    let text = refused(&options);
    assert!(text.contains("CertificateRequired"), "{text}");
    let text = refused(&showing(options.clone(), &authority.client("anyone")));
    assert!(text.contains("received fatal alert"), "{text}");
    open(&showing(options, &clients.client("anyone"))).unwrap();
}

#[test]
fn client_without_tls_is_refused_with_the_reason() {
    let host = builder(&TestAuthority::new()).bind(HOST).unwrap();
    let text = refused(&host.url().replace("zmqs://", "zmq://").parse().unwrap());
    assert!(text.contains("the peer speaks TLS, and not ZMTP"), "{text}");
}

#[test]
fn tls_client_of_a_plain_host_is_refused_with_the_reason() {
    let host = BrokerHost::bind(HOST, &Broker::new()).unwrap();
    let url = host.url().replace("zmq://", "zmqs://");
    let tls = TlsOptions::new().authority(Pem::text(TestAuthority::new().certificate));
    let text = refused(&url.parse::<ConnectionOptions>().unwrap().tls(tls));
    assert!(text.contains("the peer speaks no TLS"), "{text}");
    eventually("the connection ends", || host.connection_count() == 0);
}

#[test]
fn silent_host_ends_a_tls_handshake_at_the_deadline_of_the_connect() {
    let silent = support::FakeHost::new();
    let url = format!("zmqs://{}", silent.address());
    let tls = TlsOptions::new().authority(Pem::text(TestAuthority::new().certificate));
    let options = url.parse::<ConnectionOptions>().unwrap().tls(tls);
    let started = Instant::now();
    let late = open(&options.connect_timeout(Duration::from_millis(200))).unwrap_err();
    assert!(matches!(late, Error::Timeout { .. }), "{late:?}");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

#[test]
fn slow_tls_handshake_ends_at_its_deadline() {
    const DEADLINE: Duration = Duration::from_millis(200);
    let host = builder(&TestAuthority::new()).handshake_timeout(DEADLINE).bind(HOST).unwrap();
    for octets in [&b""[..], &[0x16, 3, 1, 1, 0]] {
        let mut client = RawClient::new(&host);
        client.send(octets);
        client.read_to_end();
    }
    // Each octet arrives in time. Together, they do not.
    drip(&mut RawClient::new(&host).socket, DEADLINE / 4);
    eventually("the connections end", || host.connection_count() == 0);
}

#[test]
fn octets_that_are_no_tls_end_the_handshake() {
    let authority = TestAuthority::new();
    let host = builder(&authority).bind(HOST).unwrap();
    for octets in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff], &greeting()] {
        let mut client = RawClient::new(&host);
        client.send(octets);
        client.read_to_end();
    }
    eventually("the connections end", || host.connection_count() == 0);
    open(&trusting(&host, &authority)).unwrap();
}

#[test]
fn stop_does_not_wait_for_a_tls_handshake() {
    const LONG: Duration = Duration::from_secs(120);
    let host = builder(&TestAuthority::new()).handshake_timeout(LONG).bind(HOST).unwrap();
    let mut client = RawClient::new(&host);
    eventually("the connection is accepted", || host.connection_count() == 1);
    let started = Instant::now();
    // The close of the host and that of a thread that has not begun both end the client.
    let _ = host.stop(LONG);
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    client.read_to_end();
}

#[test]
fn unusable_certificates_and_places_are_named_without_secrets() {
    let authority = TestAuthority::new();
    let TestIdentity { certificate, key } = authority.server();
    let tls = |certificate: &str, key: &str| ServerTls::new(Pem::text(certificate), Pem::text(key));
    let broken = "-----BEGIN PRIVATE KEY-----\nhush*hush\n-----END PRIVATE KEY-----\n";
    let option = |bound: Result<BrokerHost>| {
        let error = bound.expect_err("the host was bound");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        let Error::Config { option, .. } = error else { panic!("{error}") };
        option.into_owned()
    };
    for (tls, named) in [
        (tls("nothing", &key), "tls certificates"),
        (tls(&certificate, broken), "tls key"),
        (tls(&certificate, &key).require_client_certificate(), "tls client_authority"),
    ] {
        assert_eq!(option(builder(&authority).tls(tls).bind(HOST)), named);
    }
    let host = builder(&authority).bind(HOST).unwrap();
    let mut options = trusting(&host, &authority);
    options.tls = options.tls.identity(Pem::text(&*certificate), Pem::text(broken));
    let error = open(&options).unwrap_err();
    assert!(
        matches!(&error, Error::Config { option, .. } if option == "tls identity"),
        "{error:?}"
    );
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    #[cfg(unix)]
    {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(option(builder(&authority).bind_path(folder.path().join("s"))), "tls");
    }
}

/// Forwards the octets of one client to a host, and those of the host until it is told to stop.
fn relay(host: &BrokerHost, is_paused: &Arc<AtomicBool>) -> SocketAddr {
    let (address, is_paused) = (host.address().unwrap(), Arc::clone(is_paused));
    let listener = TcpListener::bind(HOST).unwrap();
    let relayed = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut host = TcpStream::connect(address).unwrap();
        let (mut from_client, mut to_host) =
            (client.try_clone().unwrap(), host.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_client, &mut to_host);
        });
        let mut buffer = [0; 16 << 10];
        loop {
            while is_paused.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(2));
            }
            match host.read(&mut buffer) {
                Ok(count) if count > 0 && client.write_all(&buffer[..count]).is_ok() => {}
                _ => return,
            }
        }
    });
    relayed
}

#[test]
fn tls_client_that_does_not_read_stops_only_itself() {
    const MESSAGES: usize = 400;
    let authority = TestAuthority::new();
    let broker = Broker::new();
    let host = BrokerHost::builder(&broker).tls(tls_of(&authority.server())).bind(HOST).unwrap();
    let is_paused = Arc::new(AtomicBool::new(false));
    let mut options = trusting(&host, &authority);
    let consumer = ConsumeOptions::with_prefetch(0).automatic();
    let open = |options: &ConnectionOptions| {
        let channel = ZeroMqConnector::new(options)?.open(&ChannelOptions::consume(), SOON)?;
        channel.declare(Declare::Queue(&Queue::new("q")), SOON)?;
        Ok::<_, Error>((channel.consume("q", &consumer, SOON)?, channel))
    };
    options.hosts[0].port = Some(relay(&host, &is_paused).port());
    let (slow, _channel) = open(&options).unwrap();
    is_paused.store(true, Ordering::SeqCst);
    for number in 0..MESSAGES {
        let body = [&(number as u32).to_be_bytes()[..], &[7; 64 << 10]].concat();
        broker.put("q", Content::new("", "q", body)).unwrap();
    }
    // Apart from the buffers of the system, a connection takes about 1 MiB.
    let ready = || broker.queue("q").unwrap().ready.len();
    assert!(ready() > MESSAGES / 3, "{}", ready());
    let (other, _other_channel) = open(&trusting(&host, &authority)).unwrap();
    let number_of = |delivery: Option<Delivery>| {
        u32::from_be_bytes(*delivery.unwrap().content.body.first_chunk().unwrap())
    };
    let mut taken_by_other = Vec::new();
    while ready() > 0 {
        taken_by_other.push(number_of(other.next(SOON).unwrap()));
    }
    // Once the client reads, it receives what was sent to it, in order.
    is_paused.store(false, Ordering::SeqCst);
    let mut taken = vec![number_of(slow.next(SOON).unwrap())];
    let deadline = Instant::now() + SOON;
    while taken.len() + taken_by_other.len() < MESSAGES {
        assert!(Instant::now() < deadline, "{} messages", taken.len() + taken_by_other.len());
        let (delivery, numbers) = match other.next(Duration::ZERO).unwrap() {
            Some(delivery) => (Some(delivery), &mut taken_by_other),
            None => (slow.next(Duration::from_millis(10)).unwrap(), &mut taken),
        };
        numbers.extend(delivery.map(|delivery| number_of(Some(delivery))));
    }
    assert!(taken.is_sorted() && taken_by_other.is_sorted());
    let mut all = [taken, taken_by_other].concat();
    all.sort_unstable();
    assert_eq!(all, (0..MESSAGES as u32).collect::<Vec<_>>());
}

#[test]
fn host_for_other_machines_needs_users_also_with_tls() {
    let authority = TestAuthority::new();
    let open = || builder(&authority).allow_other_machines();
    let refused = open().bind("0.0.0.0:0");
    assert!(matches!(&refused, Err(Error::Config { option, .. }) if option == "user"));
    let host = open().user("ann", "hush").bind("0.0.0.0:0").unwrap();
    let options = trusting(&host, &authority).credentials("ann", "hush");
    exchange(&carrot::connect(options).unwrap(), 10);
}

#[test]
fn debug_output_hides_keys_and_passwords() {
    let authority = TestAuthority::new();
    let identity = authority.server();
    let secret = identity.key.lines().nth(1).unwrap();
    let builder = builder(&authority).tls(tls_of(&identity)).user("ann", "hush");
    let host = builder.clone().bind(HOST).unwrap();
    let options = showing(trusting(&host, &authority), &identity).credentials("ann", "hush");
    let connector = ZeroMqConnector::new(&options).unwrap();
    let channel = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    let shown = format!("{builder:?} {host:?} {options:?} {options} {connector:?}");
    assert!(!shown.contains(secret) && !shown.contains("hush"), "{shown}");
    drop(channel);
}
