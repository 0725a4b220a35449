//! A broker that a test plays frame by frame.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    Arguments, ChannelOpenOk, ConnectionOpenOk, ConnectionStart, ConnectionTune, FramePart,
    FrameReader, FrameWriter, LongStr, Method,
};
use carrot_backend_amqp::AmqpConnector;
use carrot_core::ConnectionOptions;
#[cfg(feature = "tls")]
use rustls::ServerConnection;
use socket2::SockRef;

use crate::form::{Form, HOST};
use crate::{FRAME_MAX, LONG};

/// The size of the buffer that a peer receives into, which is full soon after the peer has stopped
/// to read.
const RECEIVE_BUFFER: usize = 32 << 10;
/// The size of the buffer of a peer that reads all the time.
const LARGE_RECEIVE_BUFFER: usize = 1 << 20;
/// The octets that one write to a session takes.
const SEALED_AT_ONCE: usize = 64 << 10;
/// The time after which a client that reads nothing is taken for one that has given up.
const BLOCKED: Duration = Duration::from_secs(2);
/// connection.close-ok.
const CLOSE_OK: [u8; 4] = [0, 10, 0, 51];

/// The address of the broker.
pub(crate) struct Scripted {
    listener: TcpListener,
    form: Form,
}

impl Scripted {
    pub(crate) fn start(form: Form) -> Scripted {
        let listener = TcpListener::bind((HOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        SockRef::from(&listener).set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
        Scripted { listener, form }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn options(&self) -> ConnectionOptions {
        self.form.secure(ConnectionOptions::new().host(HOST).port(self.port()))
    }

    pub(crate) fn connector(&self) -> AmqpConnector {
        AmqpConnector::new(&self.options()).unwrap()
    }

    /// Accepts a connection, before the handshake of TLS.
    pub(crate) fn accept_raw(&self) -> Peer {
        let deadline = Instant::now() + LONG;
        let socket = loop {
            match self.listener.accept() {
                Ok((socket, _)) => break socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "no connection in time");
                    thread::park_timeout(Duration::from_millis(1));
                }
                Err(error) => panic!("{error}"),
            }
        };
        socket.set_nonblocking(false).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        // A client that has given up keeps its socket while the program keeps the connection.
        socket.set_write_timeout(Some(BLOCKED)).unwrap();
        Peer {
            socket,
            #[cfg(feature = "tls")]
            session: self.form.session(),
            reader: FrameReader::for_server(FRAME_MAX),
            octets: Vec::new(),
        }
    }

    /// Accepts a connection, before the handshake of AMQP.
    pub(crate) fn accept(&self) -> Peer {
        let mut peer = self.accept_raw();
        peer.shake_hands();
        peer
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
        peer.tune(tune);
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
    #[cfg(feature = "tls")]
    session: Option<ServerConnection>,
    reader: FrameReader,
    octets: Vec<u8>,
}

impl Peer {
    /// Completes the handshake of TLS.
    fn shake_hands(&mut self) {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            while session.is_handshaking() {
                session.complete_io(&mut self.socket).unwrap();
            }
        }
    }

    /// Receives into a large buffer from now on. One segment of the loopback interface can
    /// fill the small one: TCP then drops octets, and sends them again when a timer ends.
    pub(crate) fn receive_at_full_speed(&self) {
        SockRef::from(&self.socket).set_recv_buffer_size(LARGE_RECEIVE_BUFFER).unwrap();
    }

    /// Sends connection.start.
    pub(crate) fn greet(&mut self) {
        self.send(0, &start(Arguments::default()));
    }

    /// Sends connection.tune, and opens the connection.
    pub(crate) fn tune(&mut self, tune: ConnectionTune) {
        self.send(0, &tune.into());
        self.receive("connection.tune-ok", |_| ());
        self.receive("connection.open", |_| ());
        self.send(0, &ConnectionOpenOk {}.into());
    }

    pub(crate) fn send(&mut self, channel: u16, method: &Method<'_>) {
        self.send_octets(&frame(channel, method));
    }

    pub(crate) fn send_octets(&mut self, octets: &[u8]) {
        self.try_send_octets(octets).unwrap();
    }

    /// Sends octets, unless the client closes the socket.
    pub(crate) fn try_send_octets(&mut self, octets: &[u8]) -> io::Result<()> {
        for part in octets.chunks(SEALED_AT_ONCE) {
            let sealed = self.seal(part)?;
            self.socket.write_all(&sealed)?;
        }
        Ok(())
    }

    /// Sends octets as often as this, unless the client closes the socket.
    pub(crate) fn flood(&mut self, octets: &[u8], times: usize) {
        let at_once = (SEALED_AT_ONCE / octets.len()).max(1);
        let several = octets.repeat(at_once);
        for _ in 0..times.div_ceil(at_once) {
            if self.try_send_octets(&several).is_err() {
                return;
            }
        }
    }

    /// Sends octets again and again, until the client closes the socket or the deadline passes.
    pub(crate) fn flood_until_cut(&mut self, octets: &[u8], deadline: Instant) {
        let several = octets.repeat((SEALED_AT_ONCE / octets.len()).max(1));
        while Instant::now() < deadline && self.try_send_octets(&several).is_ok() {}
    }

    /// Sends octets one at a time. With TLS, these are the octets of records.
    pub(crate) fn drip(&mut self, octets: &[u8], pause: Duration) -> io::Result<()> {
        for octet in self.seal(octets)? {
            self.socket.write_all(&[octet])?;
            thread::sleep(pause);
        }
        Ok(())
    }

    /// Returns the octets that the socket takes.
    pub(crate) fn seal(&mut self, octets: &[u8]) -> io::Result<Vec<u8>> {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            let mut sealed = Vec::new();
            session.writer().write_all(octets)?;
            while session.wants_write() {
                session.write_tls(&mut sealed)?;
            }
            return Ok(sealed);
        }
        Ok(octets.to_vec())
    }

    /// Receives the octets with which a client begins the handshake of TLS, and returns those of
    /// the answer.
    #[cfg(feature = "tls")]
    pub(crate) fn answer_of_tls(&mut self) -> Vec<u8> {
        let session = self.session.as_mut().unwrap();
        while !session.wants_write() {
            session.read_tls(&mut self.socket).unwrap();
            session.process_new_packets().unwrap();
        }
        self.seal(&[]).unwrap()
    }

    /// Renews the keys, and asks the client to do so, too.
    #[cfg(feature = "tls")]
    pub(crate) fn renew_keys(&mut self) {
        self.session.as_mut().unwrap().refresh_traffic_keys().unwrap();
        self.send_octets(&carrot_amqp_wire::HEARTBEAT);
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            loop {
                match session.reader().read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                    result => return result,
                }
                if session.read_tls(&mut self.socket)? == 0 {
                    return Ok(0);
                }
                session.process_new_packets().map_err(io::Error::other)?;
            }
        }
        self.socket.read(buffer)
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
        let deadline = Instant::now() + LONG;
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
            match self.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.octets.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error)
                    if error.kind() == io::ErrorKind::Interrupted && Instant::now() < deadline => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Returns the names of all further methods, until the end of the stream.
    pub(crate) fn rest(&mut self) -> Vec<&'static str> {
        let mut names = Vec::new();
        while let Some((_, payload)) = self.next_method() {
            names.push(Method::read(&payload).unwrap().name());
        }
        names
    }

    /// Receives methods up to connection.close-ok, or to the end of the stream.
    pub(crate) fn receive_close_ok(&mut self) {
        while self.next_method().is_some_and(|(_, payload)| payload != CLOSE_OK) {}
    }

    /// Opens the channel that the client asks for, and returns its number.
    pub(crate) fn open_channel(&mut self, confirms: bool) -> u16 {
        let (channel, ()) = self.receive("channel.open", |_| ());
        self.send(channel, &ChannelOpenOk {}.into());
        if confirms {
            self.receive("confirm.select", |_| ());
            self.send(channel, &Method::ConfirmSelectOk);
        }
        channel
    }

    /// Starts the consumer that the client asks for, and returns its tag.
    pub(crate) fn start_consumer(&mut self) -> String {
        let (channel, ()) = self.receive("basic.qos", |_| ());
        self.send(channel, &Method::BasicQosOk);
        let (_, tag) = self.receive("basic.consume", |method| match method {
            Method::BasicConsume(consume) => consume.consumer_tag.to_string(),
            _ => String::new(),
        });
        let consume_ok = carrot_amqp_wire::BasicConsumeOk { consumer_tag: (&tag).into() };
        self.send(channel, &consume_ok.into());
        tag
    }
}

pub(crate) fn frame(channel: u16, method: &Method<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    FrameWriter::new(&mut octets, channel, FRAME_MAX).method(method).unwrap();
    octets
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
