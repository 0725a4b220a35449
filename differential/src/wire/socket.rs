//! One connection to a broker that receives raw frames.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    ConnectionOpen, ConnectionStartOk, ConnectionTuneOk, Frame, FramePart, FrameReader, Method,
    ProtocolHeader,
};
use carrot_core::{Headers, Value};

use crate::wire::frames;
use crate::wire::program::FRAME_MAX;

/// The time in which a broker answers the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The extensions that the clients of programs understand.
const CAPABILITIES: &[&str] = &[
    "authentication_failure_close",
    "basic.nack",
    "connection.blocked",
    "consumer_cancel_notify",
    "exchange_exchange_bindings",
    "publisher_confirms",
];

/// One connection to a broker.
#[derive(Debug)]
pub(crate) struct WireSocket {
    socket: TcpStream,
    frames: FrameReader,
    input: Vec<u8>,
    body: Vec<u8>,
    has_ended: bool,
}

/// A frame that has arrived.
#[derive(Debug)]
pub(crate) enum ArrivedFrame<'a> {
    /// The broker expects another version.
    ProtocolHeader,
    /// A frame that is not of a body.
    Frame(Frame<'a>),
    /// The whole payload of a body frame.
    Body(u16, &'a [u8]),
    /// Octets that are no frame.
    Malformed,
}

impl WireSocket {
    /// Connects, and sends nothing.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<WireSocket> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let frames = FrameReader::for_client(u32::MAX);
        Ok(WireSocket { socket, frames, input: Vec::new(), body: Vec::new(), has_ended: false })
    }

    /// Connects as guest, and opens a virtual host.
    pub(crate) fn open(address: SocketAddr, vhost: &str) -> io::Result<WireSocket> {
        let mut opened = WireSocket::connect(address)?;
        opened.send(&greeting());
        opened.send(&frames::method(0, ConnectionOpen { virtual_host: vhost.into() }));
        let (deadline, mut is_open) = (Instant::now() + HANDSHAKE, false);
        while !is_open {
            opened.read(Duration::from_millis(100), |frame| {
                is_open |= matches!(&frame, ArrivedFrame::Frame(frame)
                    if matches!(Method::read(frame.payload), Ok(Method::ConnectionOpenOk(_))));
            })?;
            if !is_open && (opened.has_ended || Instant::now() > deadline) {
                return Err(io::Error::other("the broker did not open the connection"));
            }
        }
        Ok(opened)
    }

    /// Sends octets. A lost connection shows when it is read.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        let _ = self.socket.write_all(octets);
    }

    /// Whether the broker has ended the connection.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Waits for octets, at most for `patience`. Calls `each` for all frames that have arrived.
    pub(crate) fn read(
        &mut self,
        patience: Duration,
        mut each: impl FnMut(ArrivedFrame<'_>),
    ) -> io::Result<()> {
        if self.has_ended {
            return Ok(());
        }
        self.socket.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut octets = [0; 16 << 10];
        match self.socket.read(&mut octets) {
            Ok(0) => self.has_ended = true,
            Ok(count) => self.input.extend_from_slice(&octets[..count]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => self.has_ended = true,
            },
        }
        let mut rest = &self.input[..];
        loop {
            match self.frames.read(&mut rest) {
                Ok(None) => break,
                Ok(Some(FramePart::ProtocolHeader(_))) => each(ArrivedFrame::ProtocolHeader),
                Ok(Some(FramePart::Frame(frame))) => each(ArrivedFrame::Frame(frame)),
                Ok(Some(FramePart::Body(part))) => {
                    self.body.extend_from_slice(part.octets);
                    if part.ends_frame {
                        each(ArrivedFrame::Body(part.channel, &self.body));
                        self.body.clear();
                    }
                }
                Err(_) => {
                    each(ArrivedFrame::Malformed);
                    self.has_ended = true;
                    break;
                }
            }
        }
        self.input.clear();
        Ok(())
    }
}

/// Returns what a client sends before it opens a virtual host.
pub(crate) fn greeting() -> Vec<u8> {
    let mut octets = ProtocolHeader::AMQP_0_9_1.octets().to_vec();
    octets.extend(start_ok("PLAIN", b"\0guest\0guest"));
    let tune_ok = ConnectionTuneOk { channel_max: 8, frame_max: FRAME_MAX, heartbeat: 0 };
    octets.extend(frames::method(0, tune_ok));
    octets
}

/// Returns the credentials of a client that understands all extensions.
pub(crate) fn start_ok(mechanism: &str, response: &[u8]) -> Vec<u8> {
    let capabilities: Headers = CAPABILITIES.iter().map(|name| (*name, true)).collect();
    let properties: Headers = [("capabilities", Value::Table(capabilities))].into_iter().collect();
    let start_ok = ConnectionStartOk {
        client_properties: (&properties).into(),
        mechanism: mechanism.into(),
        response: response.into(),
        locale: "en_US".into(),
    };
    frames::method(0, start_ok)
}
