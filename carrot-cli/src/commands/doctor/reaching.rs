//! From a name to a peer that speaks the protocol: DNS, TCP, TLS, greeting.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use carrot::ConnectionOptions;
use carrot::config::Scheme;
use carrot_tls::TlsConnector;

use super::advice;
use super::greeting;
use super::peer::{CheckedPeer, PeerSocket};
use super::report::{Check, CheckReport};
use crate::exit::{CommandFailure, Result};

/// The content of the greeting of a broker.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// Product and version, as AMQP brokers name them.
    pub(super) release: Option<String>,
}

/// Checks each address. Returns what was learnt from the first that speaks the protocol.
pub(super) fn reach(
    options: &ConnectionOptions,
    report: &mut CheckReport,
) -> Result<Option<Reached>> {
    let mut reached = None;
    for (name, port) in options.addresses() {
        let found = Reaching { options, name, port }.reach(report)?;
        reached = reached.or(found);
    }
    Ok(reached)
}

/// One address of the options.
struct Reaching<'a> {
    options: &'a ConnectionOptions,
    name: &'a str,
    port: u16,
}

impl Reaching<'_> {
    fn reach(&self, report: &mut CheckReport) -> Result<Option<Reached>> {
        let Some(socket) = self.connect(report)? else { return Ok(None) };
        let Some(mut peer) = self.secure(socket, report)? else { return Ok(None) };
        let started = Instant::now();
        let deadline = started + self.options.connect_timeout;
        let scheme = self.options.scheme;
        let greeted = match scheme {
            Scheme::Zmq | Scheme::Zmqs | Scheme::ZmqIpc => {
                greeting::zeromq(&mut peer, scheme, deadline)
            }
            Scheme::ActiveMq | Scheme::ActiveMqSsl => {
                greeting::activemq(&mut peer, scheme, deadline)
            }
            _ => greeting::amqp(&mut peer, scheme, deadline),
        };
        let took = Some(started.elapsed());
        match greeted {
            Ok(greeted) => {
                report.ok(Check::Greeting, took, &greeted.protocol)?;
                Ok(Some(Reached { release: greeted.release }))
            }
            Err(failed) => {
                let failure = CommandFailure::unreachable(failed.text);
                report.failed(Check::Greeting, took, failure, &failed.advice)?;
                Ok(None)
            }
        }
    }

    fn connect(&self, report: &mut CheckReport) -> Result<Option<PeerSocket>> {
        if self.options.scheme == Scheme::ZmqIpc {
            report.skipped(Check::Dns, "the address is a path")?;
            return self.connect_to_path(report);
        }
        let Some(addresses) = self.resolve(report)? else { return Ok(None) };
        let started = Instant::now();
        let deadline = started + self.options.connect_timeout;
        let mut failures = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
                Ok(socket) => {
                    let mut detail = address.to_string();
                    for (address, error) in &failures {
                        detail += &format!("; not {address}: {error}");
                    }
                    report.ok(Check::Tcp, Some(started.elapsed()), &detail)?;
                    return Ok(Some(PeerSocket::Tcp(socket)));
                }
                Err(error) => failures.push((*address, error)),
            }
        }
        let texts: Vec<_> =
            failures.iter().map(|(address, error)| format!("{address}: {error}")).collect();
        let kind = failures.first().map(|(_, error)| error.kind());
        let advice = advice::tcp(kind, self.options.scheme, self.port);
        let failure = CommandFailure::unreachable(texts.join("; "));
        report.failed(Check::Tcp, Some(started.elapsed()), failure, &advice)?;
        Ok(None)
    }

    fn resolve(&self, report: &mut CheckReport) -> Result<Option<Vec<SocketAddr>>> {
        let started = Instant::now();
        let (name, port) = (self.name.to_string(), self.port);
        let resolved = within(self.options.connect_timeout, move || {
            Ok((name.as_str(), port).to_socket_addrs()?.collect::<Vec<_>>())
        });
        let took = Some(started.elapsed());
        let text = match resolved {
            Ok(addresses) if !addresses.is_empty() => {
                let texts: Vec<_> = addresses.iter().map(|found| found.ip().to_string()).collect();
                report.ok(Check::Dns, took, &format!("{}: {}", self.name, texts.join(", ")))?;
                return Ok(Some(addresses));
            }
            Ok(_) => "the name has no address".to_string(),
            Err(error) => error.to_string(),
        };
        let failure = CommandFailure::unreachable(format!("{}: {text}", self.name));
        let advice = "check the spelling of the host, and the DNS or /etc/hosts of this machine";
        report.failed(Check::Dns, took, failure, advice)?;
        Ok(None)
    }

    #[cfg(unix)]
    fn connect_to_path(&self, report: &mut CheckReport) -> Result<Option<PeerSocket>> {
        let started = Instant::now();
        let path = self.name.to_string();
        let connected = within(self.options.connect_timeout, move || {
            std::os::unix::net::UnixStream::connect(path)
        });
        let took = Some(started.elapsed());
        match connected {
            Ok(socket) => {
                report.ok(Check::Tcp, took, &format!("no TCP: the socket {}", self.name))?;
                Ok(Some(PeerSocket::Unix(socket)))
            }
            Err(error) => {
                let failure = CommandFailure::unreachable(format!("{}: {error}", self.name));
                report.failed(Check::Tcp, took, failure, advice::path(error.kind()))?;
                Ok(None)
            }
        }
    }

    #[cfg(not(unix))]
    fn connect_to_path(&self, report: &mut CheckReport) -> Result<Option<PeerSocket>> {
        let failure = CommandFailure::input("this system has no sockets in the file system");
        report.failed(Check::Tcp, None, failure, "use zmq:// with a host and a port")?;
        Ok(None)
    }

    fn secure(&self, socket: PeerSocket, report: &mut CheckReport) -> Result<Option<CheckedPeer>> {
        let has_tls = self.options.scheme.has_tls();
        let (true, PeerSocket::Tcp(tcp)) = (has_tls, &socket) else {
            report.skipped(Check::Tls, &format!("{}:// has no TLS", self.options.scheme))?;
            return Ok(Some(CheckedPeer::new(socket, None)));
        };
        let started = Instant::now();
        let deadline = started + self.options.connect_timeout;
        let connector = match TlsConnector::new(&self.options.tls, self.name) {
            Ok(connector) => connector,
            Err(error) => {
                let advice = "correct the TLS options of the URL: cacertfile, certfile, keyfile";
                report.failed(Check::Tls, Some(started.elapsed()), error.into(), advice)?;
                return Ok(None);
            }
        };
        match connector.connect(tcp, Some(deadline)) {
            Ok(session) => {
                let name = self.options.tls.server_name.as_deref().unwrap_or(self.name);
                let detail = format!("the certificate is trusted, and for {name}");
                report.ok(Check::Tls, Some(started.elapsed()), &detail)?;
                Ok(Some(CheckedPeer::new(socket, Some(session))))
            }
            Err(error) => {
                let text = error.to_string();
                let advice = advice::tls(&text, self.options.scheme);
                let failure = CommandFailure::unreachable(text);
                report.failed(Check::Tls, Some(started.elapsed()), failure, &advice)?;
                Ok(None)
            }
        }
    }
}

/// Runs work that cannot be bounded on a thread of its own, and waits for it.
fn within<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (done, result) = channel();
    std::thread::Builder::new().name("carrot-doctor".into()).spawn(move || done.send(work()))?;
    result.recv_timeout(timeout).unwrap_or_else(|error| match error {
        RecvTimeoutError::Timeout => Err(late(timeout)),
        RecvTimeoutError::Disconnected => Err(io::Error::other("the thread has ended")),
    })
}

fn late(timeout: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {timeout:?}"))
}
