//! The parts of a connection that its threads share.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use carrot_amqp_wire::{ConnectionBlocked, Method};
use carrot_backend_memory::session::Session;
use carrot_core::backend::Event;
use carrot_listener::{PeerStream, ServedConnection};

use crate::close::Close;
use crate::outgoing::Outgoing;

/// The reply code of an end that an operator requested.
const CONNECTION_FORCED: u16 = 320;

/// The time after which a blocked write looks whether the connection is over.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The parts of a connection that its threads share.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) stream: PeerStream,
    /// Whether the peer begins with a TLS handshake.
    has_tls: bool,
    pub(crate) outgoing: Arc<Outgoing>,
    /// The session, once the peer has opened a virtual host.
    pub(crate) session: OnceLock<Session>,
    /// The heartbeat interval, in seconds; 0 for none.
    heartbeat: AtomicU16,
}

impl Peer {
    pub(crate) fn new(socket: TcpStream, has_tls: bool, frame_max: u32) -> Peer {
        Peer {
            stream: socket.into(),
            has_tls,
            outgoing: Arc::new(Outgoing::new(frame_max)),
            session: OnceLock::new(),
            heartbeat: AtomicU16::new(0),
        }
    }

    /// Limits each write to the socket.
    pub(crate) fn set_write_timeout(&self) -> io::Result<()> {
        self.stream.set_write_timeout(Some(WRITE_TIMEOUT))
    }

    /// Returns the heartbeat interval; `None` for no heartbeats.
    pub(crate) fn heartbeat(&self) -> Option<Duration> {
        let seconds = self.heartbeat.load(Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    pub(crate) fn set_heartbeat(&self, seconds: u16) {
        self.heartbeat.store(seconds, Ordering::Relaxed);
    }

    /// Reports an event of the session to the peer.
    pub(crate) fn report(&self, event: &Event, hears_blocked: bool) {
        match event {
            Event::Blocked { reason, .. } if hears_blocked => {
                let blocked = ConnectionBlocked { reason: reason.into() };
                self.outgoing.notify(0, &blocked.into());
            }
            Event::Unblocked { .. } if hears_blocked => {
                self.outgoing.notify(0, &Method::ConnectionUnblocked);
            }
            Event::Disconnected { .. } => self.close_socket(),
            _ => {}
        }
    }

    /// Closes the socket, which ends both threads.
    pub(crate) fn close_socket(&self) {
        self.outgoing.abandon();
        self.stream.shut_down();
    }
}

impl ServedConnection for Peer {
    fn request_close(&self) {
        if self.has_tls && !self.stream.has_tls() {
            // No method can be sent before the end of the TLS handshake.
            return self.cut();
        }
        let reason = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
        self.outgoing.close(&Close::connection(CONNECTION_FORCED, reason));
        // A reader that waits because publishers are blocked would not read the answer.
        self.session
            .get()
            .filter(|session| session.is_blocked())
            .inspect(|session| session.close());
    }

    fn cut(&self) {
        self.close_socket();
        if let Some(session) = self.session.get() {
            session.close();
        }
    }
}
