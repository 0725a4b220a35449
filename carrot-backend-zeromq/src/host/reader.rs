//! Reads from the socket of a connection, and does the work of the connection.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use carrot_backend_memory::session::{Session, SessionSettings};
use carrot_core::Error;
use carrot_core::backend::{Body, Printable};
use carrot_listener::{BudgetShare, Registration, TlsIncoming};

use crate::calls::event::{put_failed, put_welcome};
use crate::calls::fields::{CallError, FieldReader, MessageStart};
use crate::calls::request::{Request, VERSION, kind};
use crate::host::calls::{ConnectionEnd, HostCalls};
use crate::host::item::HostItem;
use crate::host::peer::HostPeer;
use crate::host::settings::HostContext;
use crate::zmtp::command::{self, Command};
use crate::zmtp::frame::{MessageLimits, ZmtpError, ZmtpFrame, ZmtpFrameReader};
use crate::zmtp::handshake::{HostHandshake, ZmtpFailure, ZmtpProgress};

/// The size of the buffer for octets of a peer, in bytes.
const BUFFER: usize = 32 << 10;
/// The largest head of a message, in octets. Its largest part are the headers.
pub(crate) const LARGEST_HEAD: u64 = 1 << 20;
/// The limits before the hello: a head has room for a hello, and there is no body.
const EARLY_LIMITS: MessageLimits = MessageLimits { head: 4 << 10, body: 0 };
/// The memory of a head that is kept for the next one, in bytes.
const KEPT_HEAD: usize = 4 << 10;
/// The longest text about a peer in a log line, in bytes.
const SHOWN: usize = 300;
/// The pause before wrong credentials are answered, which slows guessing down.
const REFUSAL_PAUSE: Duration = Duration::from_millis(250);
/// The time that a peer has to close its socket after the last message.
pub(crate) const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The stage of a connection.
enum HostStage<'c> {
    Handshake(HostHandshake),
    /// The peer has to say hello.
    Hello {
        user: String,
    },
    Calls(Box<HostCalls<'c>>),
    /// The last message was sent. Nothing counts but the end.
    Ended,
}

/// Does the work of a connection.
pub(crate) struct HostReader<'c> {
    peer: &'c Arc<HostPeer>,
    registration: Registration,
    context: HostContext<'c>,
    stage: HostStage<'c>,
    /// The largest frames of a message at this stage.
    limits: MessageLimits,
    /// The head of a message whose body comes next; empty otherwise.
    head: Vec<u8>,
    /// The time until which the handshake has to be complete, or the peer has to end.
    deadline: Option<Instant>,
}

/// The reason why octets end a connection.
enum ReaderStop {
    Zmtp(ZmtpError),
    Handshake(ZmtpFailure),
    Call(ConnectionEnd),
    Hello(Error),
    /// The socket is lost.
    Lost,
}

impl<'c> HostReader<'c> {
    pub(crate) fn new(
        peer: &'c Arc<HostPeer>,
        registration: Registration,
        context: HostContext<'c>,
        deadline: Option<Instant>,
    ) -> HostReader<'c> {
        let mut greeting = Vec::new();
        let handshake = HostHandshake::start(!context.settings.users.is_empty(), &mut greeting);
        peer.outgoing.send(HostItem::Frames(greeting));
        HostReader {
            peer,
            registration,
            context,
            stage: HostStage::Handshake(handshake),
            limits: EARLY_LIMITS,
            head: Vec::new(),
            deadline,
        }
    }

    /// Reads until the connection ends.
    ///
    /// # Errors
    /// The socket is lost, or the peer is silent.
    pub(crate) fn read(&mut self) -> io::Result<()> {
        let mut frames = ZmtpFrameReader::new(self.limits);
        let mut unfinished = self.context.budget.share();
        let mut held = 0;
        let mut records = TlsIncoming::default();
        let mut buffer = vec![0; BUFFER];
        loop {
            let read =
                self.set_timeout().and_then(|()| self.peer.stream.read(&mut records, &mut buffer));
            let count = match read {
                // The peer closes its socket after the last message.
                Ok(0) if self.peer.outgoing.is_sealed() => return Ok(()),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // A program that only receives does not learn otherwise that its socket has
                // connected again.
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
                        && matches!(self.stage, HostStage::Hello { .. }) =>
                {
                    self.end(early_call());
                    self.peer.outgoing.flush();
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.peer.outgoing.is_sealed() && !self.is_draining() {
                self.enter_end();
            }
            let octets = buffer.get(..count).unwrap_or_default();
            self.handle(&mut frames, octets)?;
            self.account(&frames, &mut unfinished, &mut held)?;
            self.peer.outgoing.flush();
            if !self.wait_for_room() {
                return Err(ErrorKind::BrokenPipe.into());
            }
        }
    }

    /// Handles octets of the peer. Ends the connection over those that it refuses.
    ///
    /// # Errors
    /// The socket is lost.
    pub(crate) fn handle(&mut self, frames: &mut ZmtpFrameReader, octets: &[u8]) -> io::Result<()> {
        match self.octets(frames, octets) {
            Ok(()) => Ok(()),
            Err(ReaderStop::Lost) => Err(ErrorKind::BrokenPipe.into()),
            Err(end) => {
                self.end(end);
                Ok(())
            }
        }
    }

    /// Waits until the peer has read enough. Returns `false` once the socket is lost.
    fn wait_for_room(&self) -> bool {
        let is_ended = matches!(self.stage, HostStage::Ended);
        self.peer.outgoing.wait_for_room() || is_ended || self.is_draining()
    }

    /// Whether nothing more reaches the peer, and what has arrived from it is still handled.
    fn is_draining(&self) -> bool {
        self.peer.is_draining.load(Ordering::Acquire)
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
            None if self.peer.has_heartbeats.load(Ordering::Relaxed) => {
                self.context.settings.heartbeat.patience()
            }
            None => None,
        };
        self.peer.stream.set_read_timeout(timeout)
    }

    /// Counts the memory of a message that has not arrived completely.
    fn account<'b>(
        &self,
        frames: &ZmtpFrameReader,
        share: &mut BudgetShare<'b>,
        held: &mut usize,
    ) -> io::Result<()>
    where
        'c: 'b,
    {
        let head = if self.head.is_empty() { 0 } else { self.head.capacity() };
        let now = frames.unfinished_bytes() + head;
        if now < *held {
            *share = self.context.budget.share();
            *held = 0;
        }
        if share.grow(now - *held) {
            *held = now;
            return Ok(());
        }
        let reason = format!(
            "the messages that have not arrived completely exceed {} bytes, the limit of the host",
            self.context.budget.limit()
        );
        Err(io::Error::new(ErrorKind::OutOfMemory, reason))
    }

    /// Handles octets of the peer.
    fn octets(
        &mut self,
        frames: &mut ZmtpFrameReader,
        mut octets: &[u8],
    ) -> Result<(), ReaderStop> {
        if let HostStage::Handshake(handshake) = &mut self.stage {
            let mut answer = Vec::new();
            let greeted = handshake.greeting(&mut octets, &mut answer);
            self.send(answer);
            if !greeted.map_err(ReaderStop::Handshake)? {
                return Ok(());
            }
        }
        while !matches!(self.stage, HostStage::Ended) {
            frames.set_limits(self.limits);
            match frames.read(&mut octets) {
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => self.frame(frame)?,
                // A message that is no hello has another reason to be refused than its size.
                Err(ZmtpError::TooLarge { .. })
                    if matches!(self.stage, HostStage::Hello { .. }) =>
                {
                    return Err(early_call());
                }
                Err(error) => return Err(ReaderStop::Zmtp(error)),
            }
            // Small calls can have large answers.
            if self.peer.outgoing.is_full() && !self.wait_for_room() {
                return Err(ReaderStop::Lost);
            }
        }
        Ok(())
    }

    fn send(&self, frames: Vec<u8>) {
        if !frames.is_empty() {
            self.peer.outgoing.add(HostItem::Frames(frames));
        }
    }

    fn frame(&mut self, frame: ZmtpFrame<'_>) -> Result<(), ReaderStop> {
        match frame {
            ZmtpFrame::Command(octets) => self.command(&octets),
            // Nothing is kept for a peer that has not proved who it is.
            ZmtpFrame::Head { .. } if matches!(self.stage, HostStage::Handshake(_)) => {
                let problem = "a message is out of order: the handshake is not complete";
                Err(ReaderStop::Zmtp(ZmtpError::Command { problem }))
            }
            ZmtpFrame::Head { has_body: true, .. }
                if matches!(self.stage, HostStage::Hello { .. }) =>
            {
                Err(early_call())
            }
            ZmtpFrame::Head { octets, has_body: true } => {
                self.head.extend_from_slice(&octets);
                Ok(())
            }
            ZmtpFrame::Head { octets, has_body: false } => self.message(&octets, None),
            ZmtpFrame::Body(octets) => {
                let head = std::mem::take(&mut self.head);
                let handled = self.message(&head, Some(Body::from(octets)));
                if head.capacity() <= KEPT_HEAD {
                    self.head = head;
                    self.head.clear();
                }
                handled
            }
        }
    }

    fn command(&mut self, octets: &[u8]) -> Result<(), ReaderStop> {
        let mut answer = Vec::new();
        let HostStage::Handshake(handshake) = &mut self.stage else {
            return match Command::read(octets).map_err(ReaderStop::Zmtp)? {
                Command::Ping { context } => {
                    command::pong(&mut answer, context);
                    self.send(answer);
                    Ok(())
                }
                Command::Pong => Ok(()),
                _ => {
                    let problem = "a command is out of order";
                    Err(ReaderStop::Zmtp(ZmtpError::Command { problem }))
                }
            };
        };
        let progress = handshake.command(octets, &self.context.settings.users, &mut answer);
        self.peer.has_heartbeats.store(handshake.has_heartbeats(), Ordering::Relaxed);
        if matches!(progress, Err(ZmtpFailure::Credentials)) {
            self.context.registry.pause(REFUSAL_PAUSE);
        }
        self.send(answer);
        match progress.map_err(ReaderStop::Handshake)? {
            ZmtpProgress::Waiting => Ok(()),
            ZmtpProgress::Open { user } => {
                self.registration.note_authenticated();
                self.stage = HostStage::Hello { user: user.unwrap_or_else(|| "guest".into()) };
                Ok(())
            }
        }
    }

    fn message(&mut self, head: &[u8], body: Option<Body>) -> Result<(), ReaderStop> {
        let malformed = |error| ReaderStop::Call(ConnectionEnd::Malformed(error));
        let mut fields = FieldReader::new(head);
        let start = fields.start().map_err(malformed)?;
        if matches!(self.stage, HostStage::Hello { .. }) && start.kind != kind::HELLO {
            return Err(early_call());
        }
        let request = Request::read(start, fields).map_err(malformed)?;
        match (&mut self.stage, request, body) {
            (HostStage::Calls(calls), Request::Publish(head), Some(body)) => {
                calls.publish(start, head, body).map_err(ReaderStop::Call)
            }
            (_, Request::Publish(_), None) => {
                Err(malformed(CallError { field: "body", problem: "is missing" }))
            }
            (_, _, Some(_)) => {
                Err(malformed(CallError { field: "body", problem: "belongs to no publication" }))
            }
            (HostStage::Calls(calls), request, None) => {
                calls.call(start, request).map_err(ReaderStop::Call)
            }
            (HostStage::Hello { user }, Request::Hello { version, session, name }, None) => {
                let user = std::mem::take(user);
                if version != VERSION {
                    return Err(self.refuse_version(start, version));
                }
                self.hello(start, &user, session, name);
                Ok(())
            }
            (HostStage::Handshake(_) | HostStage::Hello { .. }, _, None) => {
                Err(malformed(CallError { field: "kind", problem: "is not expected" }))
            }
            (HostStage::Ended, _, None) => Ok(()),
        }
    }

    fn refuse_version(&self, start: MessageStart, version: u8) -> ReaderStop {
        let error = Error::invalid(
            "version",
            &version.to_string(),
            "version 1, the only one that this host speaks",
        );
        let call = start.number;
        self.peer.outgoing.add(HostItem::message(|out| put_failed(out, 0, call, &error)));
        ReaderStop::Hello(error)
    }

    /// Opens the session.
    fn hello(&mut self, start: MessageStart, user: &str, session_id: [u8; 16], name: &str) {
        let settings = SessionSettings::new(user).with_name(name);
        let observed = Arc::downgrade(self.peer);
        let session = self.context.settings.broker.open_session(&settings, move |event| {
            if let Some(peer) = observed.upgrade() {
                peer.report(event);
            }
        });
        let session = self.peer.session.get_or_init(|| session);
        let traits = self.context.settings.traits();
        let call = start.number;
        self.peer
            .outgoing
            .add(HostItem::message(|out| put_welcome(out, call, &session_id, traits)));
        let calls = HostCalls::new(session, self.context.settings, &self.peer.outgoing);
        self.stage = HostStage::Calls(Box::new(calls));
        self.limits = MessageLimits { head: LARGEST_HEAD, body: self.context.settings.max_body() };
        self.deadline = None;
    }

    /// Ends the connection with a reason.
    fn end(&mut self, end: ReaderStop) {
        let peer = self.peer;
        match end {
            ReaderStop::Lost => {}
            ReaderStop::Call(ConnectionEnd::Goodbye) => {
                peer.outgoing.seal(None);
            }
            ReaderStop::Call(ConnectionEnd::Refused(error)) => {
                log::debug!("a connection is closed: {}", Printable::new(SHOWN, &error));
                peer.end(&Error::disconnected(error.to_string()));
            }
            ReaderStop::Call(ConnectionEnd::Malformed(error)) => {
                log::debug!("a connection is closed: {error}");
                peer.end(&Error::Backend { reason: error.to_string(), source: None });
            }
            ReaderStop::Hello(error) => {
                log::debug!("a connection is refused: {}", Printable::new(SHOWN, &error));
                peer.end(&error);
            }
            ReaderStop::Zmtp(error) => {
                log::debug!("a connection is closed: {error}");
                if matches!(self.stage, HostStage::Calls(_) | HostStage::Hello { .. }) {
                    peer.end(&Error::Backend { reason: error.to_string(), source: None });
                } else {
                    peer.outgoing.seal(None);
                }
            }
            ReaderStop::Handshake(failure) => {
                log::warn!("a connection is refused: {}", Printable::new(SHOWN, &failure));
                peer.outgoing.seal(None);
            }
        }
        self.enter_end();
    }

    /// Waits for the peer to close its socket, and for nothing else.
    fn enter_end(&mut self) {
        if !matches!(self.stage, HostStage::Ended) {
            // The channels end before the session.
            self.stage = HostStage::Ended;
            self.deadline = Instant::now().checked_add(END_TIMEOUT);
            self.peer.session.get().inspect(|session| Session::close(session));
            self.peer.outgoing.end();
        }
    }
}

/// Returns the answer to a message before the hello, or to none in time. A socket of libzmq
/// connects again without a word to its program.
fn early_call() -> ReaderStop {
    ReaderStop::Hello(Error::closed(
        "channel of a connection that was lost; the first message has to be hello",
    ))
}
