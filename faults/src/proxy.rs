mod link;
mod rules;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use self::link::{Ending, Link};
use self::rules::Shared;
pub use self::rules::{Direction, Flow};

const BACKLOG: i32 = 128;
/// Ports below those that systems give to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const ATTEMPTS: usize = 100;
const END_WITHIN: Duration = Duration::from_secs(5);

/// A TCP proxy on the loopback interface that does to its connections what networks do.
///
/// Its rules hold for the connections that it has and for those to come, until they are changed; [`heal`](Proxy::heal) takes all back.
/// Dropping it ends its connections.
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
    shared: Arc<Shared>,
    listener: Arc<Socket>,
    accepting: Option<JoinHandle<()>>,
}

/// What went through one connection of a [`Proxy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Bytes handed on to the server.
    pub to_server: u64,
    /// Bytes handed on to the client.
    pub to_client: u64,
    /// Bytes taken from either and not handed on.
    pub swallowed: u64,
    /// Whether it is still there.
    pub open: bool,
    /// How long it lasted, or lasts.
    pub age: Duration,
}

impl Proxy {
    /// A proxy on a free local port, in front of the server at this address. The server is reached when a client comes.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn new(host: &str, port: u16) -> io::Result<Proxy> {
        let listener = Arc::new(listener()?);
        let address = listener.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let shared = Arc::new(Shared::default());
        let accepting = {
            let (listener, shared, server) =
                (Arc::clone(&listener), Arc::clone(&shared), (host.to_string(), port));
            thread::Builder::new()
                .name("proxy".into())
                .spawn(move || accept(&listener, &shared, &server))?
        };
        Ok(Proxy { address, shared, listener, accepting: Some(accepting) })
    }

    /// Where to connect to instead of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection that it has, in order (FIN), on both sides. New ones can be made.
    pub fn cut(&self) {
        self.shared.end_links(Ending::Close);
    }

    /// Ends every connection that it has, rudely (RST), on both sides. New ones can be made.
    pub fn reset(&self) {
        self.shared.end_links(Ending::Reset);
    }

    /// Cuts the connection that hands on the byte after the next `bytes` in this direction, before that byte. Counted over all
    /// connections; takes the place of an earlier cut that has not come yet.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        self.shared.change(|rules| rules.cut = Some((direction, bytes)));
    }

    /// Waits until the cut of [`cut_after`](Proxy::cut_after) has been made; `false` if that takes longer than `timeout`.
    pub fn wait_for_cut(&self, timeout: Duration) -> bool {
        self.shared.wait(timeout, |rules| rules.cut.is_none() && rules.cutting == 0)
    }

    /// Holds every byte back for so long, in both directions. Zero, at first.
    pub fn delay(&self, delay: Duration) {
        self.shared.change(|rules| rules.delay = delay);
    }

    /// Hands on no more than so many bytes a second for each connection and direction; `None`, at first, for no limit.
    pub fn throttle(&self, bytes_per_second: Option<u64>) {
        self.shared.change(|rules| rules.rate = bytes_per_second);
    }

    /// Lets bytes through in one direction, swallows them, or takes none. [`Flow::Pass`], at first.
    pub fn flow(&self, direction: Direction, flow: Flow) {
        self.shared.change(|rules| rules.flow[direction as usize] = flow);
    }

    /// Swallows everything, in both directions: the connections stay, and nothing comes through.
    pub fn black_hole(&self) {
        self.shared.change(|rules| rules.flow = [Flow::Swallow; 2]);
    }

    /// Ends one direction of every connection that it has: the receiver sees the end of the stream, the sender's bytes are swallowed, and
    /// the other direction goes on.
    pub fn half_close(&self, direction: Direction) {
        self.shared.links().iter().for_each(|link| link.half_close(direction));
    }

    /// Refuses new connections, as a port does that nobody listens on, or takes them again.
    ///
    /// # Errors
    /// If the system does not let it listen again.
    pub fn refuse(&self, refuse: bool) -> io::Result<()> {
        if refuse {
            self.shared.change(|rules| rules.refusing = true);
            // Listening ends, the port stays ours.
            match self.listener.shutdown(Shutdown::Both) {
                Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
                _ => Ok(()),
            }
        } else {
            self.listener.listen(BACKLOG)?;
            self.shared.change(|rules| rules.refusing = false);
            Ok(())
        }
    }

    /// Takes back every rule. What was swallowed stays so: a connection that lost bytes is of no more use, and is cut.
    ///
    /// # Errors
    /// If the system does not let it listen again.
    pub fn heal(&self) -> io::Result<()> {
        let refusing = self.shared.change(|rules| {
            rules.flow = [Flow::Pass; 2];
            rules.delay = Duration::ZERO;
            rules.rate = None;
            rules.cut = None;
            rules.refusing
        });
        for link in self.shared.links() {
            if link.has_holes() {
                self.shared.end(&link, Ending::Reset);
            }
        }
        if refusing { self.refuse(false) } else { Ok(()) }
    }

    /// Every connection so far, in the order in which they ended, those that are there last.
    pub fn statistics(&self) -> Vec<Statistics> {
        self.shared.statistics()
    }

    /// How many connections there are.
    pub fn open_connections(&self) -> usize {
        self.shared.links().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|rules| rules.closing = true);
        let _ = self.listener.shutdown(Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.cut();
        if !self.shared.wait_for_links(END_WITHIN) {
            log::warn!("connections of a proxy have not ended within {END_WITHIN:?}");
        }
    }
}

fn listener() -> io::Result<Socket> {
    let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // So that it can listen again while connections are there.
        socket.set_reuse_address(true)?;
        // A port that was asked for stays taken while nobody listens on it.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(PORTS)));
        match socket.bind(&address.into()).and_then(|()| socket.listen(BACKLOG)) {
            Ok(()) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn accept(listener: &Socket, shared: &Arc<Shared>, server: &(String, u16)) {
    loop {
        let accepted = listener.accept();
        let (refusing, closing, generation) =
            shared.look(|rules| (rules.refusing, rules.closing, rules.generation));
        if closing {
            return;
        }
        match accepted {
            Ok((client, _)) if refusing => {
                let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
            }
            Ok((client, _)) => {
                let (shared, server) = (Arc::clone(shared), server.clone());
                let pass = move || Link::run(client.into(), &server, &shared, generation);
                if let Err(error) = thread::Builder::new().name("proxy link".into()).spawn(pass) {
                    log::warn!("a connection of a proxy is dropped: {error}");
                }
            }
            Err(_) => shared.wait_while_refusing(),
        }
    }
}
