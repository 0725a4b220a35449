use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::rules::{Direction, Forwarding, ProxyRules, SharedRules};

/// The number of chunks that are buffered in each direction.
const CHUNKS: usize = 64;
/// The largest size of a chunk, in bytes.
const CHUNK_SIZE: usize = 16 * 1024;
/// The time between two writes of a throttled connection.
const TICK: Duration = Duration::from_millis(20);
/// The longest time until a blocked write notices that the connection has to end.
const WRITE_TIMEOUT: Duration = Duration::from_millis(50);

/// The way in which the proxy ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// Sends FIN.
    Graceful,
    /// Sends RST.
    Reset,
}

/// Counters of one connection of a [`Proxy`](super::Proxy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyStatistics {
    /// The number of bytes forwarded to the server.
    pub to_server: u64,
    /// The number of bytes forwarded to the client.
    pub to_client: u64,
    /// The number of bytes read from either side and discarded.
    pub discarded: u64,
    /// Whether the connection is open.
    pub open: bool,
    /// The time from the start of the connection to its end, or to now.
    pub age: Duration,
}

/// One connection through a proxy. Each direction has two threads: one reads, one writes.
#[derive(Debug)]
pub(super) struct ProxiedConnection {
    client: TcpStream,
    server: TcpStream,
    rules: Arc<SharedRules>,
    forwarded: [AtomicU64; 2],
    discarded: AtomicU64,
    half_closed: [AtomicBool; 2],
    ended: AtomicBool,
    since: Instant,
}

/// Bytes with the time at which they were read.
struct Chunk {
    read_at: Instant,
    bytes: Vec<u8>,
}

impl ProxiedConnection {
    /// Connects to the server. Resets the connection of the client if that fails.
    pub(super) fn open(
        client: TcpStream,
        server: &(String, u16),
        rules: &Arc<SharedRules>,
    ) -> Option<ProxiedConnection> {
        let Ok(server) = TcpStream::connect((server.0.as_str(), server.1)) else {
            let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
            return None;
        };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
            let _ = stream.set_write_timeout(Some(WRITE_TIMEOUT));
        }
        Some(ProxiedConnection {
            client,
            server,
            rules: Arc::clone(rules),
            forwarded: Default::default(),
            discarded: AtomicU64::new(0),
            half_closed: Default::default(),
            ended: AtomicBool::new(false),
            since: Instant::now(),
        })
    }

    /// Forwards bytes in both directions until the connection ends.
    pub(super) fn forward(&self) {
        thread::scope(|scope| {
            for direction in Direction::ALL {
                let (sender, receiver) = sync_channel(CHUNKS);
                scope.spawn(move || self.read_chunks(direction, &sender));
                scope.spawn(move || self.write_chunks(direction, &receiver));
            }
        });
    }

    /// Returns whether bytes of this connection were discarded.
    pub(super) fn has_lost_bytes(&self) -> bool {
        self.discarded.load(Ordering::Relaxed) > 0
            || self.half_closed.iter().any(|closed| closed.load(Ordering::Relaxed))
    }

    pub(super) fn statistics(&self) -> ProxyStatistics {
        ProxyStatistics {
            to_server: self.forwarded[Direction::ToServer as usize].load(Ordering::Relaxed),
            to_client: self.forwarded[Direction::ToClient as usize].load(Ordering::Relaxed),
            discarded: self.discarded.load(Ordering::Relaxed),
            open: true,
            age: self.since.elapsed(),
        }
    }

    pub(super) fn end(&self, closing: Closing) {
        // The change holds the lock of the rules. A thread that is about to wait therefore sees the
        // end.
        self.rules.change(|_| self.close_sockets(closing));
    }

    fn close_sockets(&self, closing: Closing) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        for stream in [&self.client, &self.server] {
            let _ = match closing {
                Closing::Graceful => stream.shutdown(Shutdown::Both),
                // The system sends RST when the socket is dropped. Until then, the shutdown wakes a
                // thread that reads.
                Closing::Reset => SockRef::from(stream)
                    .set_linger(Some(Duration::ZERO))
                    .and_then(|()| stream.shutdown(Shutdown::Read)),
            };
        }
    }

    pub(super) fn half_close(&self, direction: Direction) {
        self.half_closed[direction as usize].store(true, Ordering::Release);
        let _ = self.target(direction).shutdown(Shutdown::Write);
    }

    /// Returns the stream that the bytes of a direction come from.
    fn source(&self, direction: Direction) -> &TcpStream {
        match direction {
            Direction::ToServer => &self.client,
            Direction::ToClient => &self.server,
        }
    }

    /// Returns the stream that the bytes of a direction go to.
    fn target(&self, direction: Direction) -> &TcpStream {
        match direction {
            Direction::ToServer => &self.server,
            Direction::ToClient => &self.client,
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn wait(&self, condition: impl Fn(&ProxyRules) -> Result<(), Option<Instant>>) -> bool {
        self.rules.wait_unless_ended(&self.ended, condition)
    }

    fn read_chunks(&self, direction: Direction, chunks: &SyncSender<Chunk>) {
        let mut source = self.source(direction);
        loop {
            let flowing = |rules: &ProxyRules| {
                if rules.forwarding[direction as usize] == Forwarding::Stall {
                    Err(None)
                } else {
                    Ok(())
                }
            };
            if !self.wait(flowing) {
                return;
            }
            let mut bytes = vec![0; CHUNK_SIZE];
            match source.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => {
                    bytes.truncate(count);
                    if chunks.send(Chunk { read_at: Instant::now(), bytes }).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.end(Closing::Reset);
                    return;
                }
            }
        }
    }

    fn write_chunks(&self, direction: Direction, chunks: &Receiver<Chunk>) {
        for chunk in chunks {
            let due = |rules: &ProxyRules| {
                if rules.forwarding[direction as usize] == Forwarding::Stall {
                    return Err(None);
                }
                let at = chunk.read_at + rules.delay;
                if Instant::now() >= at { Ok(()) } else { Err(Some(at)) }
            };
            if !self.wait(due) {
                return;
            }
            let mut left = &chunk.bytes[..];
            while !left.is_empty() {
                match self.write_by_rules(direction, left) {
                    Ok(count) => left = &left[count..],
                    Err(_) => {
                        self.end(Closing::Reset);
                        return;
                    }
                }
                if self.has_ended() {
                    return;
                }
            }
        }
        // The sender has closed its direction. The other direction stays open.
        if !self.has_ended() {
            let _ = self.target(direction).shutdown(Shutdown::Write);
        }
    }

    /// Forwards or discards a part of `bytes` by the present rules, and returns the length of the
    /// part.
    fn write_by_rules(&self, direction: Direction, bytes: &[u8]) -> io::Result<usize> {
        let (forwarding, rate) =
            self.rules.with(|rules| (rules.forwarding[direction as usize], rules.rate));
        if forwarding == Forwarding::Discard
            || self.half_closed[direction as usize].load(Ordering::Acquire)
        {
            self.discarded.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            return Ok(bytes.len());
        }
        let mut count = bytes.len();
        if let Some(rate) = rate {
            let tick = Instant::now() + TICK;
            if !self.wait(|_| if Instant::now() >= tick { Ok(()) } else { Err(Some(tick)) }) {
                return Ok(0);
            }
            count = count.min((rate * TICK.as_millis() as u64 / 1000).max(1) as usize);
        }
        let (count, cut) = self.rules.with(|rules| match &mut rules.cut {
            Some((cut_direction, left)) if *cut_direction == direction => {
                let before = usize::try_from(*left).unwrap_or(usize::MAX);
                if before < count {
                    rules.cut = None;
                    rules.cutting += 1;
                    return (before, true);
                }
                *left -= count as u64;
                (count, false)
            }
            _ => (count, false),
        });
        let written = self.write(direction, &bytes[..count]);
        if cut {
            self.end(Closing::Graceful);
            self.rules.change(|rules| rules.cutting -= 1);
        }
        written.map(|()| count)
    }

    fn write(&self, direction: Direction, mut bytes: &[u8]) -> io::Result<()> {
        let mut target = self.target(direction);
        while !bytes.is_empty() && !self.has_ended() {
            match target.write(bytes) {
                Ok(count) => {
                    self.forwarded[direction as usize].fetch_add(count as u64, Ordering::Relaxed);
                    bytes = &bytes[count..];
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(_) if self.half_closed[direction as usize].load(Ordering::Acquire) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
