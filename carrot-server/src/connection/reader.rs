//! The thread that reads from the socket of a connection, and does the work of the connection.

use std::cell::OnceCell;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    FRAME_OVERHEAD, Frame, FrameKind, FramePart, FrameReader, Method, WireError,
};
use carrot_backend_memory::session::Session;
use carrot_listener::{
    ConnectionRegistry, MemoryBudget, Registration, ServerTlsAcceptor, TlsIncoming,
};

use crate::channel::ChannelContext;
use crate::close::Close;
use crate::connection::handshake::{
    HandshakeFailure, HandshakeProgress, OpenedConnection, REFUSAL_PAUSE, ServerHandshake,
};
use crate::connection::peer::Peer;
use crate::connection::running::RunningConnection;
use crate::connection::writer;
use crate::outgoing::Outgoing;
use crate::settings::ServerSettings;
use crate::tls;

/// The size of the buffer for octets of a peer, in bytes.
const BUFFER: usize = 32 << 10;
/// The first octets of a TLS handshake.
const TLS_HANDSHAKE: [u8; 2] = [0x16, 0x03];
/// The time that a peer has to answer `connection.close`.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// The size of the stack of each thread of a connection, in bytes.
pub(crate) const STACK: usize = 512 << 10;

/// The parts of a server that a connection uses.
#[derive(Clone, Copy)]
pub(crate) struct ServerContext<'s> {
    pub(crate) settings: &'s ServerSettings,
    pub(crate) tls: Option<&'s ServerTlsAcceptor>,
    pub(crate) budget: &'s MemoryBudget,
    pub(crate) registry: &'s ConnectionRegistry,
}

/// Serves a connection until it ends. Runs on a thread of its own, and starts the writer.
pub(crate) fn run(socket: TcpStream, mut registration: Registration, context: ServerContext<'_>) {
    // A failure slows the connection down at most.
    let _ = socket.set_nodelay(true);
    let peer =
        Arc::new(Peer::new(socket, context.tls.is_some(), context.settings.least_frame_max()));
    if peer.set_write_timeout().is_err() || !registration.add(Arc::clone(&peer) as _) {
        return;
    }
    let ending = Ending(&peer);
    let deadline = Instant::now().checked_add(context.settings.handshake_timeout);
    if let Some(acceptor) = context.tls {
        let secured = peer.stream.secure(|socket| tls::accept(acceptor, socket, deadline));
        if let Err(error) = secured.and_then(|()| peer.set_write_timeout()) {
            // Connections that the server itself closes, or that only look for a port.
            if context.registry.is_stopping() || error.kind() == ErrorKind::UnexpectedEof {
                return log::debug!("a connection ended in its TLS handshake: {error}");
            }
            return log::warn!("a connection was closed in its TLS handshake: {error}");
        }
    }
    let written = Arc::clone(&peer);
    let writer = thread::Builder::new()
        .name("carrot-server-writer".into())
        .stack_size(STACK)
        .spawn(move || writer::run(&written));
    let writer = match writer {
        Ok(writer) => writer,
        Err(error) => return log::warn!("a connection was refused: no thread: {error}"),
    };
    match read(&peer, &mut registration, context, deadline) {
        Ok(()) => peer.outgoing.end(),
        Err(error) => {
            log::debug!("a connection was lost: {error}");
            peer.close_socket();
        }
    }
    // The messages of the peer return before it learns that the connection has ended.
    peer.session.get().inspect(|session| Session::close(session));
    if writer.join().is_err() {
        log::error!("the writer of a connection panicked");
    }
    drop(ending);
}

/// Ends a connection, also after a panic.
struct Ending<'p>(&'p Peer);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.close_socket();
        if let Some(session) = self.0.session.get() {
            session.close();
        }
    }
}

/// The stage of a connection.
enum Stage<'c> {
    Handshake(ServerHandshake),
    Running(RunningConnection<'c>),
    /// A close was sent. Only its answer counts.
    Closing,
    /// Octets follow a close that are no frames.
    Discarding,
}

/// Whether a connection continues after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadProgress {
    Continue,
    /// Too much waits for the peer. Octets may be left.
    Full,
    End,
}

/// Does the work of a connection.
pub(crate) struct PeerReader<'c> {
    peer: &'c Arc<Peer>,
    outgoing: &'c Arc<Outgoing>,
    registration: &'c mut Registration,
    context: ServerContext<'c>,
    opened: &'c OnceCell<OpenedConnection>,
    stage: Stage<'c>,
    /// The time until which the handshake, or the answer to a close, has to be complete.
    deadline: Option<Instant>,
}

/// Reads until the connection ends in order.
///
/// # Errors
/// The socket is lost, or the peer is silent.
fn read(
    peer: &Arc<Peer>,
    registration: &mut Registration,
    context: ServerContext<'_>,
    deadline: Option<Instant>,
) -> io::Result<()> {
    let opened = OnceCell::new();
    let mut reader = PeerReader::new(peer, registration, context, &opened, deadline);
    let mut frames = FrameReader::for_server(frame_limit(peer.outgoing.frame_max()));
    let mut buffer = vec![0; BUFFER];
    let mut records = TlsIncoming::default();
    let mut is_first = true;
    loop {
        reader.set_timeout()?;
        let count = match peer.stream.read(&mut records, &mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut octets = buffer.get(..count).unwrap_or_default();
        let speaks_tls = std::mem::take(&mut is_first) && octets.starts_with(&TLS_HANDSHAKE);
        if speaks_tls && !peer.stream.has_tls() {
            log::warn!("a connection is closed: the client speaks TLS, and the server has none");
        }
        loop {
            let progress = reader.octets(&mut frames, &mut octets);
            if progress == ReadProgress::End {
                return Ok(());
            }
            peer.outgoing.flush();
            if !peer.outgoing.wait_for_room() {
                return Err(ErrorKind::BrokenPipe.into());
            }
            if progress == ReadProgress::Continue {
                break;
            }
        }
    }
}

impl<'c> PeerReader<'c> {
    pub(crate) fn new(
        peer: &'c Arc<Peer>,
        registration: &'c mut Registration,
        context: ServerContext<'c>,
        opened: &'c OnceCell<OpenedConnection>,
        deadline: Option<Instant>,
    ) -> PeerReader<'c> {
        PeerReader {
            peer,
            outgoing: &peer.outgoing,
            registration,
            context,
            opened,
            stage: Stage::Handshake(ServerHandshake::new()),
            deadline,
        }
    }

    /// Handles octets of the peer, and removes them.
    pub(crate) fn octets(&mut self, frames: &mut FrameReader, octets: &mut &[u8]) -> ReadProgress {
        self.note_close_of_another_thread();
        while !matches!(self.stage, Stage::Discarding) {
            let next = match frames.read(octets) {
                Ok(None) => break,
                Ok(Some(part)) => self.part(part),
                Err(error) => self.malformed(&Close::malformed_frame(&error)),
            };
            if next == ReadProgress::End {
                return ReadProgress::End;
            }
            frames.set_frame_max(frame_limit(self.outgoing.frame_max()));
            // A few octets can ask for many large messages.
            if self.outgoing.is_full() {
                return ReadProgress::Full;
            }
        }
        ReadProgress::Continue
    }

    /// Limits the next read: by the deadline, or by the heartbeats of the peer.
    fn set_timeout(&self) -> io::Result<()> {
        let timeout = match self.deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(ErrorKind::TimedOut.into());
                }
                Some(left)
            }
            // A peer is lost that was silent for two intervals.
            None => self.peer.heartbeat().map(|interval| interval.saturating_mul(2)),
        };
        self.peer.stream.set_read_timeout(timeout)
    }

    /// Notes that another thread, which stops the server, has sent a close.
    fn note_close_of_another_thread(&mut self) {
        if matches!(self.stage, Stage::Handshake(_) | Stage::Running(_))
            && self.outgoing.is_sealed()
        {
            self.enter(Stage::Closing);
        }
    }

    fn enter(&mut self, stage: Stage<'c>) {
        self.stage = stage;
        if matches!(self.stage, Stage::Closing | Stage::Discarding) {
            self.deadline = Instant::now().checked_add(CLOSE_TIMEOUT);
            self.peer.session.get().inspect(|session| Session::close(session));
        }
    }

    fn part(&mut self, part: FramePart<'_>) -> ReadProgress {
        match part {
            FramePart::ProtocolHeader(header) => match &mut self.stage {
                Stage::Handshake(handshake) => {
                    let greeted = handshake.greet(header, self.peer, self.context.settings);
                    greeted.map_or_else(|failure| self.refuse(failure), |()| ReadProgress::Continue)
                }
                _ => ReadProgress::Continue,
            },
            FramePart::Frame(frame) if frame.kind == FrameKind::Heartbeat => ReadProgress::Continue,
            FramePart::Frame(frame) if frame.channel == 0 => self.connection_frame(&frame),
            FramePart::Frame(frame) => match &mut self.stage {
                Stage::Running(running) => {
                    let handled = running.frame(&frame);
                    self.or_close(handled)
                }
                Stage::Handshake(_) => self.fail_handshake(&unexpected_frame()),
                Stage::Closing | Stage::Discarding => ReadProgress::Continue,
            },
            FramePart::Body(part) => match &mut self.stage {
                Stage::Running(running) => {
                    let handled = running.body(&part);
                    self.or_close(handled)
                }
                Stage::Handshake(_) => self.fail_handshake(&unexpected_frame()),
                Stage::Closing | Stage::Discarding => ReadProgress::Continue,
            },
        }
    }

    fn connection_frame(&mut self, frame: &Frame<'_>) -> ReadProgress {
        if frame.kind != FrameKind::Method {
            return match self.stage {
                Stage::Handshake(_) => self.fail_handshake(&unexpected_frame()),
                Stage::Closing | Stage::Discarding => ReadProgress::Continue,
                _ => self.close(&unexpected_frame()),
            };
        }
        let method = match Method::read(frame.payload) {
            Ok(method) => method,
            Err(error) => match self.stage {
                Stage::Closing | Stage::Discarding => return ReadProgress::Continue,
                Stage::Handshake(_) => return ReadProgress::End,
                // The reader of RabbitMQ decodes these methods, and fails over them.
                _ if !matches!(error, WireError::UnknownMethod { .. }) => {
                    return self.close(&Close::undecodable());
                }
                _ => return self.close(&Close::malformed_method(&error, frame.payload)),
            },
        };
        match (&mut self.stage, &method) {
            (Stage::Closing | Stage::Discarding, Method::ConnectionCloseOk) => ReadProgress::End,
            // Both sides close the connection.
            (Stage::Closing | Stage::Discarding, Method::ConnectionClose(_)) => ReadProgress::End,
            (Stage::Closing | Stage::Discarding, _) => ReadProgress::Continue,
            (Stage::Running(_), Method::ConnectionClose(_)) => {
                // The channels return their messages before the peer learns of the end.
                self.enter(Stage::Closing);
                self.outgoing.seal_with(Some(&Method::ConnectionCloseOk));
                ReadProgress::End
            }
            (Stage::Running(running), method) => {
                let handled = running.connection_method(method);
                self.or_close(handled)
            }
            (Stage::Handshake(handshake), method) => {
                match handshake.method(method, self.peer, self.context.settings) {
                    Ok(HandshakeProgress::Waiting) => ReadProgress::Continue,
                    Ok(HandshakeProgress::Authenticated) => {
                        self.registration.note_authenticated();
                        ReadProgress::Continue
                    }
                    Ok(HandshakeProgress::Open(opened)) => self.open(opened),
                    Err(failure) => self.refuse(failure),
                }
            }
        }
    }

    fn open(&mut self, opened: OpenedConnection) -> ReadProgress {
        let opened = self.opened.get_or_init(|| opened);
        let Some(session) = self.peer.session.get() else { return ReadProgress::End };
        let context = ChannelContext {
            session,
            outgoing: self.outgoing,
            budget: self.context.budget,
            vhost: &opened.vhost,
            forwarding: opened.forwarding,
            refuses_large_headers: opened.refuses_large_headers,
            max_body: opened.max_body,
            hears_cancels: opened.capabilities.consumer_cancel_notify,
        };
        self.stage = Stage::Running(RunningConnection::new(context, opened.channel_max));
        self.deadline = None;
        ReadProgress::Continue
    }

    fn or_close(&mut self, handled: Result<(), Close>) -> ReadProgress {
        handled.map_or_else(|close| self.close(&close), |()| ReadProgress::Continue)
    }

    /// Sends a close, and waits for its answer.
    fn close(&mut self, close: &Close) -> ReadProgress {
        log::debug!("a connection is closed: {} {}", close.code, close.text);
        self.enter(Stage::Closing);
        self.outgoing.close(close);
        ReadProgress::Continue
    }

    /// Ends a connection whose handshake is out of order. RabbitMQ answers only if nothing but the
    /// virtual host is missing.
    fn fail_handshake(&mut self, close: &Close) -> ReadProgress {
        match &self.stage {
            Stage::Handshake(handshake) if !handshake.awaits_open() => ReadProgress::End,
            _ => self.close(close),
        }
    }

    /// Sends a close over octets after which no frame can be found.
    fn malformed(&mut self, close: &Close) -> ReadProgress {
        if let Stage::Handshake(handshake) = &self.stage {
            handshake.name_version(self.outgoing);
            if self.fail_handshake(close) == ReadProgress::End {
                return ReadProgress::End;
            }
        }
        self.close(close);
        self.enter(Stage::Discarding);
        ReadProgress::Continue
    }

    fn refuse(&mut self, failure: HandshakeFailure) -> ReadProgress {
        match failure {
            HandshakeFailure::Close(close) => self.close(&close),
            HandshakeFailure::Credentials(close) => {
                self.context.registry.pause(REFUSAL_PAUSE);
                match close {
                    Some(close) => self.close(&close),
                    None => ReadProgress::End,
                }
            }
            HandshakeFailure::Silent => ReadProgress::End,
        }
    }
}

/// Returns the size above which a frame is refused. RabbitMQ compares the payload with `frame_max`,
/// because some clients forget the octets around it.
pub(crate) fn frame_limit(frame_max: u32) -> u32 {
    frame_max.saturating_add(FRAME_OVERHEAD as u32)
}

fn unexpected_frame() -> Close {
    Close::unexpected_frame("expected method frame, got non method frame instead")
}
