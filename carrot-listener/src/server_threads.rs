//! The threads of a server, from its start to its end.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::accepting::{AcceptSettings, Acceptor, accept_all};
use crate::registry::{ConnectionRegistry, Registration};

/// The time that threads have to end after their sockets were closed.
const CUT_TIMEOUT: Duration = Duration::from_secs(5);

/// A server, as far as its threads use it.
pub trait ServedBroker: Send + Sync + 'static {
    /// A connection that was accepted.
    type Socket: Send + 'static;

    /// Returns the open connections.
    fn registry(&self) -> &Arc<ConnectionRegistry>;

    /// Serves a connection until its end.
    fn serve(&self, socket: Self::Socket, registration: Registration);

    /// Wakes the thread that waits for a connection.
    ///
    /// # Errors
    /// The thread may wait on.
    fn wake_up(&self) -> io::Result<()>;

    /// Unblocks publishers until [`end_unblocking`](ServedBroker::end_unblocking) is called.
    fn unblock_publishers(&self);

    /// Ends [`unblock_publishers`](ServedBroker::unblock_publishers).
    fn end_unblocking(&self);
}

/// The names of the threads of a server, and their stacks.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "a server sets each")]
pub struct ThreadSettings {
    /// The name of the thread that accepts connections.
    pub accepting: &'static str,
    /// The name of the thread that unblocks publishers.
    pub unblocking: &'static str,
    /// The threads of the connections. Each thread of the server has the same stack.
    pub connections: AcceptSettings,
}

/// The threads of a server: one accepts connections, and one unblocks publishers. Dropping the
/// threads cuts the connections.
#[derive(Debug)]
pub struct ServerThreads<S: ServedBroker> {
    server: Arc<S>,
    accepting: Option<JoinHandle<()>>,
    unblocking: Option<JoinHandle<()>>,
    is_cut: bool,
}

impl<S: ServedBroker> ServerThreads<S> {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system starts no thread.
    pub fn start<A>(
        server: &Arc<S>,
        acceptor: A,
        settings: ThreadSettings,
    ) -> io::Result<ServerThreads<S>>
    where
        A: Acceptor<Socket = S::Socket> + Send + 'static,
    {
        let mut threads = ServerThreads {
            server: Arc::clone(server),
            accepting: None,
            unblocking: None,
            is_cut: false,
        };
        let stack_bytes = settings.connections.stack_bytes;
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).stack_size(stack_bytes).spawn(run)
        };
        let limited = Arc::clone(server);
        let unblock = Box::new(move || limited.unblock_publishers());
        threads.unblocking = Some(start(settings.unblocking, unblock)?);
        let served = Arc::clone(server);
        let accept = Box::new(move || {
            let registry = Arc::clone(served.registry());
            accept_all(&acceptor, &registry, settings.connections, move |socket, registration| {
                served.serve(socket, registration);
            });
        });
        threads.accepting = Some(start(settings.accepting, accept)?);
        Ok(threads)
    }

    /// Asks the peers to close their connections. Returns whether all did within `timeout`;
    /// [`Duration::MAX`] stands for no limit. The others are cut.
    ///
    /// Blocks until all connections are closed, at most for `timeout` and the time of
    /// [`cut`](ServerThreads::cut).
    pub fn stop(&mut self, timeout: Duration) -> bool {
        let registry = Arc::clone(self.server.registry());
        registry.stop(|connection| connection.request_close());
        self.end_accepting();
        let is_closed = registry.wait_until_empty(timeout);
        self.cut();
        is_closed
    }

    /// Closes all sockets, and waits for the threads. Does nothing the second time.
    ///
    /// Blocks at most for 5 seconds for connections whose threads are busy. They end later.
    pub fn cut(&mut self) {
        if std::mem::replace(&mut self.is_cut, true) {
            return;
        }
        let registry = Arc::clone(self.server.registry());
        registry.stop(|connection| connection.cut());
        self.end_accepting();
        if !registry.wait_until_empty(CUT_TIMEOUT) {
            log::warn!("{} connections of a server that ends are still busy", registry.count());
        }
        self.server.end_unblocking();
        if self.unblocking.take().is_some_and(|unblocking| unblocking.join().is_err()) {
            log::error!("the thread that unblocks publishers panicked");
        }
    }

    /// Ends the thread that accepts connections. The registry admits no more.
    fn end_accepting(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        // The thread waits for a connection, and finds that the server stops. It has ended before
        // if a client came first.
        match self.server.wake_up() {
            Err(error) if !accepting.is_finished() => {
                log::debug!("the thread that accepts connections may not have ended: {error}");
            }
            _ if accepting.join().is_err() => {
                log::error!("the thread that accepts connections panicked");
            }
            _ => {}
        }
    }
}

impl<S: ServedBroker> Drop for ServerThreads<S> {
    fn drop(&mut self) {
        self.cut();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};
    use std::time::Instant;

    use super::*;
    use crate::registry::ServedConnection;
    use crate::sync::{lock, wait};

    /// A server whose connections end once they are cut.
    struct Stubborn {
        registry: Arc<ConnectionRegistry>,
        address: SocketAddr,
        cuts: Arc<AtomicUsize>,
        /// A connection that is held does not end.
        held: Mutex<()>,
        has_ended: Mutex<bool>,
        ended: Condvar,
    }

    struct StubbornPeer(TcpStream, Arc<AtomicUsize>);

    impl ServedConnection for StubbornPeer {
        fn request_close(&self) {}

        fn cut(&self) {
            let _ = self.0.shutdown(std::net::Shutdown::Both);
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl ServedBroker for Stubborn {
        type Socket = TcpStream;

        fn registry(&self) -> &Arc<ConnectionRegistry> {
            &self.registry
        }

        fn serve(&self, mut socket: TcpStream, registration: Registration) {
            let peer = StubbornPeer(socket.try_clone().unwrap(), Arc::clone(&self.cuts));
            if registration.add(Arc::new(peer)) {
                socket.write_all(b"+").unwrap();
                let _ = socket.read(&mut [0]);
                drop(lock(&self.held));
            }
        }

        fn wake_up(&self) -> io::Result<()> {
            TcpStream::connect(self.address).map(drop)
        }

        fn unblock_publishers(&self) {
            let mut has_ended = lock(&self.has_ended);
            while !*has_ended {
                has_ended = wait(&self.ended, has_ended);
            }
        }

        fn end_unblocking(&self) {
            *lock(&self.has_ended) = true;
            self.ended.notify_all();
        }
    }

    fn started() -> (Arc<Stubborn>, ServerThreads<Stubborn>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Arc::new(Stubborn {
            registry: Arc::default(),
            address: listener.local_addr().unwrap(),
            cuts: Arc::default(),
            held: Mutex::default(),
            has_ended: Mutex::default(),
            ended: Condvar::new(),
        });
        let connections =
            AcceptSettings { max_connections: 9, thread_name: "reader", stack_bytes: 256 << 10 };
        let settings =
            ThreadSettings { accepting: "accepting", unblocking: "unblocking", connections };
        let threads = ServerThreads::start(&server, listener, settings).unwrap();
        (server, threads)
    }

    /// Connects, and waits until the server serves the connection.
    fn connected(server: &Stubborn) -> TcpStream {
        let mut socket = TcpStream::connect(server.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.read_exact(&mut [0]).unwrap();
        socket
    }

    #[test]
    fn connection_that_does_not_close_is_cut_after_the_timeout() {
        let (server, mut threads) = started();
        let mut socket = connected(&server);
        assert!(!threads.stop(Duration::from_millis(50)));
        assert_eq!(server.registry.count(), 0);
        // A reset is an end, too.
        assert_eq!(socket.read(&mut [0]).unwrap_or_default(), 0);
    }

    #[test]
    fn dropped_threads_cut_the_connections_and_end() {
        let (server, threads) = started();
        let _socket = connected(&server);
        drop(threads);
        assert_eq!(server.registry.count(), 0);
        let deadline = Instant::now() + Duration::from_secs(20);
        while Arc::strong_count(&server) > 1 {
            assert!(Instant::now() < deadline, "a thread holds the server");
            thread::yield_now();
        }
    }

    #[test]
    fn busy_connection_is_cut_and_waited_for_once() {
        let (server, mut threads) = started();
        let _socket = connected(&server);
        let held = lock(&server.held);
        assert!(!threads.stop(Duration::from_millis(10)));
        threads.cut();
        drop(threads);
        assert_eq!(server.cuts.load(Ordering::Relaxed), 1);
        assert_eq!(server.registry.count(), 1);
        drop(held);
        assert!(server.registry.wait_until_empty(Duration::from_secs(20)));
    }

    #[test]
    fn server_without_connections_stops_at_once() {
        let (_server, mut threads) = started();
        assert!(threads.stop(Duration::MAX));
    }
}
