//! A client that sends any octets, and reads frames.

pub(crate) mod control;
mod secured;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use carrot_amqp_wire::{
    BasicConsume, BasicPublish, ChannelOpen, ConnectionClose, ConnectionOpen, ConnectionStartOk,
    ConnectionTuneOk, Frame, FrameKind, FramePart, FrameReader, FrameWriter, LongStr, Method,
    PropertiesRef, ProtocolHeader, QueueDeclare,
};
use carrot_core::Properties;
use carrot_tls::TlsConnector;

use secured::Secured;

/// Long enough for any expected answer, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
const FRAME_MAX: u32 = 131_072;

/// A frame, or the end of the connection, as a short text.
pub(crate) type Seen = String;

/// A connection to a server, at any stage.
pub(crate) struct RawClient {
    pub(crate) socket: TcpStream,
    tls: Option<Secured>,
    frames: FrameReader,
    input: Vec<u8>,
}

impl RawClient {
    pub(crate) fn connect(address: SocketAddr) -> RawClient {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket.set_nodelay(true).unwrap();
        let frames = FrameReader::for_client(FRAME_MAX);
        RawClient { socket, tls: None, frames, input: Vec::new() }
    }

    /// Connects as guest, and opens virtual host `/` and channel 1.
    pub(crate) fn open(address: SocketAddr) -> RawClient {
        RawClient::connect(address).opened()
    }

    /// As [`open`](RawClient::open), over TLS.
    pub(crate) fn open_with_tls(address: SocketAddr, connector: &TlsConnector) -> RawClient {
        let mut client = RawClient::connect(address);
        client.tls = Some(Secured::connect(connector, &client.socket));
        client.opened()
    }

    fn opened(mut self) -> RawClient {
        self.log_in("guest", "guest");
        assert!(self.next().starts_with("connection.tune"));
        self.tune(2047, FRAME_MAX, 0);
        assert_eq!(self.open_vhost("/"), "connection.open-ok");
        self.method(1, ChannelOpen::default());
        assert_eq!(self.next(), "channel.open-ok");
        self
    }

    /// Sends the protocol header and the credentials.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) {
        self.send(&ProtocolHeader::AMQP_0_9_1.octets());
        assert!(self.next().starts_with("connection.start"));
        self.send(&RawClient::start_ok(format!("\0{user}\0{password}").as_bytes()));
    }

    /// Returns the frame of `connection.start-ok` with this response for `PLAIN`.
    pub(crate) fn start_ok(response: &[u8]) -> Vec<u8> {
        let capability = b"\x1cauthentication_failure_closet\x01\x16consumer_cancel_notifyt\x01\
                           \x12connection.blockedt\x01";
        let mut properties = b"\x0ccapabilitiesF".to_vec();
        properties.extend((capability.len() as u32).to_be_bytes());
        properties.extend(capability);
        let properties = carrot_amqp_wire::TableRef::new(&properties).unwrap();
        let start_ok = ConnectionStartOk {
            client_properties: properties.into(),
            mechanism: "PLAIN".into(),
            response: response.into(),
            locale: "en_US".into(),
        };
        let mut octets = Vec::new();
        FrameWriter::new(&mut octets, 0, FRAME_MAX).method(&start_ok.into()).unwrap();
        octets
    }

    pub(crate) fn tune(&mut self, channel_max: u16, frame_max: u32, heartbeat: u16) {
        self.method(0, ConnectionTuneOk { channel_max, frame_max, heartbeat });
    }

    pub(crate) fn open_vhost(&mut self, name: &str) -> Seen {
        self.method(0, ConnectionOpen { virtual_host: name.into() });
        self.next()
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        match &mut self.tls {
            None => self.socket.write_all(octets).unwrap(),
            Some(tls) => tls.write_all(&self.socket, octets).unwrap(),
        }
    }

    pub(crate) fn method<'m>(&mut self, channel: u16, method: impl Into<Method<'m>>) {
        let mut octets = Vec::new();
        FrameWriter::new(&mut octets, channel, FRAME_MAX).method(&method.into()).unwrap();
        self.send(&octets);
    }

    pub(crate) fn declare(&mut self, queue: &str) -> Seen {
        self.method(1, QueueDeclare { queue: queue.into(), ..QueueDeclare::default() });
        self.next()
    }

    pub(crate) fn declare_passively(&mut self, queue: &str) -> Seen {
        let declare = QueueDeclare { queue: queue.into(), ..QueueDeclare::default() };
        self.method(1, QueueDeclare { passive: true, ..declare });
        self.next()
    }

    pub(crate) fn publish(&mut self, queue: &str, body: &[u8]) {
        let publish = BasicPublish { routing_key: queue.into(), ..BasicPublish::default() };
        self.publish_with(publish, &Properties::new(), body);
    }

    pub(crate) fn publish_with(
        &mut self,
        publish: BasicPublish<'_>,
        properties: &Properties,
        body: &[u8],
    ) {
        let mut octets = Vec::new();
        FrameWriter::new(&mut octets, 1, FRAME_MAX)
            .content(&publish.into(), &PropertiesRef::from(properties), body)
            .unwrap();
        self.send(&octets);
    }

    pub(crate) fn consume(&mut self, queue: &str, no_ack: bool) {
        let consume = BasicConsume { queue: queue.into(), no_ack, ..BasicConsume::default() };
        self.method(1, BasicConsume { consumer_tag: "t".into(), ..consume });
    }

    /// Closes the connection in order.
    pub(crate) fn close(mut self) {
        self.method(0, ConnectionClose { reply_code: 200, ..ConnectionClose::default() });
        while self.next() != "connection.close-ok" {}
        assert_eq!(self.next(), "end");
    }

    /// Returns the next frame as a short text, or `end`.
    pub(crate) fn next(&mut self) -> Seen {
        self.read().unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => "end".to_string(),
            _ => panic!("no frame within {SOON:?}: {error}"),
        })
    }

    /// Returns the next frame that is no heartbeat.
    pub(crate) fn next_but_heartbeats(&mut self) -> Seen {
        std::iter::repeat_with(|| self.next()).find(|seen| seen != "heartbeat").expect("a frame")
    }

    fn read(&mut self) -> io::Result<Seen> {
        let mut body = Vec::new();
        loop {
            let mut input = &self.input[..];
            let part = self.frames.read(&mut input).expect("the server sends frames");
            let seen = match part {
                None => None,
                Some(FramePart::ProtocolHeader(header)) => Some(format!("{header:?}")),
                Some(FramePart::Frame(frame)) => Some(show(&frame)),
                Some(FramePart::Body(part)) => {
                    body.extend_from_slice(part.octets);
                    part.ends_frame.then(|| format!("body of {} bytes", body.len()))
                }
            };
            let rest = input.len();
            self.input.drain(..self.input.len() - rest);
            if let Some(seen) = seen {
                return Ok(seen);
            }
            if self.input.is_empty() {
                let mut octets = [0; 8192];
                let count = match &mut self.tls {
                    None => self.socket.read(&mut octets)?,
                    Some(tls) => tls.read(&self.socket, &mut octets)?,
                };
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.input.extend_from_slice(&octets[..count]);
            }
        }
    }
}

fn show(frame: &Frame<'_>) -> Seen {
    match frame.kind {
        FrameKind::Method => {}
        kind => return format!("{kind:?}").to_lowercase(),
    }
    let method = Method::read(frame.payload).expect("the server sends methods");
    let closed = |code, text, class, method| format!("{code} {text} ({class}, {method})");
    match method {
        Method::ConnectionClose(close) => format!(
            "connection.close {}",
            closed(close.reply_code, close.reply_text, close.class_id, close.method_id)
        ),
        Method::ChannelClose(close) => format!(
            "channel.close {}",
            closed(close.reply_code, close.reply_text, close.class_id, close.method_id)
        ),
        Method::ConnectionStart(start) => {
            format!("connection.start {}", show_mechanisms(start.mechanisms))
        }
        Method::ConnectionTune(tune) => {
            format!("connection.tune {} {} {}", tune.channel_max, tune.frame_max, tune.heartbeat)
        }
        Method::ConnectionBlocked(blocked) => format!("connection.blocked {}", blocked.reason),
        Method::BasicAck(ack) => format!("basic.ack {} {}", ack.delivery_tag, ack.multiple),
        Method::BasicDeliver(deliver) => format!("basic.deliver {}", deliver.delivery_tag),
        Method::BasicReturn(returned) => format!("basic.return {}", returned.reply_code),
        Method::QueueDeclareOk(declared) => {
            format!("queue.declare-ok {} {}", declared.queue, declared.message_count)
        }
        method => method.name().to_string(),
    }
}

fn show_mechanisms(mechanisms: LongStr<'_>) -> String {
    mechanisms.to_string()
}
