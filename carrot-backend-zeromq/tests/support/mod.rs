//! A client that sends any octets to a host, and a host that sends any to a client.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use carrot::backend::{ChannelOptions, Connector, Declare};
use carrot::memory::Broker;
use carrot::zeromq::{BrokerHost, ZeroMqConnector};
use carrot::{ConnectionOptions, Queue};

/// Long enough for any expected event.
pub const SOON: Duration = Duration::from_secs(20);

/// The greeting of a client of mechanism NULL.
pub fn greeting() -> [u8; 64] {
    let mut octets = [0; 64];
    octets[0] = 0xFF;
    octets[9] = 0x7F;
    octets[10] = 3;
    octets[11] = 1;
    octets[12..16].copy_from_slice(b"NULL");
    octets
}

/// A READY of a socket of this type.
pub fn ready(kind: &str) -> Vec<u8> {
    let mut payload = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    payload.push(kind.len() as u8);
    payload.extend(kind.as_bytes());
    [&[4, payload.len() as u8][..], &payload].concat()
}

/// A message of one frame of less than 256 octets.
pub fn message(head: &[u8]) -> Vec<u8> {
    [&[0, head.len() as u8][..], head].concat()
}

/// The start of a message.
pub fn start(kind: u8, channel: u32, number: u32) -> Vec<u8> {
    [&[kind][..], &channel.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// A hello of a version.
pub fn hello(version: u8) -> Vec<u8> {
    message(&[&start(1, 0, 1)[..], b"CARROT", &[version], &[7; 16], b"\x04test"].concat())
}

pub fn host() -> (Broker, BrokerHost) {
    let broker = Broker::new();
    let host = BrokerHost::bind("127.0.0.1:0", &broker).unwrap();
    (broker, host)
}

pub fn connector(url: &str) -> ZeroMqConnector {
    ZeroMqConnector::new(&url.parse::<ConnectionOptions>().unwrap()).unwrap()
}

/// Returns whether a host still serves a client.
pub fn is_well(host: &BrokerHost) -> bool {
    let channel = connector(&host.url()).open(&ChannelOptions::publish(), SOON).unwrap();
    let queue = Queue::new("a queue of a client that behaves");
    channel.declare(Declare::Queue(&queue), SOON).is_ok()
}

/// A socket to a host.
pub struct RawClient {
    pub socket: TcpStream,
}

impl RawClient {
    pub fn new(host: &BrokerHost) -> RawClient {
        let socket = TcpStream::connect(host.address().unwrap()).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        RawClient { socket }
    }

    /// Connects, and says hello.
    pub fn welcomed(host: &BrokerHost) -> RawClient {
        let mut client = RawClient::new(host);
        client.send(&[&greeting()[..], &ready("DEALER"), &hello(1)].concat());
        client.read_until(|octets| octets.windows(5).any(|part| part == [65, 0, 0, 0, 0]));
        client
    }

    pub fn send(&mut self, octets: &[u8]) {
        // The host may have closed the socket.
        let _ = self.socket.write_all(octets);
    }

    /// Reads until a condition holds for all that was read.
    pub fn read_until(&mut self, mut holds: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
        let deadline = Instant::now() + SOON;
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        while !holds(&all) {
            assert!(Instant::now() < deadline, "not within {SOON:?}: {}", all.escape_ascii());
            match self.socket.read(&mut buffer) {
                Ok(0) => panic!("the host closed the socket: {}", all.escape_ascii()),
                Ok(count) => all.extend(&buffer[..count]),
                Err(error) => panic!("{error}: {}", all.escape_ascii()),
            }
        }
        all
    }

    /// Reads until the host closes the socket.
    pub fn read_to_end(&mut self) -> String {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => all.extend(&buffer[..count]),
                // The host closes a socket whose octets it has not read.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error}: {}", all.escape_ascii()),
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// A host that accepts connections of one client, and does nothing else by itself.
pub struct FakeHost {
    listener: TcpListener,
}

impl FakeHost {
    pub fn new() -> FakeHost {
        FakeHost { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    /// The host and the port.
    pub fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub fn url(&self) -> String {
        format!("zmq://{}", self.address())
    }

    /// Accepts a connection, and says nothing.
    pub fn accept(&self) -> RawClient {
        let (socket, _) = self.listener.accept().unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        RawClient { socket }
    }

    /// Accepts a connection, and welcomes its hello and its first channel.
    pub fn welcome(&self) -> RawClient {
        let mut client = self.accept();
        client.send(&[&greeting()[..], &ready("ROUTER")].concat());
        let found = |octets: &[u8]| octets.windows(6).position(|part| part == b"CARROT");
        let hello = client
            .read_until(|octets| found(octets).is_some_and(|place| octets.len() >= place + 24));
        let place = found(&hello).unwrap();
        let session = &hello[place + 7..place + 23];
        let traits = [&[0; 6][..], &(64_u64 << 20).to_be_bytes()].concat();
        client.send(&message(&[&start(65, 0, 1)[..], &[1], session, &traits].concat()));
        let open = start(2, 1, 2);
        client.read_until(|octets| octets.windows(9).any(|part| part == open));
        client.send(&message(&start(66, 1, 2)));
        client
    }
}

/// Waits until `condition` holds, at most for [`SOON`].
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen in {SOON:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
