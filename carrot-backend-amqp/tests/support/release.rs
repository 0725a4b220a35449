//! The release of the broker to test with.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;

use carrot_amqp_wire::{Arguments, FramePart, FrameReader, Method, ProtocolHeader, RawValue};
use carrot_core::Scheme;

use super::broker_options;
use super::channels::LONG;

/// The first two numbers of a release of RabbitMQ.
type Release = (u32, u32);

/// The release whose exchange.declare of an unknown type costs the channel (406). Earlier releases
/// close the connection (503).
pub(crate) const UNKNOWN_EXCHANGE_TYPE_COSTS_THE_CHANNEL: Release = (4, 0);
/// The release that refuses a frame_max below 8192.
pub(crate) const SMALL_FRAMES_ARE_REFUSED: Release = (4, 1);

/// Returns the release of the broker, as it announces it. If the URL has TLS, returns the release
/// that `CARROT_TEST_RABBITMQ_VERSION` names.
pub(crate) fn release() -> Release {
    static RELEASE: OnceLock<Release> = OnceLock::new();
    *RELEASE.get_or_init(|| {
        let options = broker_options();
        let version = if options.scheme == Scheme::Amqp {
            announced_version(options.addresses().next().unwrap())
        } else {
            std::env::var("CARROT_TEST_RABBITMQ_VERSION")
                .expect("CARROT_TEST_RABBITMQ_VERSION has to name the release of a broker with TLS")
        };
        let mut numbers = version.split('.').map(|number| number.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    })
}

/// Returns the version in connection.start.
fn announced_version(address: (&str, u16)) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.write_all(&ProtocolHeader::AMQP_0_9_1.octets()).unwrap();
    let mut reader = FrameReader::for_client(131_072);
    let mut buffer = [0; 4096];
    loop {
        let count = socket.read(&mut buffer).unwrap();
        assert!(count > 0, "the broker closed the socket");
        if let Some(FramePart::Frame(frame)) = reader.read(&mut &buffer[..count]).unwrap() {
            let Ok(Method::ConnectionStart(start)) = Method::read(frame.payload) else {
                panic!("{frame:?}")
            };
            let Arguments::Wire(properties) = start.server_properties else { panic!() };
            let Some(RawValue::LongString(version)) = properties.get("version") else { panic!() };
            return version.to_string();
        }
    }
}
