//! Wakes the thread that accepts connections.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::sync::Mutex;
use std::time::Duration;

use crate::addresses::reachable;
#[cfg(unix)]
use crate::sync::lock;

/// The time in which a server that stops reaches its own address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Wakes the thread that waits for a connection at a listening socket, once.
///
/// Needs no route to the address of the socket where the system can shut a listening socket down,
/// as Linux can.
#[derive(Debug)]
pub struct ListenerWaker {
    address: SocketAddr,
    /// A second handle of the socket, until the thread was woken.
    #[cfg(unix)]
    listening: Mutex<Option<TcpStream>>,
}

impl ListenerWaker {
    /// Takes a second handle of a listening socket.
    ///
    /// # Errors
    /// The operating system refuses, for example because too many files are open.
    pub fn new(listener: &TcpListener) -> io::Result<ListenerWaker> {
        let address = listener.local_addr()?;
        #[cfg(unix)]
        let listening = {
            let handle = std::os::fd::OwnedFd::from(listener.try_clone()?);
            Mutex::new(Some(TcpStream::from(handle)))
        };
        Ok(ListenerWaker {
            address,
            #[cfg(unix)]
            listening,
        })
    }

    /// Returns the address at which the socket listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Wakes the thread, which gets an error or a connection.
    ///
    /// Blocks for at most a second.
    ///
    /// # Errors
    /// The thread may go on to wait.
    pub fn wake_up(&self) -> io::Result<()> {
        // Linux ends a listening socket as it ends a connection. Others need a connection.
        #[cfg(unix)]
        if let Some(listening) = lock(&self.listening).take()
            && listening.shutdown(std::net::Shutdown::Both).is_ok()
        {
            return Ok(());
        }
        TcpStream::connect_timeout(&reachable(self.address), CONNECT_TIMEOUT).map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn thread_wakes_without_a_route_to_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut waker = ListenerWaker::new(&listener).unwrap();
        // No machine has this address, and nothing listens at the port.
        waker.address = "192.0.2.1:1".parse().unwrap();
        std::thread::scope(|scope| {
            let accepting = scope.spawn(|| listener.accept());
            waker.wake_up().unwrap();
            assert!(accepting.join().unwrap().is_err());
        });
    }

    #[test]
    fn woken_socket_leaves_its_port_to_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let waker = ListenerWaker::new(&listener).unwrap();
        waker.wake_up().unwrap();
        drop(listener);
        TcpListener::bind(waker.address()).unwrap();
    }
}
