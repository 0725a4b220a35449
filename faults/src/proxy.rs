mod connection;
mod registry;
mod rules;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use carrot::ConnectionOptions;
use socket2::{Domain, SockRef, Socket, Type};

use self::connection::Closing;
pub use self::connection::ProxyStatistics;
use self::registry::Connections;
use self::rules::SharedRules;
pub use self::rules::{Direction, Forwarding};

const BACKLOG: i32 = 128;
/// Ports below the range that systems use for outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const ATTEMPTS: usize = 100;
const END_WITHIN: Duration = Duration::from_secs(5);

/// A TCP proxy on the loopback interface that injects network faults into its connections.
///
/// The rules apply to present and future connections until they are changed. [`heal`](Proxy::heal)
/// resets all of them. Dropping the proxy ends its connections.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use carrot_faults::{Direction, Proxy};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let proxy = Proxy::new("127.0.0.1", server.local_addr()?.port())?;
/// proxy.cut_after(Direction::ToServer, 3);
///
/// let mut client = TcpStream::connect(proxy.address())?;
/// client.write_all(b"hello")?;
/// let mut got = Vec::new();
/// server.accept()?.0.read_to_end(&mut got)?;
/// assert_eq!(got, b"hel");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    rules: Arc<SharedRules>,
    connections: Arc<Connections>,
    listener: Arc<Socket>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Creates a proxy on a free local port, in front of the server at this address. The proxy
    /// connects to the server when a client connects.
    ///
    /// # Errors
    /// If no port is free.
    pub fn new(host: &str, port: u16) -> io::Result<Proxy> {
        let listener = Arc::new(listener()?);
        let address = listener.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let (rules, connections) =
            (Arc::new(SharedRules::default()), Arc::new(Connections::default()));
        let accepting = {
            let (listener, server) = (Arc::clone(&listener), (host.to_string(), port));
            let (rules, connections) = (Arc::clone(&rules), Arc::clone(&connections));
            thread::Builder::new()
                .name("proxy".into())
                .spawn(move || accept(&listener, &rules, &connections, &server))?
        };
        Ok(Proxy { address, rules, connections, listener, accepting: Some(accepting) })
    }

    /// Creates a proxy in front of the first address of these options, and returns the options to
    /// connect through it.
    ///
    /// # Errors
    /// If no port is free.
    pub fn in_front_of(options: &ConnectionOptions) -> io::Result<(Proxy, ConnectionOptions)> {
        let (host, port) = options.addresses().next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let proxy = Proxy::new(host, port)?;
        let through =
            options.clone().host(proxy.address.ip().to_string()).port(proxy.address.port());
        Ok((proxy, through))
    }

    /// Returns the address to connect to instead of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection in order (FIN), on both sides. Clients can connect again.
    pub fn cut(&self) {
        self.connections.end_all(Closing::Graceful);
    }

    /// Resets every connection (RST), on both sides. Clients can connect again.
    pub fn reset(&self) {
        self.connections.end_all(Closing::Reset);
    }

    /// Forwards `bytes` more bytes in this direction, and cuts the connection of the next byte
    /// before that byte.
    ///
    /// Counts the bytes of all connections. Replaces an earlier cut that has not happened yet.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        self.rules.change(|rules| rules.cut = Some((direction, bytes)));
    }

    /// Blocks until the cut of [`cut_after`](Proxy::cut_after) has happened, for at most `timeout`.
    /// Returns whether it has happened.
    pub fn wait_for_cut(&self, timeout: Duration) -> bool {
        self.rules.wait(timeout, |rules| rules.cut.is_none() && rules.cutting == 0)
    }

    /// Delays every byte by `delay`, in both directions. Defaults to zero.
    pub fn delay(&self, delay: Duration) {
        self.rules.change(|rules| rules.delay = delay);
    }

    /// Limits the rate of each connection and direction; `None` removes the limit. Defaults to
    /// `None`.
    pub fn throttle(&self, bytes_per_second: Option<u64>) {
        self.rules.change(|rules| rules.rate = bytes_per_second);
    }

    /// Forwards, discards or stalls the bytes of one direction. Defaults to [`Forwarding::Pass`].
    pub fn set_forwarding(&self, direction: Direction, forwarding: Forwarding) {
        self.rules.change(|rules| rules.forwarding[direction as usize] = forwarding);
    }

    /// Discards all bytes, in both directions. The connections stay open.
    pub fn black_hole(&self) {
        self.rules.change(|rules| rules.forwarding = [Forwarding::Discard; 2]);
    }

    /// Ends one direction of every connection. The receiver sees the end of the stream, the bytes
    /// of the sender are discarded, and the other direction stays open.
    pub fn half_close(&self, direction: Direction) {
        self.connections.open().iter().for_each(|connection| connection.half_close(direction));
    }

    /// Refuses new connections like a port without a listener, or accepts them again.
    ///
    /// # Errors
    /// If the system does not let the proxy listen again.
    pub fn refuse(&self, refuse: bool) -> io::Result<()> {
        if refuse {
            self.rules.change(|rules| rules.refusing = true);
            // The socket stops listening and keeps its port.
            match self.listener.shutdown(Shutdown::Both) {
                Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
                _ => Ok(()),
            }
        } else {
            self.listener.listen(BACKLOG)?;
            self.rules.change(|rules| rules.refusing = false);
            Ok(())
        }
    }

    /// Resets every rule. Also resets every connection that has lost bytes, because its stream is
    /// incomplete.
    ///
    /// # Errors
    /// If the system does not let the proxy listen again.
    pub fn heal(&self) -> io::Result<()> {
        let refusing = self.rules.change(|rules| {
            rules.forwarding = [Forwarding::Pass; 2];
            rules.delay = Duration::ZERO;
            rules.rate = None;
            rules.cut = None;
            rules.refusing
        });
        for connection in self.connections.open() {
            if connection.has_lost_bytes() {
                connection.end(Closing::Reset);
            }
        }
        if refusing { self.refuse(false) } else { Ok(()) }
    }

    /// Returns the counters of every connection: first the ended ones in the order of their ends,
    /// then the open ones.
    pub fn statistics(&self) -> Vec<ProxyStatistics> {
        self.connections.statistics()
    }

    /// Returns the number of open connections.
    pub fn open_connections(&self) -> usize {
        self.connections.open().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.rules.change(|rules| rules.closing = true);
        let _ = self.listener.shutdown(Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.cut();
        if !self.connections.wait_until_none(END_WITHIN) {
            log::warn!("proxy connections did not end within {END_WITHIN:?}");
        }
    }
}

fn listener() -> io::Result<Socket> {
    let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // Lets the socket listen again while its connections are open.
        socket.set_reuse_address(true)?;
        // The bound port stays reserved while no socket listens on it.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(PORTS)));
        match socket.bind(&address.into()).and_then(|()| socket.listen(BACKLOG)) {
            Ok(()) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn accept(
    listener: &Socket,
    rules: &Arc<SharedRules>,
    connections: &Arc<Connections>,
    server: &(String, u16),
) {
    loop {
        let accepted = listener.accept();
        let generation = connections.generation();
        let (refusing, closing) = rules.with(|rules| (rules.refusing, rules.closing));
        if closing {
            return;
        }
        match accepted {
            Ok((client, _)) if refusing => {
                let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
            }
            Ok((client, _)) => {
                let (rules, connections, server) =
                    (Arc::clone(rules), Arc::clone(connections), server.clone());
                let serve = move || connections.serve(client.into(), &server, &rules, generation);
                if let Err(error) =
                    thread::Builder::new().name("proxy connection".into()).spawn(serve)
                {
                    log::warn!("proxy drops a connection: cannot start a thread: {error}");
                }
            }
            Err(_) => rules.wait_while_refusing(),
        }
    }
}
