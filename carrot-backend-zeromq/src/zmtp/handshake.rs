//! The steps from the greetings to an open connection, for both sides.

use std::fmt;

use carrot_core::backend::Printable;
use carrot_listener::Users;

use crate::zmtp::command::{self, Command, DEALER, ROUTER, check_socket};
use crate::zmtp::frame::ZmtpError;
use crate::zmtp::greeting::{GREETING_START, GreetingReader, Mechanism, greeting};

/// The longest text of a peer in an error or a log line, in bytes.
const SHOWN: usize = 200;

/// The reason why a handshake ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ZmtpFailure {
    /// The peer does not keep to the protocol.
    Protocol(ZmtpError),
    /// The peers want different mechanisms.
    Mechanism { wanted: &'static str },
    /// User or password are wrong.
    Credentials,
    /// The host refused the connection.
    Refused { reason: String },
}

impl From<ZmtpError> for ZmtpFailure {
    fn from(error: ZmtpError) -> ZmtpFailure {
        ZmtpFailure::Protocol(error)
    }
}

impl fmt::Display for ZmtpFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZmtpFailure::Protocol(error) => error.fmt(formatter),
            ZmtpFailure::Mechanism { wanted } => {
                write!(formatter, "the mechanism has to be {wanted}")
            }
            ZmtpFailure::Credentials => formatter.write_str("wrong user or password"),
            ZmtpFailure::Refused { reason } => Printable::new(SHOWN, reason).fmt(formatter),
        }
    }
}

/// The state of a handshake after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ZmtpProgress {
    /// The peer takes the next step.
    Waiting,
    /// The connection is open, for this user.
    Open { user: Option<String> },
}

/// The handshake of a host with one peer.
#[derive(Debug)]
pub(crate) struct HostHandshake {
    mechanism: Mechanism,
    /// Whether the peer answers PING.
    has_heartbeats: bool,
    step: HostStep,
}

#[derive(Debug)]
enum HostStep {
    Greeting(GreetingReader),
    /// The peer of mechanism NULL sends READY.
    Ready,
    /// The peer of mechanism PLAIN sends HELLO.
    Hello,
    /// The peer of mechanism PLAIN sends INITIATE.
    Initiate {
        user: String,
    },
}

impl HostHandshake {
    /// Begins a handshake. A host with users wants PLAIN. Appends the greeting of the host.
    pub(crate) fn start(has_users: bool, out: &mut Vec<u8>) -> HostHandshake {
        let mechanism = if has_users { Mechanism::Plain } else { Mechanism::Null };
        out.extend_from_slice(&greeting(mechanism, true));
        let step = HostStep::Greeting(GreetingReader::default());
        HostHandshake { mechanism, has_heartbeats: false, step }
    }

    /// Returns whether the peer answers PING. Its greeting is complete.
    pub(crate) fn has_heartbeats(&self) -> bool {
        self.has_heartbeats
    }

    /// Takes octets of the greeting. Returns whether commands follow.
    ///
    /// # Errors
    /// The octets are no greeting, or name another mechanism. `out` has the answer.
    pub(crate) fn greeting(
        &mut self,
        octets: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, ZmtpFailure> {
        let HostStep::Greeting(reader) = &mut self.step else { return Ok(true) };
        let Some(mechanism) = reader.read(octets)? else { return Ok(false) };
        self.has_heartbeats = reader.has_heartbeats();
        if mechanism != self.mechanism {
            let (wanted, reason) = match self.mechanism {
                Mechanism::Plain => ("PLAIN", "this host wants a user and a password (PLAIN)"),
                Mechanism::Null => ("NULL", "this host has no users (NULL)"),
            };
            command::error(out, reason);
            return Err(ZmtpFailure::Mechanism { wanted });
        }
        self.step = match mechanism {
            Mechanism::Null => HostStep::Ready,
            Mechanism::Plain => HostStep::Hello,
        };
        Ok(true)
    }

    /// Takes a command of the peer.
    ///
    /// # Errors
    /// The command is not the next step, or the credentials are wrong. `out` has the answer.
    pub(crate) fn command(
        &mut self,
        octets: &[u8],
        users: &Users,
        out: &mut Vec<u8>,
    ) -> Result<ZmtpProgress, ZmtpFailure> {
        let refuse = |out: &mut Vec<u8>, error: ZmtpError| {
            command::error(out, &error.to_string());
            Err(ZmtpFailure::Protocol(error))
        };
        let read = match Command::read(octets) {
            Ok(read) => read,
            Err(error) => return refuse(out, error),
        };
        match (&mut self.step, read) {
            (HostStep::Ready, Command::Ready { properties }) => {
                if let Err(error) = check_socket(properties, DEALER) {
                    return refuse(out, error);
                }
                command::with_socket(out, "READY", ROUTER);
                Ok(ZmtpProgress::Open { user: None })
            }
            (HostStep::Hello, Command::Hello { user, password }) => {
                let name = std::str::from_utf8(user).ok();
                match name.filter(|name| users.accept(name, password)) {
                    Some(user) => {
                        command::welcome(out);
                        self.step = HostStep::Initiate { user: user.into() };
                        Ok(ZmtpProgress::Waiting)
                    }
                    None => {
                        command::error(out, "wrong user or password");
                        Err(ZmtpFailure::Credentials)
                    }
                }
            }
            (HostStep::Initiate { user }, Command::Initiate { properties }) => {
                let user = std::mem::take(user);
                if let Err(error) = check_socket(properties, DEALER) {
                    return refuse(out, error);
                }
                command::with_socket(out, "READY", ROUTER);
                Ok(ZmtpProgress::Open { user: Some(user) })
            }
            (_, Command::Error { reason }) => Err(refused(reason)),
            _ => refuse(out, ZmtpError::Command { problem: "a command is out of order" }),
        }
    }
}

/// The handshake of a client with a host.
#[derive(Debug)]
pub(crate) struct ClientHandshake<'l> {
    user: &'l str,
    password: &'l str,
    step: ClientStep,
}

#[derive(Debug)]
enum ClientStep {
    Greeting(GreetingReader),
    /// The host of mechanism PLAIN sends WELCOME.
    Welcome,
    /// The host sends READY.
    Ready,
}

impl<'l> ClientHandshake<'l> {
    /// Begins a handshake. The host chooses the mechanism: a password leaves only for a host that
    /// wants one. Appends the start of the greeting, which names no mechanism.
    pub(crate) fn start(
        user: &'l str,
        password: &'l str,
        out: &mut Vec<u8>,
    ) -> ClientHandshake<'l> {
        let start = greeting(Mechanism::Null, false);
        out.extend_from_slice(start.get(..GREETING_START).unwrap_or_default());
        ClientHandshake { user, password, step: ClientStep::Greeting(GreetingReader::default()) }
    }

    /// Takes octets of the host's greeting. Returns whether commands follow.
    ///
    /// # Errors
    /// The octets are no greeting.
    pub(crate) fn greeting(
        &mut self,
        octets: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, ZmtpFailure> {
        let ClientStep::Greeting(reader) = &mut self.step else { return Ok(true) };
        let Some(mechanism) = reader.read(octets)? else { return Ok(false) };
        let answer = greeting(mechanism, false);
        out.extend_from_slice(answer.get(GREETING_START..).unwrap_or_default());
        self.step = match mechanism {
            Mechanism::Null => {
                command::with_socket(out, "READY", DEALER);
                ClientStep::Ready
            }
            Mechanism::Plain => {
                command::hello(out, self.user, self.password);
                ClientStep::Welcome
            }
        };
        Ok(true)
    }

    /// Takes a command of the host.
    ///
    /// # Errors
    /// The command is not the next step, or the host refuses the connection.
    pub(crate) fn command(
        &mut self,
        octets: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<ZmtpProgress, ZmtpFailure> {
        match (&self.step, Command::read(octets)?) {
            (ClientStep::Welcome, Command::Welcome) => {
                command::with_socket(out, "INITIATE", DEALER);
                self.step = ClientStep::Ready;
                Ok(ZmtpProgress::Waiting)
            }
            (ClientStep::Ready, Command::Ready { properties }) => {
                check_socket(properties, ROUTER)?;
                Ok(ZmtpProgress::Open { user: None })
            }
            (ClientStep::Welcome, Command::Error { .. }) => Err(ZmtpFailure::Credentials),
            (_, Command::Error { reason }) => Err(refused(reason)),
            _ => Err(ZmtpError::Command { problem: "a command is out of order" }.into()),
        }
    }
}

fn refused(reason: &[u8]) -> ZmtpFailure {
    ZmtpFailure::Refused { reason: String::from_utf8_lossy(reason).into_owned() }
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
