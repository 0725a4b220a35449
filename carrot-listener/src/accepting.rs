//! The thread that accepts connections.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::registry::{ConnectionRegistry, Registration};

/// The pause after a failure to accept a connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A socket that accepts connections.
pub trait Acceptor {
    /// A connection.
    type Socket: Send + 'static;

    /// Waits for the next connection.
    ///
    /// # Errors
    /// The operating system refuses, for example because too many files are open.
    fn accept(&self) -> io::Result<Self::Socket>;
}

impl Acceptor for TcpListener {
    type Socket = TcpStream;

    fn accept(&self) -> io::Result<TcpStream> {
        TcpListener::accept(self).map(|(socket, _)| socket)
    }
}

/// The settings of the thread that accepts connections, and of those that it starts.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "a server sets each")]
pub struct AcceptSettings {
    /// The most connections at once.
    pub max_connections: usize,
    /// The name of the thread of a connection.
    pub thread_name: &'static str,
    /// The size of the stack of such a thread, in bytes.
    pub stack_bytes: usize,
}

/// Accepts connections until the server stops, and calls `serve` with each on a thread of its own.
///
/// A server that stops connects to itself once, or shuts its socket down, because the thread waits
/// for a connection.
pub(crate) fn accept_all<A: Acceptor>(
    acceptor: &A,
    registry: &Arc<ConnectionRegistry>,
    settings: AcceptSettings,
    serve: impl Fn(A::Socket, Registration) + Clone + Send + 'static,
) {
    while !registry.is_stopping() {
        let socket = match acceptor.accept() {
            Ok(socket) => socket,
            // The socket was shut down to wake the thread.
            Err(_) if registry.is_stopping() => return,
            Err(error) => {
                log::warn!("a connection could not be accepted: {error}");
                registry.pause(ACCEPT_PAUSE);
                continue;
            }
        };
        let Some(registration) = registry.admit(settings.max_connections) else {
            if !registry.is_stopping() {
                log::warn!("a connection was refused: the server has too many");
            }
            continue;
        };
        let serve = serve.clone();
        let started = thread::Builder::new()
            .name(settings.thread_name.into())
            .stack_size(settings.stack_bytes)
            .spawn(move || serve(socket, registration));
        if let Err(error) = started {
            log::warn!("a connection was refused: no thread: {error}");
            registry.pause(ACCEPT_PAUSE);
        }
    }
}
