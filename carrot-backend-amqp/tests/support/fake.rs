//! Scripted peer that completes the AMQP handshake and then misbehaves.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::refusing::Ledger;

/// Behaviour of the peer on each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// Accepts the connection, and sends nothing.
    Mute,
    /// Sends `connection.start`, and nothing more.
    Greets,
    /// Sends an oversized `connection.start` one byte at a time, slower than any test waits.
    Trickles,
    /// Replies with HTTP instead of AMQP.
    SpeaksHttp,
    /// Completes the handshake and opens channels. Sends only heartbeats from then on.
    OpensChannels,
    /// Does the same as `OpensChannels`, and stops reading the socket at the next method.
    StopsReading,
    /// Completes the handshake and opens channels. Closes the socket at the next method.
    HangsUp,
    /// Completes the handshake and opens channels. Sends `connection.close` with a reason at the
    /// next method.
    Dismisses,
    /// Completes the handshake and opens channels. Sends `connection.blocked` at the next method,
    /// and no reply.
    Blocks,
    /// Does the same as `Blocks`, and sends `connection.unblocked` at the following method.
    BlocksAndUnblocks,
    /// Completes the handshake, and opens channels and consumers. Delivers a message whose routing
    /// key is not UTF-8.
    Garbles,
    /// Completes the handshake, and opens channels and consumers. Delivers a message whose headers
    /// are nested 20 000 levels deep.
    Nests,
    /// Does the same as `Nests`, but with a body size of 64 TiB and flat headers.
    Exaggerates,
    /// Serves publishers and consumers. Closes the connection over
    /// [`POISON`](super::refusing::POISON). `names_method` adds the method to the close.
    Refuses { names_method: bool },
}

const BEAT: Duration = Duration::from_millis(100);
/// Time without a frame after which [`Script::Refuses`] confirms all received messages.
const IDLE: Duration = Duration::from_millis(2);

pub(crate) struct Fake {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    accepting: Option<JoinHandle<()>>,
}

impl Fake {
    pub(crate) fn start(script: Script) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(AtomicUsize::new(0));
        let (stop, end) = (Arc::clone(&stopping), Arc::clone(&ended));
        let accepting = thread::spawn(move || {
            let taken = AtomicBool::new(false);
            thread::scope(|scope| {
                for socket in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (stop, end, taken) = (&stop, &end, &taken);
                    scope.spawn(move || {
                        Peer {
                            socket: socket.unwrap(),
                            script,
                            stop,
                            taken,
                            blocked: false,
                            last_beat: None,
                            ledger: Ledger::default(),
                        }
                        .play();
                        end.fetch_add(1, Ordering::SeqCst);
                    });
                }
            });
        });
        Fake { address, stopping, ended, accepting: Some(accepting) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the number of ended connections.
    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
    }
}

pub(crate) struct Peer<'a> {
    pub(crate) socket: TcpStream,
    pub(crate) script: Script,
    stop: &'a AtomicBool,
    /// Whether any connection has accepted [`LATER`](super::refusing::LATER).
    pub(crate) taken: &'a AtomicBool,
    blocked: bool,
    last_beat: Option<Instant>,
    pub(crate) ledger: Ledger,
}

impl Peer<'_> {
    fn play(mut self) {
        self.socket.set_nodelay(true).unwrap();
        self.socket.set_read_timeout(Some(if self.refuses() { IDLE } else { BEAT })).unwrap();
        // Every script ends with an error: end of file or stop.
        let _ = self.perform();
    }

    fn perform(&mut self) -> io::Result<()> {
        match self.script {
            Script::Mute => self.wait(),
            Script::SpeaksHttp => {
                self.socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?;
                self.wait()
            }
            Script::Greets => {
                self.socket.write_all(&start())?;
                self.wait()
            }
            Script::Trickles => {
                let long = method(0, 10, 10, &[b'x'; 60_000]);
                for byte in long {
                    self.socket.write_all(&[byte])?;
                    self.pause(Duration::from_millis(20))?;
                }
                self.wait()
            }
            _ => self.serve(),
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        self.read(8, false)?;
        self.socket.write_all(&start())?;
        loop {
            let header = self.read(7, true)?;
            let size = u32::from_be_bytes(header[3..7].try_into().unwrap()) as usize;
            let payload = self.read(size + 1, true)?;
            let channel = u16::from_be_bytes(header[1..3].try_into().unwrap());
            if header[0] != 1 {
                if self.refuses() {
                    self.take_content(header[0], channel, &payload)?;
                }
                continue;
            }
            let number = |at: usize| u16::from_be_bytes(payload[at..at + 2].try_into().unwrap());
            match (number(0), number(2)) {
                (10, 11) => {
                    self.socket.write_all(&method(0, 10, 30, &[0x07, 0xFF, 0, 2, 0, 0, 0, 1]))?
                }
                (10, 31) => {}
                (10, 40) => self.socket.write_all(&method(0, 10, 41, &[0]))?,
                (20, 10) => self.socket.write_all(&method(channel, 20, 11, &[0, 0, 0, 0]))?,
                (85, 10) => self.socket.write_all(&method(channel, 85, 11, &[]))?,
                (60, 10) if self.delivers() => {
                    self.socket.write_all(&method(channel, 60, 11, &[]))?
                }
                (60, 20) if self.delivers() => {
                    let mut deliver = consumer_tag(&payload[4..]);
                    self.socket.write_all(&method(channel, 60, 21, &deliver))?;
                    deliver.extend([0, 0, 0, 0, 0, 0, 0, 1, 0]);
                    deliver.extend(if self.script == Script::Garbles {
                        b"\x00\x02\xff\xfe"
                    } else {
                        b"\x00\x02ke"
                    });
                    self.socket.write_all(&method(channel, 60, 60, &deliver))?;
                    match self.script {
                        Script::Nests => {
                            self.socket.write_all(&content_header(channel, 1, &nested(20_000)))?;
                            self.socket.write_all(&frame(3, channel, b"x"))?;
                        }
                        Script::Garbles => {
                            self.socket.write_all(&content_header(channel, 0, &nested(1)))?
                        }
                        Script::Exaggerates => {
                            self.socket.write_all(&content_header(channel, 1 << 46, &nested(1)))?
                        }
                        _ => {}
                    }
                }
                (60, 70) if self.script == Script::Garbles => {
                    let got = b"\0\0\0\0\0\0\0\x01\0\0\x02\xff\xfe\0\0\0\0";
                    self.socket.write_all(&method(channel, 60, 71, got))?;
                    self.socket.write_all(&content_header(channel, 0, &nested(1)))?;
                }
                named if self.refuses() => self.answer(channel, named, &payload[4..])?,
                _ => match self.script {
                    Script::HangsUp => return Ok(()),
                    Script::Dismisses => {
                        let words = b"CONNECTION_FORCED - go away";
                        let mut close = vec![1, 64, u8::try_from(words.len()).unwrap()];
                        close.extend_from_slice(words);
                        close.extend([0, 0, 0, 0]);
                        self.socket.write_all(&method(0, 10, 50, &close))?;
                    }
                    Script::BlocksAndUnblocks if self.blocked => {
                        self.socket.write_all(&method(0, 10, 61, &[]))?
                    }
                    Script::Blocks | Script::BlocksAndUnblocks => {
                        self.blocked = true;
                        self.socket.write_all(&method(0, 10, 60, b"\x0alow memory"))?;
                    }
                    Script::StopsReading => loop {
                        self.pause(BEAT)?;
                        self.socket.write_all(&HEARTBEAT)?;
                    },
                    _ => {}
                },
            }
        }
    }

    fn refuses(&self) -> bool {
        matches!(self.script, Script::Refuses { .. })
    }

    fn delivers(&self) -> bool {
        matches!(self.script, Script::Garbles | Script::Nests | Script::Exaggerates)
    }

    /// Reads exactly `size` bytes. Sends heartbeats in the meantime if `heartbeats` is set.
    fn read(&mut self, size: usize, heartbeats: bool) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; size];
        let mut filled = 0;
        while filled < size {
            match self.socket.read(&mut bytes[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.check()?;
                    if self.refuses() {
                        self.confirm_all()?;
                    }
                    if heartbeats && self.last_beat.is_none_or(|last| last.elapsed() >= BEAT) {
                        self.last_beat = Some(Instant::now());
                        self.socket.write_all(&HEARTBEAT)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    }

    fn wait(&mut self) -> io::Result<()> {
        loop {
            self.read(1, false)?;
        }
    }

    fn pause(&self, duration: Duration) -> io::Result<()> {
        let until = Instant::now() + duration;
        while Instant::now() < until {
            self.check()?;
            thread::park_timeout(until.saturating_duration_since(Instant::now()).min(BEAT));
        }
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        if self.stop.load(Ordering::SeqCst) {
            Err(io::ErrorKind::Interrupted.into())
        } else {
            Ok(())
        }
    }
}

const HEARTBEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 0xCE];

fn start() -> Vec<u8> {
    let mut arguments = vec![0, 9, 0, 0, 0, 0];
    arguments.extend([0, 0, 0, 5]);
    arguments.extend(b"PLAIN");
    arguments.extend([0, 0, 0, 5]);
    arguments.extend(b"en_US");
    method(0, 10, 10, &arguments)
}

pub(crate) fn method(channel: u16, class: u16, number: u16, arguments: &[u8]) -> Vec<u8> {
    frame(1, channel, &[&class.to_be_bytes(), &number.to_be_bytes(), arguments].concat())
}

/// Returns the consumer tag of the arguments of `basic.consume` as a short string, or one that a
/// broker chooses if the client has not.
pub(crate) fn consumer_tag(arguments: &[u8]) -> Vec<u8> {
    let at = 3 + usize::from(arguments[2]);
    match usize::from(arguments[at]) {
        0 => b"\x01c".to_vec(),
        length => arguments[at..=at + length].to_vec(),
    }
}

/// Returns the content header of a message with a header table and no other property.
fn content_header(channel: u16, body_size: u64, table: &[u8]) -> Vec<u8> {
    frame(2, channel, &[&[0, 60, 0, 0], &body_size.to_be_bytes()[..], &[0x20, 0], table].concat())
}

/// Returns a table nested `levels` deep.
fn nested(levels: usize) -> Vec<u8> {
    let mut inner = Vec::new();
    for _ in 1..levels {
        inner =
            [&[0, b'F'], &u32::try_from(inner.len()).unwrap().to_be_bytes()[..], &inner].concat();
    }
    [&u32::try_from(inner.len()).unwrap().to_be_bytes()[..], &inner].concat()
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend(payload);
    frame.push(0xCE);
    frame
}
