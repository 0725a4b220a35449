use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::Statistics;
use super::rules::{Direction, Flow, Rules, Shared};

/// How many pieces may be on their way, and how large one is at most.
const PIECES: usize = 64;
const PIECE: usize = 16 * 1024;
/// How often a throttled connection hands something on.
const TICK: Duration = Duration::from_millis(20);
/// How soon a blocked write notices that the connection is to end.
const WRITE_TIMEOUT: Duration = Duration::from_millis(50);

/// How a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// In order, by FIN.
    Close,
    /// Rudely, by RST.
    Reset,
}

/// One connection through a proxy: four threads, of which each direction has two.
#[derive(Debug)]
pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    passed: [AtomicU64; 2],
    swallowed: AtomicU64,
    half_closed: [AtomicBool; 2],
    ended: AtomicBool,
    since: Instant,
}

/// Bytes, and when they came.
struct Piece {
    came: Instant,
    bytes: Vec<u8>,
}

impl Link {
    /// Connects to the server, and passes bytes until the connection ends.
    pub(super) fn run(
        client: TcpStream,
        server: &(String, u16),
        shared: &Arc<Shared>,
        generation: u64,
    ) {
        let Ok(server) = TcpStream::connect((server.0.as_str(), server.1)) else {
            let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
            return;
        };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
            let _ = stream.set_write_timeout(Some(WRITE_TIMEOUT));
        }
        let link = Arc::new(Link {
            client,
            server,
            passed: Default::default(),
            swallowed: AtomicU64::new(0),
            half_closed: Default::default(),
            ended: AtomicBool::new(false),
            since: Instant::now(),
        });
        if !shared.add(&link, generation) {
            return;
        }
        thread::scope(|scope| {
            for direction in Direction::ALL {
                let (sender, receiver) = sync_channel(PIECES);
                let link = &link;
                scope.spawn(move || link.take(direction, &sender, shared));
                scope.spawn(move || link.give(direction, &receiver, shared));
            }
        });
        shared.remove(&link);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether bytes are missing from it.
    pub(super) fn has_holes(&self) -> bool {
        self.swallowed.load(Ordering::Relaxed) > 0
            || self.half_closed.iter().any(|closed| closed.load(Ordering::Relaxed))
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            to_server: self.passed[Direction::ToServer as usize].load(Ordering::Relaxed),
            to_client: self.passed[Direction::ToClient as usize].load(Ordering::Relaxed),
            swallowed: self.swallowed.load(Ordering::Relaxed),
            open: true,
            age: self.since.elapsed(),
        }
    }

    pub(super) fn end(&self, ending: Ending) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        for stream in [&self.client, &self.server] {
            let _ = match ending {
                Ending::Close => stream.shutdown(Shutdown::Both),
                // The reset goes out when the socket is dropped; until then this wakes who reads.
                Ending::Reset => SockRef::from(stream)
                    .set_linger(Some(Duration::ZERO))
                    .and_then(|()| stream.shutdown(Shutdown::Read)),
            };
        }
    }

    pub(super) fn half_close(&self, direction: Direction) {
        self.half_closed[direction as usize].store(true, Ordering::Release);
        let _ = self.ends(direction).1.shutdown(Shutdown::Write);
    }

    /// Where the bytes of a direction come from, and where they go.
    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::ToServer => (&self.client, &self.server),
            Direction::ToClient => (&self.server, &self.client),
        }
    }

    fn take(&self, direction: Direction, pieces: &SyncSender<Piece>, shared: &Shared) {
        let mut from = self.ends(direction).0;
        loop {
            let flowing = |rules: &Rules| {
                if rules.flow[direction as usize] == Flow::Stall { Err(None) } else { Ok(()) }
            };
            if !shared.wait_on_link(self, flowing) {
                return;
            }
            let mut bytes = vec![0; PIECE];
            match from.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => {
                    bytes.truncate(count);
                    if pieces.send(Piece { came: Instant::now(), bytes }).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    shared.end(self, Ending::Reset);
                    return;
                }
            }
        }
    }

    fn give(&self, direction: Direction, pieces: &Receiver<Piece>, shared: &Shared) {
        for piece in pieces {
            let due = |rules: &Rules| {
                if rules.flow[direction as usize] == Flow::Stall {
                    return Err(None);
                }
                let at = piece.came + rules.delay;
                if Instant::now() >= at { Ok(()) } else { Err(Some(at)) }
            };
            if !shared.wait_on_link(self, due) {
                return;
            }
            let mut left = &piece.bytes[..];
            while !left.is_empty() {
                match self.hand_on(direction, left, shared) {
                    Ok(count) => left = &left[count..],
                    Err(_) => {
                        shared.end(self, Ending::Reset);
                        return;
                    }
                }
                if self.has_ended() {
                    return;
                }
            }
        }
        // The sender has ended its half; the other half may go on.
        if !self.has_ended() {
            let _ = self.ends(direction).1.shutdown(Shutdown::Write);
        }
    }

    /// Hands on some of `bytes`, as the rules are now.
    fn hand_on(&self, direction: Direction, bytes: &[u8], shared: &Shared) -> io::Result<usize> {
        let (flow, rate) = shared.look(|rules| (rules.flow[direction as usize], rules.rate));
        if flow == Flow::Swallow || self.half_closed[direction as usize].load(Ordering::Acquire) {
            self.swallowed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            return Ok(bytes.len());
        }
        let mut count = bytes.len();
        if let Some(rate) = rate {
            let tick = Instant::now() + TICK;
            if !shared.wait_on_link(self, |_| {
                if Instant::now() >= tick { Ok(()) } else { Err(Some(tick)) }
            }) {
                return Ok(0);
            }
            count = count.min((rate * TICK.as_millis() as u64 / 1000).max(1) as usize);
        }
        let (count, cut) = shared.look(|rules| match &mut rules.cut {
            Some((where_to, left)) if *where_to == direction => {
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
            shared.end(self, Ending::Close);
            shared.change(|rules| rules.cutting -= 1);
        }
        written.map(|()| count)
    }

    fn write(&self, direction: Direction, mut bytes: &[u8]) -> io::Result<()> {
        let mut to = self.ends(direction).1;
        while !bytes.is_empty() && !self.has_ended() {
            match to.write(bytes) {
                Ok(count) => {
                    self.passed[direction as usize].fetch_add(count as u64, Ordering::Relaxed);
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
