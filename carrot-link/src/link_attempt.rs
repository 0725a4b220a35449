//! From the addresses of a broker to an open socket, within one deadline.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_core::backend::{CandidateAddresses, ConnectFailures};
use carrot_core::{ConnectionOptions, Error, Result, TlsOptions};
use carrot_listener::{PeerStream, TlsIncoming, TlsOutgoing};

use crate::client_tls::ClientTls;

/// The attempt to connect to all addresses of a broker, or to one of them, until a deadline.
#[derive(Debug, Clone)]
pub struct LinkAttempt {
    endpoint: String,
    started: Instant,
    timeout: Duration,
    deadline: Instant,
}

impl LinkAttempt {
    /// Begins an attempt. `endpoint` is the text of all addresses.
    pub fn new(endpoint: String, timeout: Duration) -> LinkAttempt {
        let started = Instant::now();
        LinkAttempt { endpoint, started, timeout, deadline: started + timeout }
    }

    /// Returns the text of the addresses, or of the one address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Tries each address once with `connect`, which has the attempt at the address, and the name
    /// of the host. Returns the first success. `look_up` returns the addresses of a name within a
    /// time.
    ///
    /// # Errors
    /// - [`Error::Authentication`] and [`Error::Config`] of `connect`, at once: the other hosts of
    ///   one application have the same users, and the same options.
    /// - The errors of all addresses, as one.
    pub fn first<T>(
        &self,
        options: &ConnectionOptions,
        look_up: impl FnMut(&str, u16, Duration) -> io::Result<Vec<SocketAddr>>,
        connect: impl Fn(&LinkAttempt, &str, SocketAddr) -> Result<T>,
    ) -> Result<T> {
        let mut failures = ConnectFailures::default();
        for candidate in CandidateAddresses::new(options.addresses(), self.deadline, look_up) {
            let endpoint = candidate.endpoint();
            let attempt = LinkAttempt { endpoint, deadline: candidate.deadline, ..self.clone() };
            let connected = match candidate.address {
                Ok(address) => connect(&attempt, candidate.host, address),
                Err(error) => Err(attempt.not_found(candidate.host, error)),
            };
            match connected {
                Ok(connected) => return Ok(connected),
                Err(error @ (Error::Authentication { .. } | Error::Config { .. })) => {
                    return Err(error);
                }
                Err(error) => {
                    log::debug!("connecting to {} failed: {error}", attempt.endpoint);
                    failures.add(attempt.endpoint, error);
                }
            }
        }
        Err(failures.into_error(&self.endpoint, self.started.elapsed()))
    }

    fn not_found(&self, name: &str, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::TimedOut => {
                Error::timeout(format!("connect (resolving {name:?})"), self.timeout)
            }
            _ => self.failed(format!("resolving {name:?}: {error}"), Some(error)),
        }
    }

    /// Returns the error of an attempt that failed for a reason.
    pub fn failed(&self, reason: impl Into<String>, source: Option<io::Error>) -> Error {
        Error::Connect {
            endpoint: self.endpoint.clone(),
            reason: reason.into(),
            tried: self.started.elapsed(),
            source: source.map(|error| Arc::new(error) as _),
        }
    }

    /// Returns the error of a step that failed, or was late.
    pub fn not_open(&self, step: &str, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => self.late(),
            _ => self.failed(format!("{step}: {error}"), Some(error)),
        }
    }

    /// Returns the error of a socket that failed in the handshake. `lost` names the failures that
    /// are neither of the time nor of TLS.
    pub fn broken(&self, error: io::Error, lost: impl FnOnce(io::Error) -> Error) -> Error {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => self.late(),
            // The broker has refused the TLS session, for example because it wants a certificate.
            ErrorKind::InvalidData => {
                self.failed(format!("the TLS session failed: {error}"), Some(error))
            }
            _ => lost(error),
        }
    }

    /// Returns the time that is left.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: none is left.
    pub fn left(&self) -> Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.late()) } else { Ok(left) }
    }

    fn late(&self) -> Error {
        Error::timeout("connect", self.timeout)
    }

    /// Opens TCP to an address, and with options of TLS also a session. `host` is the name that the
    /// certificate of the broker must carry, unless the options set another.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: no time is left.
    /// - [`Error::Connect`]: the address refuses the connection, or the handshake failed.
    /// - [`Error::Config`]: the options of TLS cannot be used.
    pub fn open(
        &self,
        host: &str,
        address: SocketAddr,
        tls: Option<&TlsOptions>,
    ) -> Result<PeerStream> {
        let socket = TcpStream::connect_timeout(&address, self.left()?)
            .map_err(|error| self.not_open(&format!("TCP to {address}"), error))?;
        let stream = PeerStream::from(socket);
        stream.set_nodelay();
        if let Some(options) = tls {
            let tls = ClientTls::new(options, host)?;
            let secured = stream.secure(|socket| tls.secure(socket, self.deadline));
            secured.map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => {
                    self.failed("the TLS handshake failed: the peer closed the connection", None)
                }
                _ => self.not_open("the TLS handshake failed", error),
            })?;
        }
        Ok(stream)
    }

    /// Writes all octets.
    ///
    /// # Errors
    /// - [`TimedOut`](ErrorKind::TimedOut) or [`WouldBlock`](ErrorKind::WouldBlock): no time is
    ///   left.
    /// - The errors of the socket.
    pub fn write_all(
        &self,
        stream: &PeerStream,
        side: &mut TlsOutgoing,
        mut octets: &[u8],
    ) -> io::Result<()> {
        while !octets.is_empty() {
            stream.set_write_timeout(Some(self.time()?))?;
            match stream.write(side, octets) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => octets = octets.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads some octets; 0 at the end of the stream.
    ///
    /// # Errors
    /// As [`write_all`](LinkAttempt::write_all).
    pub fn read(
        &self,
        stream: &PeerStream,
        side: &mut TlsIncoming,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            stream.set_read_timeout(Some(self.time()?))?;
            match stream.read(side, buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn time(&self) -> io::Result<Duration> {
        self.left().map_err(|_| ErrorKind::TimedOut.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(40);

    fn no_answer(name: &str, port: u16, left: Duration) -> io::Result<Vec<SocketAddr>> {
        match name {
            "dead.example" => {
                assert!(left <= TIMEOUT / 2, "{left:?}");
                Err(ErrorKind::TimedOut.into())
            }
            _ => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
        }
    }

    #[test]
    fn name_without_an_answer_leaves_time_for_the_next_host() {
        let options: ConnectionOptions = "zmq://dead.example:1,live.example:2".parse().unwrap();
        let attempt = LinkAttempt::new(options.endpoint(), TIMEOUT);
        let found = attempt.first(&options, no_answer, |attempt, host, address| {
            assert!(attempt.left().unwrap() > TIMEOUT / 2);
            Ok((host.to_string(), address.port()))
        });
        assert_eq!(found.unwrap(), ("live.example".to_string(), 2));
        let dead: ConnectionOptions = "zmq://dead.example:1".parse().unwrap();
        let silent = |_: &str, _, _| Err(ErrorKind::TimedOut.into());
        let error = attempt.first(&dead, silent, |_, _, _| Ok(())).unwrap_err();
        let Error::Timeout { operation, .. } = &error else { panic!("{error}") };
        assert!(operation.contains("dead.example"), "{error}");
    }

    #[test]
    fn refused_login_is_not_tried_elsewhere() {
        let options: ConnectionOptions = "zmq://one.example:1,two.example:2".parse().unwrap();
        let attempt = LinkAttempt::new(options.endpoint(), TIMEOUT);
        let look_up = |_: &str, port, _| Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]);
        let refused = attempt.first(&options, look_up, |_, host, _| -> Result<()> {
            assert_eq!(host, "one.example");
            Err(Error::config("tls", "no authority"))
        });
        assert!(matches!(refused, Err(Error::Config { .. })));
        let failed = attempt.first(&options, look_up, |attempt, host, _| -> Result<()> {
            Err(attempt.failed(format!("{host} is down"), None))
        });
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("one.example is down; two.example:2: two.example is down"), "{text}");
    }
}
