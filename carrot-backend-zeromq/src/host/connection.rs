//! A connection from its socket to its end: the thread that reads, and the one that writes.

use std::io::{self, ErrorKind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use carrot_backend_memory::session::Session;
use carrot_listener::Registration;

use crate::host::peer::HostPeer;
use crate::host::reader::{END_TIMEOUT, HostReader};
use crate::host::settings::HostContext;
use crate::host::writer;

/// The size of the stack of each thread of a connection, in bytes.
pub(crate) const STACK: usize = 512 << 10;

/// Serves a connection until it ends. Runs on a thread of its own, and starts the writer.
pub(crate) fn run(peer: HostPeer, registration: Registration, context: HostContext<'_>) {
    let peer = Arc::new(peer);
    if !registration.add(Arc::clone(&peer) as _) {
        return;
    }
    let ending = PeerEnding(&peer);
    let deadline = Instant::now().checked_add(context.settings.handshake_timeout);
    if !secure(&peer, context, deadline) {
        return;
    }
    let written = Arc::clone(&peer);
    let heartbeat = context.settings.heartbeat;
    let (reading, is_read) = mpsc::channel::<()>();
    let writer = thread::Builder::new()
        .name("carrot-zmq-writer".into())
        .stack_size(STACK)
        .spawn(move || writer::run(&written, heartbeat, &is_read));
    let writer = match writer {
        Ok(writer) => writer,
        Err(error) => return log::warn!("a connection was refused: no thread: {error}"),
    };
    let mut reader = HostReader::new(&peer, registration, context, deadline);
    if let Err(error) = reader.read() {
        log::debug!("a connection was lost: {error}");
        peer.close_socket();
    }
    // The messages of the peer return before it learns that the connection has ended.
    peer.session.get().inspect(|session| Session::close(session));
    peer.outgoing.end();
    drop(reading);
    if writer.join().is_err() {
        log::error!("the writer of a connection panicked");
    }
    drop(reader);
    drop(ending);
}

/// Performs the TLS handshake, if the host has TLS. Returns whether the connection continues.
fn secure(peer: &HostPeer, context: HostContext<'_>, deadline: Option<Instant>) -> bool {
    let Some(acceptor) = context.tls else { return true };
    let Err(error) = peer.secure(acceptor, deadline) else { return true };
    let error = in_words(error);
    // Connections that the host itself closes, or that only look for a port.
    if context.registry.is_stopping() || error.kind() == ErrorKind::UnexpectedEof {
        log::debug!("a connection ended in its TLS handshake: {error}");
    } else {
        log::warn!("a connection was closed in its TLS handshake: {error}");
    }
    if error.kind() == ErrorKind::InvalidData {
        // An alert with the reason is on its way.
        peer.stream.linger(Instant::now() + END_TIMEOUT);
    }
    false
}

/// Returns the error of a handshake, with the meaning of a deadline that has passed.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, "the client did not finish it in time")
        }
        _ => error,
    }
}

/// Ends a connection, also after a panic.
struct PeerEnding<'p>(&'p HostPeer);

impl Drop for PeerEnding<'_> {
    fn drop(&mut self) {
        self.0.close_socket();
        if let Some(session) = self.0.session.get() {
            session.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshake_past_its_deadline_is_named_so() {
        for kind in [ErrorKind::WouldBlock, ErrorKind::TimedOut] {
            let text = in_words(kind.into()).to_string();
            assert_eq!(text, "the client did not finish it in time");
        }
        assert_eq!(in_words(ErrorKind::InvalidData.into()).kind(), ErrorKind::InvalidData);
    }
}
