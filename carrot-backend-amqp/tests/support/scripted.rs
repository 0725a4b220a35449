//! A broker that a test plays frame by frame.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use carrot_amqp_wire::{
    Arguments, ChannelOpenOk, ConfirmSelect, ConnectionOpenOk, ConnectionStart, ConnectionTune,
    FramePart, FrameReader, FrameWriter, LongStr, Method,
};
use carrot_backend_amqp::AmqpConnector;
use carrot_core::ConnectionOptions;

const LONG: Duration = Duration::from_secs(10);
const FRAME_MAX: u32 = 131_072;

/// The address of the broker.
pub(crate) struct Scripted(TcpListener);

impl Scripted {
    pub(crate) fn start() -> Scripted {
        Scripted(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn options(&self) -> ConnectionOptions {
        ConnectionOptions::new().host("127.0.0.1").port(self.0.local_addr().unwrap().port())
    }

    pub(crate) fn connector(&self) -> AmqpConnector {
        AmqpConnector::new(&self.options()).unwrap()
    }

    /// Accepts a connection, before the handshake.
    pub(crate) fn accept(&self) -> Peer {
        let socket = self.0.accept().unwrap().0;
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        Peer { socket, reader: FrameReader::for_server(FRAME_MAX), octets: Vec::new() }
    }

    /// Accepts a connection, and completes the handshake.
    pub(crate) fn accept_with(&self, tune: ConnectionTune) -> Peer {
        self.accept_as(Arguments::default(), tune)
    }

    /// Accepts a connection with these server properties, and completes the handshake.
    pub(crate) fn accept_as(&self, properties: Arguments<'_>, tune: ConnectionTune) -> Peer {
        let mut peer = self.accept();
        peer.send(0, &start(properties));
        peer.receive("connection.start-ok", |_| ());
        peer.tune_and_open(tune);
        peer
    }

    pub(crate) fn accept_open(&self) -> Peer {
        self.accept_with(tune(0, 0))
    }
}

pub(crate) fn tune(channel_max: u16, heartbeat: u16) -> ConnectionTune {
    ConnectionTune { channel_max, frame_max: FRAME_MAX, heartbeat }
}

/// The side of the broker of one connection.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    reader: FrameReader,
    octets: Vec<u8>,
}

impl Peer {
    /// Sends connection.start.
    pub(crate) fn greet(&mut self) {
        self.send(0, &start(Arguments::default()));
    }

    /// Completes the handshake after the credentials.
    pub(crate) fn tune_and_open(&mut self, tune: ConnectionTune) {
        self.send(0, &tune.into());
        self.receive("connection.tune-ok", |_| ());
        self.receive("connection.open", |_| ());
        self.send(0, &ConnectionOpenOk {}.into());
    }

    pub(crate) fn send(&mut self, channel: u16, method: &Method<'_>) {
        let mut octets = Vec::new();
        FrameWriter::new(&mut octets, channel, FRAME_MAX).method(method).unwrap();
        self.send_octets(&octets);
    }

    pub(crate) fn send_octets(&mut self, octets: &[u8]) {
        self.socket.write_all(octets).unwrap();
    }

    /// Receives the next method, which has to have this name, on any channel. Content and
    /// heartbeats are left out.
    pub(crate) fn receive<T>(
        &mut self,
        name: &str,
        take: impl FnOnce(&Method<'_>) -> T,
    ) -> (u16, T) {
        let (channel, payload) = self.next_method().expect("a method in time");
        let method = Method::read(&payload).unwrap();
        assert_eq!(method.name(), name);
        (channel, take(&method))
    }

    /// Returns the channel and the payload of the next method; `None` at the end of the stream.
    pub(crate) fn next_method(&mut self) -> Option<(u16, Vec<u8>)> {
        loop {
            let mut rest = &self.octets[..];
            let method = loop {
                match self.reader.read(&mut rest).unwrap() {
                    Some(FramePart::Frame(frame))
                        if frame.kind == carrot_amqp_wire::FrameKind::Method =>
                    {
                        break Some((frame.channel, frame.payload.to_vec()));
                    }
                    Some(_) => {}
                    None => break None,
                }
            };
            self.octets = rest.to_vec();
            if method.is_some() {
                return method;
            }
            let mut buffer = vec![0; 1 << 16];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.octets.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Opens the channel that the client asks for, and returns its number.
    pub(crate) fn open_channel(&mut self, confirms: bool) -> u16 {
        let (channel, ()) = self.receive("channel.open", |_| ());
        self.send(channel, &ChannelOpenOk {}.into());
        if confirms {
            self.receive("confirm.select", |_| ());
            let _ = ConfirmSelect::default();
            self.send(channel, &Method::ConfirmSelectOk);
        }
        channel
    }
}

pub(crate) fn start(server_properties: Arguments<'_>) -> Method<'_> {
    ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties,
        mechanisms: LongStr::from("PLAIN AMQPLAIN"),
        locales: LongStr::from("en_US"),
    }
    .into()
}
