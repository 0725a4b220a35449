//! Opens a socket to a host: addresses, handshake, hello and welcome, within one deadline.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_core::backend::{Printable, look_up};
use carrot_core::{ConnectionOptions, Credentials, Error, Result, Scheme};
use carrot_listener::{TlsIncoming, TlsOutgoing};

use crate::calls::event::{HostEvent, HostTraits};
use crate::calls::fields::FieldReader;
use crate::calls::put_request::put_hello;
use crate::calls::request::SessionId;
use crate::client::link_reader::{LIMITS, LinkInput};
use crate::client::tls::ClientTls;
use crate::stream::ZmtpStream;
use crate::zmtp::frame::{ZmtpFrame, ZmtpFrameReader, message};
use crate::zmtp::handshake::{ClientHandshake, ZmtpFailure, ZmtpProgress};

/// The call of the hello.
const HELLO: u32 = 1;
/// The longest user name or password of the mechanism PLAIN, in bytes.
const LONGEST_CREDENTIAL: usize = 255;
/// The longest text of a host in an error, in bytes.
const SHOWN: usize = 1000;

/// Connects to the first address whose host welcomes the hello. Tries each address once. Blocks at
/// most for the connect timeout of the options.
pub(crate) fn connect(
    options: &ConnectionOptions,
    name: &str,
    timeout: Duration,
) -> Result<(LinkInput, HostTraits)> {
    let timeout = timeout.min(options.connect_timeout);
    let started = Instant::now();
    let deadline = started + timeout;
    let endpoint = endpoint(options);
    let credentials = options.credentials.resolve(&endpoint, timeout)?;
    let (user, password) = match &credentials {
        Credentials::Plain { user, password } => (user.as_str(), password.reveal()),
        _ => return Err(Error::config("auth_mechanism", "a host of ZeroMQ has user and password")),
    };
    for (option, value) in [("user", user), ("password", password)] {
        if value.len() > LONGEST_CREDENTIAL {
            let reason =
                format!("has {} bytes, and the limit is {LONGEST_CREDENTIAL}", value.len());
            return Err(Error::config(option, reason));
        }
    }
    HostAttempt { endpoint, user, password, name, started, timeout, deadline }.run(options, look_up)
}

/// Returns the address for errors and logs.
pub(crate) fn endpoint(options: &ConnectionOptions) -> String {
    let show = |(name, port)| address_text(options.scheme, name, port);
    options.addresses().map(show).collect::<Vec<_>>().join(",")
}

fn address_text(scheme: Scheme, name: &str, port: u16) -> String {
    match scheme {
        Scheme::ZmqIpc => name.into(),
        _ if name.contains(':') => format!("[{name}]:{port}"),
        _ => format!("{name}:{port}"),
    }
}

/// An address of a host.
#[derive(Clone, Copy)]
enum HostAddress<'a> {
    Tcp {
        address: SocketAddr,
        /// The name in the options.
        name: &'a str,
    },
    Path(&'a str),
}

/// The text of an address, and the reason why it was left.
type FailedAttempt = (String, Error);

/// The attempt to connect to all addresses, or to one of them, until a deadline.
#[derive(Clone)]
struct HostAttempt<'a> {
    endpoint: String,
    user: &'a str,
    password: &'a str,
    name: &'a str,
    started: Instant,
    timeout: Duration,
    deadline: Instant,
}

impl HostAttempt<'_> {
    fn failed(&self, reason: String, source: Option<io::Error>) -> Error {
        Error::Connect {
            endpoint: self.endpoint.clone(),
            reason,
            tried: self.started.elapsed(),
            source: source.map(|error| Arc::new(error) as _),
        }
    }

    /// Returns the time that is left.
    fn left(&self) -> Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::timeout("connect", self.timeout));
        }
        Ok(left)
    }

    /// Returns the attempt at one of `count` addresses, which share the time that is left.
    fn part(&self, endpoint: String, count: usize) -> HostAttempt<'_> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(count).unwrap_or(u32::MAX);
        HostAttempt { endpoint, deadline: Instant::now() + share, ..self.clone() }
    }

    /// Tries each name once, and each of its addresses. They share the time that is left, so that
    /// one without an answer leaves time for the others. A name is looked up before it is tried.
    fn run(
        &self,
        options: &ConnectionOptions,
        look_up: impl Fn(&str, u16, Duration) -> io::Result<Vec<SocketAddr>>,
    ) -> Result<(LinkInput, HostTraits)> {
        let mut failures = Vec::new();
        let names: Vec<(&str, u16)> = options.addresses().collect();
        for (index, (name, port)) in names.iter().copied().enumerate() {
            let text = address_text(options.scheme, name, port);
            let attempt = self.part(text, names.len() - index);
            let addresses = if options.scheme == Scheme::ZmqIpc {
                vec![HostAddress::Path(name)]
            } else {
                let found = attempt.left().and_then(|left| {
                    look_up(name, port, left).map_err(|error| attempt.not_found(name, error))
                });
                match found {
                    Ok(found) => found
                        .into_iter()
                        .map(|address| HostAddress::Tcp { address, name })
                        .collect(),
                    Err(error) => {
                        log::debug!("connecting to {} failed: {error}", attempt.endpoint);
                        failures.push((attempt.endpoint, error));
                        continue;
                    }
                }
            };
            if let Some(opened) = attempt.try_each(options, &addresses, &mut failures)? {
                return Ok(opened);
            }
        }
        Err(self.summary(failures))
    }

    /// Tries each address of a name. Returns the first host that welcomes the hello.
    fn try_each(
        &self,
        options: &ConnectionOptions,
        addresses: &[HostAddress<'_>],
        failures: &mut Vec<FailedAttempt>,
    ) -> Result<Option<(LinkInput, HostTraits)>> {
        for (index, address) in addresses.iter().copied().enumerate() {
            let attempt = self.part(self.endpoint.clone(), addresses.len() - index);
            let opened = attempt.open(address).and_then(|stream| {
                attempt.secure(options, address, &stream)?;
                attempt.greet(stream)
            });
            match opened {
                Ok(opened) => return Ok(Some(opened)),
                // The other hosts of one application have the same users, and the same options.
                Err(error @ (Error::Authentication { .. } | Error::Config { .. })) => {
                    return Err(error);
                }
                Err(error) => {
                    log::debug!("connecting to {} failed: {error}", attempt.endpoint);
                    failures.push((attempt.endpoint, error));
                }
            }
        }
        Ok(None)
    }

    fn not_found(&self, name: &str, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::TimedOut => {
                Error::timeout(format!("connect (resolving {name:?})"), self.timeout)
            }
            _ => self.failed(format!("resolving {name:?}: {error}"), Some(error)),
        }
    }

    /// Returns the error of an attempt at all addresses.
    fn summary(&self, mut failures: Vec<FailedAttempt>) -> Error {
        match failures.pop() {
            None => self.failed("no address".into(), None),
            Some((_, last)) if failures.is_empty() => last,
            // The last address had all the time that was left.
            Some((_, last @ Error::Timeout { .. })) => last,
            Some(last) => {
                let reasons = failures.into_iter().chain([last]).map(|failure| match failure {
                    (endpoint, Error::Connect { reason, .. }) => format!("{endpoint}: {reason}"),
                    (endpoint, Error::Timeout { .. }) => format!("{endpoint}: no answer in time"),
                    // The text has the address.
                    (_, Error::Disconnected { reason, .. }) => reason,
                    (endpoint, other) => format!("{endpoint}: {other}"),
                });
                self.failed(reasons.collect::<Vec<_>>().join("; "), None)
            }
        }
    }

    fn open(&self, address: HostAddress<'_>) -> Result<ZmtpStream> {
        let left = self.left()?;
        match address {
            HostAddress::Path(path) => self.open_path(path, left),
            HostAddress::Tcp { address, .. } => TcpStream::connect_timeout(&address, left)
                .map(ZmtpStream::from)
                .map_err(|error| self.not_open(&format!("TCP to {address}"), error)),
        }
    }

    fn not_open(&self, step: &str, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::timeout("connect", self.timeout),
            _ => self.failed(format!("{step}: {error}"), Some(error)),
        }
    }

    /// Performs the TLS handshake, if the options have TLS. The certificate of the host has to be
    /// for the name in the URL.
    fn secure(
        &self,
        options: &ConnectionOptions,
        address: HostAddress<'_>,
        stream: &ZmtpStream,
    ) -> Result<()> {
        let HostAddress::Tcp { name, .. } = address else { return Ok(()) };
        if options.scheme != Scheme::Zmqs {
            return Ok(());
        }
        let tls = ClientTls::new(&options.tls, name)?;
        tls.secure(stream, self.deadline).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                self.failed("the TLS handshake failed: the host closed the connection".into(), None)
            }
            _ => self.not_open("the TLS handshake failed", error),
        })
    }

    /// Connects to a socket of the file system. The timeout also ends the wait for a host that
    /// accepts nothing.
    #[cfg(unix)]
    fn open_path(&self, path: &str, left: Duration) -> Result<ZmtpStream> {
        use socket2::{Domain, SockAddr, Socket, Type};

        let open = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.set_write_timeout(Some(left))?;
            let address = SockAddr::unix(path)?;
            loop {
                match socket.connect(&address) {
                    Ok(()) => return Ok(std::os::unix::net::UnixStream::from(socket).into()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        };
        open().map_err(|error| self.not_open(&format!("the socket {path:?}"), error))
    }

    #[cfg(not(unix))]
    fn open_path(&self, _path: &str, _left: Duration) -> Result<ZmtpStream> {
        Err(self.failed("this system has no sockets of the file system".into(), None))
    }

    /// Runs the handshake, says hello, and waits for the welcome.
    fn greet(&self, stream: ZmtpStream) -> Result<(LinkInput, HostTraits)> {
        stream.set_nodelay();
        let (mut records, mut outgoing) = (TlsIncoming::default(), TlsOutgoing::default());
        let mut out = Vec::new();
        let mut handshake = ClientHandshake::start(self.user, self.password, &mut out);
        self.write(&stream, &mut outgoing, &mut out)?;
        let mut frames = ZmtpFrameReader::new(LIMITS);
        let session = self.session_id()?;
        let mut is_open = false;
        let mut buffer = [0; 4096];
        loop {
            let count = self.read(&stream, &mut records, &mut buffer)?;
            let mut octets = buffer.get(..count).unwrap_or_default();
            let greeted = handshake.greeting(&mut octets, &mut out);
            if !greeted.map_err(|failure| self.refused(failure))? {
                continue;
            }
            self.write(&stream, &mut outgoing, &mut out)?;
            let mut next =
                |octets: &mut _| frames.read(octets).map_err(|error| self.lost(error.to_string()));
            while let Some(frame) = next(&mut octets)? {
                match frame {
                    ZmtpFrame::Command(command) if !is_open => {
                        let progress = handshake.command(&command, &mut out);
                        let progress = progress.map_err(|failure| self.refused(failure))?;
                        if let ZmtpProgress::Open { .. } = progress {
                            is_open = true;
                            message(&mut out, |out| put_hello(out, HELLO, &session, self.name));
                        }
                        self.write(&stream, &mut outgoing, &mut out)?;
                    }
                    // A PING is answered once the connection is open.
                    ZmtpFrame::Command(_) => {}
                    ZmtpFrame::Head { octets: head, has_body: false } if is_open => {
                        let traits = self.welcome(&head, &session)?;
                        let rest = octets.to_vec();
                        return Ok((LinkInput { stream, records, frames, rest }, traits));
                    }
                    _ => return Err(self.lost("the host sent a message before its welcome".into())),
                }
            }
        }
    }

    fn welcome(&self, head: &[u8], session: &SessionId) -> Result<HostTraits> {
        let mut fields = FieldReader::new(head);
        let read = fields.start().and_then(|start| HostEvent::read(start, fields));
        match read.map_err(|error| self.lost(error.to_string()))? {
            HostEvent::Welcome { session: welcomed, traits } if welcomed == *session => Ok(traits),
            HostEvent::Failed(error) | HostEvent::End(error) => {
                Err(self.failed(Printable::new(SHOWN, error.0).to_string(), None))
            }
            _ => Err(self.lost("the host did not answer the hello".into())),
        }
    }

    fn session_id(&self) -> Result<SessionId> {
        let mut session = SessionId::default();
        getrandom::fill(&mut session)
            .map_err(|error| self.failed(format!("the random source failed: {error}"), None))?;
        Ok(session)
    }

    /// Writes all octets of `out`, and empties it.
    fn write(
        &self,
        stream: &ZmtpStream,
        records: &mut TlsOutgoing,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut octets = &**out;
        while !octets.is_empty() {
            let left = self.left()?;
            stream.set_write_timeout(Some(left)).map_err(|error| self.io(error))?;
            match stream.write(records, octets) {
                Ok(0) => return Err(self.io(ErrorKind::WriteZero.into())),
                Ok(count) => octets = octets.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.io(error)),
            }
        }
        out.clear();
        Ok(())
    }

    fn read(
        &self,
        stream: &ZmtpStream,
        records: &mut TlsIncoming,
        buffer: &mut [u8],
    ) -> Result<usize> {
        loop {
            let left = self.left()?;
            stream.set_read_timeout(Some(left)).map_err(|error| self.io(error))?;
            match stream.read(records, buffer) {
                Ok(0) => return Err(self.lost("the host closed the connection".into())),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.io(error)),
            }
        }
    }

    fn io(&self, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::timeout("connect", self.timeout),
            // The host has refused the TLS session, for example because it wants a certificate.
            ErrorKind::InvalidData => {
                self.failed(format!("the TLS session failed: {error}"), Some(error))
            }
            _ => self.lost(error.to_string()),
        }
    }

    /// Returns the error of a connection that ended in the handshake.
    fn lost(&self, reason: String) -> Error {
        Error::disconnected(format!("{}: {reason}", self.endpoint))
    }

    fn refused(&self, failure: ZmtpFailure) -> Error {
        match failure {
            ZmtpFailure::Credentials => Error::Authentication {
                endpoint: self.endpoint.clone(),
                user: self.user.into(),
                reason: "wrong user or password".into(),
            },
            failure => self.failed(failure.to_string(), None),
        }
    }
}

#[cfg(test)]
#[path = "connecting_tests.rs"]
mod tests;
