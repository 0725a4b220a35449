//! Opens a socket to a broker: addresses, TCP, TLS and handshake, within one deadline.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use carrot_core::backend::look_up;
use carrot_core::{ConnectionOptions, Credentials, Error, Result, Scheme};

use crate::connection::attempt::BrokerAttempt;
use crate::connection::handshake::{BrokerLogin, LoggedIn};
use crate::connection::stream::BrokerStream;
use crate::connection::tls::BrokerTls;

/// The text of an address, and the reason why it was left.
type LeftAddress = (String, Error);

/// Connects to the first address whose broker accepts the credentials. Tries each address once.
/// Blocks at most for the connect timeout of the options. `client` is the name for the broker.
pub(crate) fn connect(
    options: &ConnectionOptions,
    client: &str,
    timeout: Duration,
) -> Result<LoggedIn> {
    let timeout = timeout.min(options.connect_timeout);
    let started = Instant::now();
    let endpoint = endpoint(options);
    let credentials = options.credentials.resolve(&endpoint, timeout)?;
    let (user, password) = match &credentials {
        Credentials::Plain { user, password } => (user.as_str(), password.reveal()),
        _ => return Err(Error::config("auth_mechanism", "ActiveMQ has user and password")),
    };
    let deadline = started + timeout;
    let attempt =
        BrokerAttempt { options, endpoint, user, password, client, started, timeout, deadline };
    attempt.run()
}

/// Returns the address for errors and logs.
pub(crate) fn endpoint(options: &ConnectionOptions) -> String {
    let show = |(name, port)| address_text(name, port);
    options.addresses().map(show).collect::<Vec<_>>().join(",")
}

fn address_text(name: &str, port: u16) -> String {
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}

impl BrokerAttempt<'_> {
    /// Tries each name once, and each of its addresses. They share the time that is left: one
    /// without an answer leaves time for the others.
    fn run(&self) -> Result<LoggedIn> {
        let mut failures = Vec::new();
        let names: Vec<(&str, u16)> = self.options.addresses().collect();
        for (index, (name, port)) in names.iter().copied().enumerate() {
            let attempt = self.part(address_text(name, port), names.len() - index);
            let found = attempt.left().and_then(|left| {
                look_up(name, port, left).map_err(|error| attempt.not_found(name, error))
            });
            match found {
                Ok(addresses) => {
                    if let Some(greeted) = attempt.try_each(name, &addresses, &mut failures)? {
                        return Ok(greeted);
                    }
                }
                Err(error) => {
                    log::debug!("connecting to {} failed: {error}", attempt.endpoint);
                    failures.push((attempt.endpoint, error));
                }
            }
        }
        Err(self.summary(failures))
    }

    /// Tries each address of a name. Returns the first broker that accepts the credentials.
    fn try_each(
        &self,
        name: &str,
        addresses: &[SocketAddr],
        failures: &mut Vec<LeftAddress>,
    ) -> Result<Option<LoggedIn>> {
        for (index, address) in addresses.iter().copied().enumerate() {
            let attempt = self.part(self.endpoint.clone(), addresses.len() - index);
            match attempt.open(name, address).and_then(|stream| BrokerLogin::run(&attempt, stream))
            {
                Ok(greeted) => return Ok(Some(greeted)),
                // The other brokers of one network have the same users, and the same options.
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
    fn summary(&self, mut failures: Vec<LeftAddress>) -> Error {
        match failures.pop() {
            None => self.failed("no address", None),
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

    /// Opens TCP, and TLS if the options have it.
    fn open(&self, name: &str, address: SocketAddr) -> Result<BrokerStream> {
        let socket = TcpStream::connect_timeout(&address, self.left()?)
            .map_err(|error| self.not_open(&format!("TCP to {address}"), error))?;
        // A failure slows the connection down at most.
        let _ = socket.set_nodelay(true);
        if self.options.scheme != Scheme::ActiveMqSsl {
            return Ok(BrokerStream::new(socket, None));
        }
        let tls = BrokerTls::new(&self.options.tls, name)?;
        let session = tls.secure(&socket, self.deadline).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                self.failed("the TLS handshake failed: the peer closed the connection", None)
            }
            _ => self.not_open("the TLS handshake failed", error),
        })?;
        Ok(BrokerStream::new(socket, Some(session)))
    }

    fn not_open(&self, step: &str, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => self.late(),
            _ => self.failed(format!("{step}: {error}"), Some(error)),
        }
    }
}
