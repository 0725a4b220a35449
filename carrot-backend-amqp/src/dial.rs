//! From options to an open AMQP connection, within one deadline.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use amiquip::ConnectionTuning;
use carrot_core::{ConnectionOptions, Credentials, Error, Result, Scheme};
use crossbeam_channel::{RecvTimeoutError, bounded};
use log::debug;
use socket2::{SockRef, TcpKeepalive};

use crate::error::{self, Attempted};
use crate::outlet::{Outlet, Sink};
use crate::start::{self, Handshake, Placeholder};
use crate::stream::{Source, Stream, Wire};
use crate::watchdog::KillSwitch;

/// Messages on their way to the I/O thread; a publication takes three or more.
const QUEUE_BOUND: usize = 1024;
/// A timeout that ends this close to the deadline was the deadline's.
const SLACK: Duration = Duration::from_millis(20);

/// An open connection, and what belongs to it.
pub(crate) struct Dialed {
    pub(crate) amqp: amiquip::Connection,
    pub(crate) kill: KillSwitch,
    pub(crate) wire: Arc<Wire>,
    pub(crate) endpoint: String,
}

/// One attempt to connect, as seen by who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// Whether the credentials were accepted before.
    pub(crate) accepted_before: bool,
    state: Mutex<AttemptState>,
}

#[derive(Debug, Default)]
struct AttemptState {
    socket: Option<TcpStream>,
    step: String,
    abandoned: bool,
}

impl Attempt {
    pub(crate) fn new(accepted_before: bool) -> Attempt {
        Attempt { accepted_before, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, AttemptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it fail soon, and its result be thrown away.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        if let Some(socket) = state.socket.take() {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    pub(crate) fn step(&self, step: String) {
        self.lock().step = step;
    }

    /// Returns the step that was begun last.
    #[cfg(carrot_next_driver)]
    pub(crate) fn current_step(&self) -> String {
        self.lock().step.clone()
    }

    /// Puts a socket within reach of `abandon`.
    pub(crate) fn expose(&self, socket: &TcpStream) -> io::Result<()> {
        let clone = socket.try_clone()?;
        let mut state = self.lock();
        if state.abandoned {
            return Err(io::ErrorKind::TimedOut.into());
        }
        state.socket = Some(clone);
        Ok(())
    }
}

/// Connects to the first address that answers. The work is done on a thread of its own, since resolving a name and shaking hands cannot
/// be bounded from within.
pub(crate) fn dial(
    options: &Arc<ConnectionOptions>,
    name: String,
    attempt: &Arc<Attempt>,
    timeout: Duration,
    deadline: Instant,
) -> Result<Dialed> {
    let started = Instant::now();
    let (done, result) = bounded(1);
    let worker = (Arc::clone(options), Arc::clone(attempt));
    thread::Builder::new()
        .name("carrot-dial".to_string())
        .spawn(move || {
            let (options, attempt) = worker;
            let dialed =
                Dialer { options: &options, name: &name, attempt: &attempt, timeout, deadline }
                    .run();
            if let Err(unwanted) = done.send(dialed)
                && let Ok(dialed) = unwanted.0
            {
                dialed.kill.trip("nobody waits for it any more");
            }
        })
        .map_err(|error| {
            connect_error(&endpoints(options), "no thread could be started", Some(error))
        })?;
    let dialed = match result.recv_deadline(deadline) {
        Ok(dialed) => dialed,
        Err(RecvTimeoutError::Timeout) => {
            attempt.abandon();
            let step = attempt.lock().step.clone();
            Err(overdue(&step, timeout))
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err(connect_error(&endpoints(options), "the driver panicked", None))
        }
    };
    dialed.map_err(|error| match error {
        Error::Connect { endpoint, reason, source, .. } => {
            Error::Connect { endpoint, reason, tried: started.elapsed(), source }
        }
        other => other,
    })
}

pub(crate) fn overdue(step: &str, after: Duration) -> Error {
    Error::timeout(format!("opening a connection ({step})"), after)
}

pub(crate) fn endpoints(options: &ConnectionOptions) -> String {
    options.addresses().map(|(name, port)| endpoint(name, port)).collect::<Vec<_>>().join(", ")
}

pub(crate) fn endpoint(name: &str, port: u16) -> String {
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}

pub(crate) fn connect_error(endpoint: &str, reason: &str, source: Option<io::Error>) -> Error {
    let source = source.map(|error| Arc::new(error) as carrot_core::Cause);
    Error::connect(endpoint, reason, Duration::ZERO, source)
}

/// Why one address was given up.
enum Failure {
    /// It did not answer in its share of the time.
    Slow,
    /// It failed; another address may do better.
    Failed(Error),
    /// Another address would say the same.
    Final(Error),
}

struct Dialer<'a> {
    options: &'a ConnectionOptions,
    name: &'a str,
    attempt: &'a Attempt,
    timeout: Duration,
    deadline: Instant,
}

impl Dialer<'_> {
    fn run(&self) -> Result<Dialed> {
        let (addresses, mut failures) = self.resolve();
        let count = addresses.len();
        for (index, (name, address)) in addresses.into_iter().enumerate() {
            if self.attempt.is_abandoned() {
                break;
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(count - index).unwrap_or(u32::MAX);
            let endpoint = endpoint(&name, address.port());
            match self.connect(&name, address, share.max(Duration::from_millis(1))) {
                Ok(dialed) => return Ok(dialed),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Failed(error)) => {
                    debug!("connecting to {endpoint} ({address}) failed: {error}");
                    failures.push(error);
                }
                Err(Failure::Slow) => {
                    debug!("connecting to {endpoint} ({address}) took too long");
                    let step = self.attempt.lock().step.clone();
                    if Instant::now() + SLACK >= self.deadline {
                        return Err(overdue(&step, self.timeout));
                    }
                    failures.push(connect_error(
                        &endpoint,
                        &format!("no answer in time ({step})"),
                        None,
                    ));
                }
            }
        }
        Err(self.summary(failures))
    }

    fn resolve(&self) -> (Vec<(String, SocketAddr)>, Vec<Error>) {
        let mut addresses = Vec::new();
        let mut failures = Vec::new();
        for (name, port) in self.options.addresses() {
            self.attempt.step(format!("resolving {name}"));
            match (name, port).to_socket_addrs() {
                Ok(found) => addresses.extend(found.map(|address| (name.to_string(), address))),
                Err(error) => failures.push(connect_error(
                    &endpoint(name, port),
                    "the name does not resolve",
                    Some(error),
                )),
            }
        }
        (addresses, failures)
    }

    fn summary(&self, mut failures: Vec<Error>) -> Error {
        match failures.len() {
            0 => connect_error(&endpoints(self.options), "the name has no address", None),
            1 => failures.remove(0),
            _ => {
                let reasons: Vec<String> = failures
                    .into_iter()
                    .map(|failure| match failure {
                        Error::Connect { endpoint, reason, .. } => format!("{endpoint}: {reason}"),
                        other => other.to_string(),
                    })
                    .collect();
                connect_error(&endpoints(self.options), &reasons.join("; "), None)
            }
        }
    }

    fn connect(&self, host: &str, address: SocketAddr, share: Duration) -> Result<Dialed, Failure> {
        let given_up_at = Instant::now() + share;
        let endpoint = endpoint(host, address.port());
        let failed = |reason: &str, error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Failure::Slow,
            _ => Failure::Failed(connect_error(&endpoint, reason, Some(error))),
        };

        self.attempt.step(format!("TCP to {address}"));
        let socket = TcpStream::connect_timeout(&address, share)
            .map_err(|error| failed("TCP failed", error))?;
        self.attempt.expose(&socket).map_err(|error| failed("TCP failed", error))?;
        self.prepare(&socket).map_err(|error| failed("setting socket options failed", error))?;
        let kill = KillSwitch::new(
            socket.try_clone().map_err(|error| failed("copying the socket failed", error))?,
        );

        let outgoing =
            socket.try_clone().map_err(|error| failed("copying the socket failed", error))?;

        let (source, sink) = self.secure(socket, host, &endpoint, given_up_at)?;
        self.attempt.step(format!("AMQP handshake with {address}"));
        let wire = Arc::new(Wire::new(Outlet::new(outgoing, sink)));
        let handshake = Handshake::new(&self.options.credentials, self.name);
        let stream = Stream::new(source, handshake, Arc::clone(&wire));
        let left =
            given_up_at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let tuning = ConnectionTuning::default()
            .mem_channel_bound(QUEUE_BOUND)
            // What waits is bounded before it gets there; see `flow`.
            .buffered_writes_high_water(usize::MAX);
        match amiquip::Connection::insecure_open_stream(stream, self.amqp_options(left), tuning) {
            Ok(amqp) => Ok(Dialed { amqp, kill, wire, endpoint }),
            Err(error) => Err(self.refused(error, &endpoint, wire.ended_by_peer())),
        }
    }

    fn refused(&self, error: amiquip::Error, endpoint: &str, ended_by_peer: bool) -> Failure {
        let user = match &self.options.credentials {
            Credentials::Plain { user, .. } => user,
            _ => "(client certificate)",
        };
        let ended_by_peer = ended_by_peer && !self.attempt.is_abandoned();
        let attempted = Attempted {
            endpoint,
            user,
            vhost: &self.options.vhost,
            ended_by_peer,
            accepted_before: self.attempt.accepted_before,
        };
        match error::handshake(error, &attempted) {
            None => Failure::Slow,
            Some(error @ Error::Authentication { .. }) => Failure::Final(error),
            Some(error) => Failure::Failed(error),
        }
    }

    fn prepare(&self, socket: &TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let interval = self.options.heartbeat.max(Duration::from_secs(10));
        SockRef::from(socket)
            .set_tcp_keepalive(&TcpKeepalive::new().with_time(interval * 3).with_interval(interval))
    }

    fn amqp_options(&self, silence: Duration) -> amiquip::ConnectionOptions<Placeholder> {
        amiquip::ConnectionOptions::default()
            .auth(Placeholder { mechanism: start::mechanism(&self.options.credentials) })
            .virtual_host(self.options.vhost.as_str())
            .channel_max(self.options.channel_max)
            .frame_max(self.options.frame_max)
            .heartbeat(u16::try_from(self.options.heartbeat.as_secs()).unwrap_or(u16::MAX))
            .connection_timeout(Some(silence))
    }

    fn secure(
        &self,
        socket: TcpStream,
        host: &str,
        endpoint: &str,
        given_up_at: Instant,
    ) -> Result<(Source, Sink), Failure> {
        if self.options.scheme == Scheme::Amqps {
            return self.secure_with_tls(socket, host, endpoint, given_up_at);
        }
        let socket = mio::net::TcpStream::from_stream(socket).map_err(|error| {
            Failure::Failed(connect_error(endpoint, "setting socket options failed", Some(error)))
        })?;
        Ok((Source::Plain(socket), Sink::Plain))
    }

    #[cfg(feature = "tls")]
    fn secure_with_tls(
        &self,
        socket: TcpStream,
        host: &str,
        endpoint: &str,
        given_up_at: Instant,
    ) -> Result<(Source, Sink), Failure> {
        use crate::tls;

        self.attempt.step(format!("TLS handshake with {endpoint}"));
        let config = tls::client_config(&self.options.tls).map_err(Failure::Final)?;
        let name = tls::server_name(&self.options.tls, host).map_err(Failure::Final)?;
        let left =
            given_up_at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let connected = socket
            .set_read_timeout(Some(left))
            .and_then(|()| socket.set_write_timeout(Some(left)))
            .and_then(|()| tls::TlsStream::connect(socket, config, name))
            .and_then(|stream| Ok((stream.socket().try_clone()?, stream)));
        match connected {
            Ok((socket, stream)) => {
                let stream = Arc::new(Mutex::new(stream));
                Ok((Source::Tls { socket, stream: Arc::clone(&stream) }, Sink::Tls(stream)))
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) =>
            {
                Err(Failure::Slow)
            }
            Err(error) => Err(Failure::Failed(connect_error(
                endpoint,
                "the TLS handshake failed",
                Some(error),
            ))),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn secure_with_tls(
        &self,
        _: TcpStream,
        _: &str,
        _: &str,
        _: Instant,
    ) -> Result<(Source, Sink), Failure> {
        Err(Failure::Final(Error::config("scheme", "amqps needs the feature `tls` of this crate")))
    }
}
