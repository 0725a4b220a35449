//! From options to an open connection, within one deadline.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::backend::{CandidateAddresses, ConnectFailures, look_up};
use carrot_core::{ConnectionOptions, Credentials, Error, Result, Scheme};
use crossbeam_channel::{RecvTimeoutError, bounded};
use log::debug;
use socket2::{SockRef, TcpKeepalive};

use super::attempt::ConnectAttempt;
use super::connect_error::{connect_error, overdue};
use super::control::Control;
use super::handshake::{self, Handshake};
use super::pipe::Pipe;
use super::reader;
use super::refusal::{Attempted, ConnectFailure, large_first_frame, refused, small_frame_max};
use super::role_context::RoleContext;
use super::sink::Sink;
use super::source::Source;
use super::state::ConnectionState;
use super::writer::SocketWriter;

/// A timeout that ends this close to the deadline is the deadline's.
const SLACK: Duration = Duration::from_millis(20);
/// The longest interval between probes of an idle socket that every platform takes, in seconds.
const MAX_KEEP_ALIVE: Duration = Duration::from_secs(3600);

/// Connects to the first address that answers, on a separate thread, because the credentials
/// provider cannot be bounded.
pub(crate) fn connect(
    options: &Arc<ConnectionOptions>,
    role_context: RoleContext,
    attempt: &Arc<ConnectAttempt>,
    timeout: Duration,
    deadline: Instant,
) -> Result<Arc<ConnectionState>> {
    let started = Instant::now();
    let (done, result) = bounded(1);
    let worker = (Arc::clone(options), Arc::clone(attempt));
    let spawned = thread::Builder::new().name("carrot-dial".to_string()).spawn(move || {
        let (options, attempt) = worker;
        attempt.step("calling the credentials provider".to_string());
        let credentials = options.credentials.resolve(&options.endpoint(), timeout);
        let connected = credentials.and_then(|credentials| {
            let name = format!("{} ({})", options.name, role_context.role);
            Connecting { options, credentials, name, role_context, attempt, timeout, deadline }
                .run(look_up)
        });
        if let Err(unwanted) = done.send(connected)
            && let Ok(state) = unwanted.0
        {
            state.cut("no caller waits for it");
        }
    });
    spawned.map_err(|error| {
        connect_error(&options.endpoint(), "no thread could be started", Some(error))
    })?;
    let connected = match result.recv_deadline(deadline) {
        Ok(connected) => connected,
        Err(RecvTimeoutError::Timeout) => {
            attempt.abandon();
            Err(overdue(&attempt.current_step(), timeout))
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err(connect_error(&options.endpoint(), "the driver panicked", None))
        }
    };
    connected.map_err(|error| match error {
        Error::Connect { endpoint, reason, source, .. } => {
            Error::Connect { endpoint, reason, tried: started.elapsed(), source }
        }
        other => other,
    })
}

struct Connecting {
    options: Arc<ConnectionOptions>,
    credentials: Credentials,
    name: String,
    role_context: RoleContext,
    attempt: Arc<ConnectAttempt>,
    timeout: Duration,
    deadline: Instant,
}

impl Connecting {
    /// Tries each address of each name once.
    fn run(
        &self,
        look_up: impl Fn(&str, u16, Duration) -> io::Result<Vec<SocketAddr>>,
    ) -> Result<Arc<ConnectionState>> {
        let mut failures = ConnectFailures::default();
        let look_up = |name: &str, port, time| {
            self.attempt.step(format!("resolving {name}"));
            look_up(name, port, time)
        };
        let mut candidates =
            CandidateAddresses::new(self.options.addresses(), self.deadline, look_up);
        while !self.attempt.is_abandoned()
            && let Some(candidate) = candidates.next()
        {
            let endpoint = candidate.endpoint();
            let connected = match candidate.address {
                Ok(_) if self.attempt.is_abandoned() => break,
                Ok(address) => self.connect(candidate.host, &endpoint, address, candidate.deadline),
                Err(error) => {
                    Err(ConnectFailure::of_step(&endpoint, "the name does not resolve", error))
                }
            };
            let step = self.attempt.current_step();
            let error = match connected {
                Ok(state) => return Ok(state),
                Err(ConnectFailure::Final(error)) => return Err(error),
                Err(ConnectFailure::Failed(error)) => error,
                Err(ConnectFailure::Slow) if Instant::now() + SLACK >= self.deadline => {
                    return Err(overdue(&step, self.timeout));
                }
                Err(ConnectFailure::Slow) => {
                    connect_error(&endpoint, &format!("no answer in time ({step})"), None)
                }
            };
            debug!("connecting to {endpoint} failed ({step}): {error}");
            failures.add(endpoint, error);
        }
        Err(failures.into_error(&self.options.endpoint(), Duration::ZERO))
    }

    fn connect(
        &self,
        host: &str,
        endpoint: &str,
        address: SocketAddr,
        deadline: Instant,
    ) -> Result<Arc<ConnectionState>, ConnectFailure> {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left.max(Duration::from_millis(1));
        let given_up_at = Instant::now() + share;
        let failed = |reason: &str, error| ConnectFailure::of_step(endpoint, reason, error);

        self.attempt.step(format!("TCP to {address}"));
        let socket = TcpStream::connect_timeout(&address, share)
            .map_err(|error| failed("TCP failed", error))?;
        self.attempt.expose(&socket).map_err(|error| failed("TCP failed", error))?;
        socket.set_nodelay(true).map_err(|error| failed("setting socket options failed", error))?;
        self.keep_alive(&socket);
        let outgoing =
            socket.try_clone().map_err(|error| failed("copying the socket failed", error))?;

        let (source, sink) = self.secure(socket, outgoing, host, endpoint, given_up_at)?;
        sink.socket()
            .set_nonblocking(true)
            .map_err(|error| failed("setting socket options failed", error))?;
        let start_ok = handshake::start_ok(&self.credentials, &self.name).map_err(|error| {
            ConnectFailure::Final(Error::config("credentials", error.to_string()))
        })?;
        let start_ok_size = start_ok.len();
        self.attempt.step(format!(
            "AMQP handshake with {address}{}{}",
            large_first_frame(start_ok_size),
            small_frame_max(self.options.frame_max)
        ));
        let writer = Arc::new(SocketWriter::new(sink));
        let (pipe, inbox) = Pipe::new(Arc::clone(&writer), start_ok);
        let state = Arc::new(ConnectionState::new(
            &self.role_context,
            self.name.clone(),
            endpoint.to_string(),
            self.options.call_timeout,
            writer,
            Control::new(inbox),
        ));
        let reading = reader::start(source, Arc::clone(&state), Handshake::new(&self.options))
            .map_err(|error| failed("no thread could be started", error))?;
        let left = given_up_at.saturating_duration_since(Instant::now());
        let silence = left.max(Duration::from_millis(1));
        let mechanism = handshake::mechanism(&self.credentials);
        match state.control.connect(pipe, mechanism, &self.options.vhost, silence) {
            Ok(()) => {
                state.opened();
                Ok(state)
            }
            Err(error) => {
                let is_given_up = state.control.is_given_up();
                // amiquip has dropped the pipe, so the reader ends.
                let end = reading.join().ok();
                let user = match &self.credentials {
                    Credentials::Plain { user, .. } => user,
                    _ => "(client certificate)",
                };
                Err(refused(
                    error,
                    end,
                    &Attempted {
                        endpoint,
                        user,
                        vhost: &self.options.vhost,
                        accepted_before: self.attempt.accepted_before,
                        is_abandoned: is_given_up || self.attempt.is_abandoned(),
                        start_ok_size,
                        wanted_frame_max: self.options.frame_max,
                        frame_max: state.frame_max(),
                        min_frame_max: state.features().min_frame_max,
                    },
                ))
            }
        }
    }

    /// Enables the probes of the system on an idle socket. Heartbeats find a dead broker, too, so a
    /// failure only delays that.
    fn keep_alive(&self, socket: &TcpStream) {
        let interval = self.options.heartbeat.clamp(Duration::from_secs(10), MAX_KEEP_ALIVE);
        let keep_alive = TcpKeepalive::new().with_time(interval * 3).with_interval(interval);
        if let Err(error) = SockRef::from(socket).set_tcp_keepalive(&keep_alive) {
            debug!("setting TCP keep-alive failed: {error}");
        }
    }

    fn secure(
        &self,
        socket: TcpStream,
        outgoing: TcpStream,
        host: &str,
        endpoint: &str,
        given_up_at: Instant,
    ) -> Result<(Source, Sink), ConnectFailure> {
        if self.options.scheme == Scheme::Amqps {
            return self.secure_with_tls(socket, outgoing, host, endpoint, given_up_at);
        }
        Ok((Source::Plain(socket), Sink::Plain(outgoing)))
    }

    #[cfg(feature = "tls")]
    fn secure_with_tls(
        &self,
        socket: TcpStream,
        outgoing: TcpStream,
        host: &str,
        endpoint: &str,
        given_up_at: Instant,
    ) -> Result<(Source, Sink), ConnectFailure> {
        use carrot_tls::TlsConnector;

        use super::sink::TlsSink;
        use super::source::TlsSource;

        self.attempt.step(format!("TLS handshake with {endpoint}"));
        let connector =
            TlsConnector::new(&self.options.tls, host).map_err(ConnectFailure::Final)?;
        let session = connector.connect(&socket, Some(given_up_at)).map_err(|error| {
            ConnectFailure::of_step(endpoint, "the TLS handshake failed", error)
        })?;
        let session = Arc::new(session);
        let source = Source::Tls(TlsSource::new(socket, Arc::clone(&session)));
        Ok((source, Sink::Tls(TlsSink::new(outgoing, session))))
    }

    #[cfg(not(feature = "tls"))]
    fn secure_with_tls(
        &self,
        _: TcpStream,
        _: TcpStream,
        _: &str,
        _: &str,
        _: Instant,
    ) -> Result<(Source, Sink), ConnectFailure> {
        Err(ConnectFailure::Final(Error::config(
            "scheme",
            "amqps needs the feature `tls` of this crate",
        )))
    }
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
