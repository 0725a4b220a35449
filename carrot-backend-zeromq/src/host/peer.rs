//! The parts of a connection that its threads share.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use carrot_backend_memory::session::Session;
use carrot_core::Error;
use carrot_core::backend::Event;
use carrot_listener::{OutgoingQueue, PeerStream, ServedConnection, ServerTlsAcceptor};

use crate::calls::event::{put_blocked, put_end, put_unblocked};
use crate::heartbeat::Heartbeat;
use crate::host::item::HostItem;

/// The longest time after which a blocked write looks whether the connection is over.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The parts of a connection that its threads share.
#[derive(Debug)]
pub(crate) struct HostPeer {
    pub(crate) stream: PeerStream,
    pub(crate) outgoing: Arc<OutgoingQueue<HostItem>>,
    /// Whether the peer answers PING. Before ZMTP 3.1 none does.
    pub(crate) has_heartbeats: AtomicBool,
    /// Whether nothing more reaches the peer, and what has arrived from it is still handled.
    pub(crate) is_draining: AtomicBool,
    /// The session, once the peer has said hello.
    pub(crate) session: OnceLock<Session>,
    write_timeout: Duration,
}

impl HostPeer {
    pub(crate) fn new(stream: PeerStream, heartbeat: Heartbeat) -> io::Result<HostPeer> {
        stream.set_nodelay();
        let write_timeout = heartbeat.patience().unwrap_or(WRITE_TIMEOUT).min(WRITE_TIMEOUT);
        stream.set_write_timeout(Some(write_timeout))?;
        Ok(HostPeer {
            stream,
            outgoing: Arc::default(),
            has_heartbeats: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            session: OnceLock::new(),
            write_timeout,
        })
    }

    /// Performs the TLS handshake.
    ///
    /// Blocks at most until `deadline`.
    pub(crate) fn secure(
        &self,
        acceptor: &ServerTlsAcceptor,
        deadline: Option<Instant>,
    ) -> io::Result<()> {
        self.stream.accept_tls(acceptor, deadline)?;
        self.stream.set_write_timeout(Some(self.write_timeout))
    }

    /// Reports an event of the session to the peer.
    pub(crate) fn report(&self, event: &Event) {
        match event {
            Event::Blocked { reason, .. } => {
                self.outgoing.send(HostItem::message(|out| put_blocked(out, reason)));
            }
            Event::Unblocked { .. } => self.outgoing.send(HostItem::message(put_unblocked)),
            Event::Disconnected { .. } => self.close_socket(),
            _ => {}
        }
    }

    /// Sends the reason of the end as the last message.
    pub(crate) fn end(&self, error: &Error) {
        self.outgoing.seal(Some(HostItem::message(|out| put_end(out, error))));
    }

    /// Closes the socket, which ends both threads.
    pub(crate) fn close_socket(&self) {
        self.outgoing.abandon();
        self.stream.shut_down();
    }
}

impl ServedConnection for HostPeer {
    fn request_close(&self) {
        match self.session.get() {
            Some(session) => {
                self.end(&Error::disconnected("the host stops"));
                self.outgoing.end();
                // A reader that waits because publishers are blocked would not see the peer close.
                if session.is_blocked() {
                    session.close();
                }
            }
            // No message can be sent before the end of the handshake.
            None => self.close_socket(),
        }
    }

    fn cut(&self) {
        self.close_socket();
        if let Some(session) = self.session.get() {
            session.close();
        }
    }
}
