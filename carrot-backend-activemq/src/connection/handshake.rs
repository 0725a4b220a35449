//! The wire formats of both sides, and the login.

use std::io;

use carrot_core::backend::Printable;
use carrot_core::{ConnectionOptions, Error, Result};
use carrot_link::LinkAttempt;
use carrot_listener::{PeerStream, TlsIncoming, TlsOutgoing};

use crate::connection::foreign_peer::foreign_peer;
use crate::connection::keep_alive::Inactivity;
use crate::wire::broker_error::BrokerException;
use crate::wire::command::{CommandBody, CommandHead, OpenWireCommand};
use crate::wire::error::OpenWireError;
use crate::wire::frame_reader::OpenWireFrames;
use crate::wire::ids::ConnectionId;
use crate::wire::setup_commands::{ConnectionInfo, WirePassword};
use crate::wire::wire_format::WireFormat;

/// The number of the command that logs in.
pub(crate) const LOGIN: i32 = 1;
/// The room for the properties of a message beside its body, in bytes.
const BESIDE_BODY: u64 = 1 << 20;
/// The longest text of a broker in an error, in bytes.
pub(crate) const SHOWN: usize = 1000;

/// A connection that is logged in.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) stream: PeerStream,
    /// Records that have arrived after the login.
    pub(crate) records: TlsIncoming,
    pub(crate) frames: OpenWireFrames,
    /// Octets that have arrived after the login.
    pub(crate) rest: Vec<u8>,
    pub(crate) endpoint: String,
    pub(crate) traits: BrokerTraits,
}

/// The limits that both sides have agreed upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokerTraits {
    pub(crate) inactivity: Inactivity,
    /// The largest command that the broker accepts, in bytes.
    pub(crate) max_frame: u64,
}

/// The names and options of a client that logs in.
pub(crate) struct LoginRequest<'a> {
    pub(crate) attempt: &'a LinkAttempt,
    pub(crate) options: &'a ConnectionOptions,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    /// The name of the connection at the broker.
    pub(crate) client: &'a str,
}

/// The state of a handshake.
pub(crate) struct BrokerLogin<'a> {
    request: &'a LoginRequest<'a>,
    stream: PeerStream,
    records: TlsIncoming,
    outgoing: TlsOutgoing,
    /// The first octets of the peer.
    start: Vec<u8>,
    traits: Option<BrokerTraits>,
}

impl BrokerLogin<'_> {
    /// Sends the wire format, waits for that of the broker, and logs in. Nothing secret leaves
    /// before the peer has shown that it is a broker.
    pub(crate) fn run(request: &LoginRequest<'_>, stream: PeerStream) -> Result<LoggedIn> {
        let (records, outgoing) = (TlsIncoming::default(), TlsOutgoing::default());
        let (start, traits) = (Vec::new(), None);
        BrokerLogin { request, stream, records, outgoing, start, traits }.greet()
    }

    fn greet(mut self) -> Result<LoggedIn> {
        let limit = usize::try_from(self.own_limit()).unwrap_or(usize::MAX);
        let mut frames = OpenWireFrames::new(limit);
        self.send(&OpenWireCommand::Format(self.own_format()))?;
        let mut buffer = [0; 4096];
        loop {
            let count = self.read(&mut buffer)?;
            let mut octets = buffer.get(..count).unwrap_or_default();
            self.note_start(octets)?;
            loop {
                let read = frames.next(&mut octets, OpenWireCommand::read);
                match read.and_then(Option::transpose).map_err(|error| self.malformed(&error))? {
                    None => break,
                    Some(command) => {
                        if let Some(traits) = self.handle(command)? {
                            let rest = octets.to_vec();
                            return Ok(self.finish(frames, rest, traits));
                        }
                    }
                }
            }
        }
    }

    fn finish(self, frames: OpenWireFrames, rest: Vec<u8>, traits: BrokerTraits) -> LoggedIn {
        let BrokerLogin { request, stream, records, .. } = self;
        let endpoint = request.attempt.endpoint().into();
        LoggedIn { stream, records, frames, rest, endpoint, traits }
    }

    /// The largest command that this side accepts, in bytes.
    fn own_limit(&self) -> u64 {
        self.request.options.max_message_size.saturating_add(BESIDE_BODY).min(i32::MAX as u64)
    }

    fn own_patience(&self) -> i64 {
        let intervals = self.request.options.heartbeat.saturating_mul(2);
        i64::try_from(intervals.as_millis()).unwrap_or(i64::MAX)
    }

    fn own_format(&self) -> WireFormat {
        let limit = i64::try_from(self.own_limit()).unwrap_or(i64::MAX);
        WireFormat::of_client(self.own_patience(), limit)
    }

    /// Fails if the first octets are those of another protocol.
    fn note_start(&mut self, octets: &[u8]) -> Result<()> {
        const LONGEST: usize = 16;
        let missing = LONGEST.saturating_sub(self.start.len());
        self.start.extend(octets.iter().take(missing));
        match foreign_peer(&self.start) {
            Some(reason) => Err(self.failed(reason, None)),
            None => Ok(()),
        }
    }

    /// Handles a command. Returns the agreement once the broker has accepted the login.
    fn handle(&mut self, command: OpenWireCommand) -> Result<Option<BrokerTraits>> {
        match command {
            OpenWireCommand::Format(format) => self.agree(&format).map(|()| None),
            OpenWireCommand::Command(_, CommandBody::Response(response))
                if response.correlation == LOGIN =>
            {
                Ok(self.traits)
            }
            OpenWireCommand::Command(_, CommandBody::Exception(response)) => {
                Err(self.refused(response.exception))
            }
            OpenWireCommand::Command(_, CommandBody::Error(error)) => {
                Err(self.refused(error.exception))
            }
            OpenWireCommand::Command(_, CommandBody::Shutdown) => {
                Err(self.failed("the broker shuts down", None))
            }
            _ => Ok(None),
        }
    }

    fn agree(&mut self, format: &WireFormat) -> Result<()> {
        if self.traits.is_some() {
            return Err(self.failed("the broker sent a second wire format", None));
        }
        let (own, theirs) = (WireFormat::VERSION, format.version);
        if theirs < own {
            let reason = format!(
                "the broker speaks version {theirs} of OpenWire, and version {own} is needed \
                 (ActiveMQ 5.14 or later)"
            );
            return Err(self.failed(reason, None));
        }
        let limit = format.max_frame().and_then(|limit| u64::try_from(limit).ok());
        self.traits = Some(BrokerTraits {
            inactivity: Inactivity::agreed(self.own_patience(), format.inactivity()),
            max_frame: limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX),
        });
        self.log_in()
    }

    fn log_in(&mut self) -> Result<()> {
        let request = self.request;
        let info = ConnectionInfo {
            connection: Some(ConnectionId { value: Some(request.client.into()) }),
            client: Some(request.client.into()),
            user: Some(request.user.into()),
            password: WirePassword(Some(request.password.into())),
            is_client_master: true,
            ..ConnectionInfo::default()
        };
        let head = CommandHead { id: LOGIN, needs_answer: true };
        self.send(&OpenWireCommand::Command(head, CommandBody::Connection(info)))
    }

    fn send(&mut self, command: &OpenWireCommand) -> Result<()> {
        let mut out = Vec::new();
        command.write_frame(&mut out);
        let written = self.request.attempt.write_all(&self.stream, &mut self.outgoing, &out);
        written.map_err(|error| self.io(error))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.request.attempt.read(&self.stream, &mut self.records, buffer);
        match read.map_err(|error| self.io(error))? {
            0 => Err(self.ended()),
            count => Ok(count),
        }
    }

    fn failed(&self, reason: impl Into<String>, source: Option<io::Error>) -> Error {
        self.request.attempt.failed(reason, source)
    }

    /// Returns the error of a peer that closed the connection.
    fn ended(&self) -> Error {
        let reason = match self.traits {
            Some(_) => "the broker closed the connection during the login",
            None => {
                "the peer closed the connection without a wire format of OpenWire; it is no \
                 ActiveMQ, or expects TLS, or is a broker at its limit of connections"
            }
        };
        self.failed(reason, None)
    }

    fn malformed(&self, error: &OpenWireError) -> Error {
        let reason = match self.traits {
            Some(_) => error.to_string(),
            None => format!("the peer is no ActiveMQ with OpenWire: {error}"),
        };
        self.failed(reason, None)
    }

    fn io(&self, error: io::Error) -> Error {
        self.request.attempt.broken(error, |error| match self.traits {
            None => self.ended(),
            Some(_) => self.failed(error.to_string(), Some(error)),
        })
    }

    /// Returns the error of a refused login. The text of the broker names the user at most.
    fn refused(&self, exception: Option<BrokerException>) -> Error {
        let request = self.request;
        let exception = exception.unwrap_or_default();
        let reason = shown(&exception, request.password);
        if !exception.is_security() {
            return self.failed(format!("the broker refused the login: {reason}"), None);
        }
        Error::Authentication {
            endpoint: request.attempt.endpoint().into(),
            user: request.user.into(),
            reason,
        }
    }
}

/// Returns the text of an exception, escaped and cut, without the password.
fn shown(exception: &BrokerException, password: &str) -> String {
    let text = exception.to_string();
    let text = if password.is_empty() { text } else { text.replace(password, "***") };
    Printable::new(SHOWN, text).to_string()
}
