//! Runs one program on one broker.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    ChannelOpen, ConnectionClose, ConnectionUpdateSecret, ExchangeDeclare, Frame, FrameReader,
    Method,
};

use crate::wire::frames;
use crate::wire::observed::{
    ChannelObserver, GeneratedNames, ObservedFrames, Stream, StreamKind, THE_END,
};
use crate::wire::program::{CONNECTIONS, FRAME_MAX, WireProgram};
use crate::wire::socket::{ArrivedFrame, WireSocket};

/// The time in which the server answers anything that it answers.
const ANSWERED: Duration = Duration::from_secs(20);
/// The time after which a connection that makes no round trip has no more to say.
const SILENCE: Duration = Duration::from_millis(25);
/// The time in which the server refuses wrong credentials.
const LATE: Duration = Duration::from_millis(600);
/// The time in which RabbitMQ handles a step that it does not answer.
const UNANSWERED: Duration = Duration::from_millis(50);
/// The time for frames that were not expected, at the end of a program.
const TRAILING: Duration = Duration::from_millis(5);

/// How a run knows that the broker has answered a step.
#[derive(Debug, Clone, Copy)]
pub enum Pace<'e> {
    /// The server answers a connection in the order of its frames. Each step ends with a round trip
    /// of every connection.
    RoundTrips,
    /// The broker has shown what this run has shown, or the time has passed.
    Expected(&'e WireLog, Duration),
}

/// The observations of a run.
#[derive(Debug, Clone, Default)]
pub struct WireLog {
    /// The frames of the broker.
    pub frames: ObservedFrames,
    /// The number of frames of each stream after each step, and after the end.
    pub counts: Vec<BTreeMap<Stream, usize>>,
    /// The steps whose channel made a round trip.
    pub synchronized: Vec<bool>,
    /// The names of queues that the broker has generated.
    pub queues: Vec<String>,
}

/// Runs a program in a virtual host. Stops at the first difference to the expected frames.
///
/// # Errors
/// The broker cannot be reached, or does not answer in time.
pub fn run(
    program: &WireProgram,
    address: SocketAddr,
    vhost: &str,
    pace: Pace<'_>,
) -> io::Result<WireLog> {
    let mut runner = WireRunner {
        address,
        vhost,
        pace,
        from_start: program.from_start,
        connections: [const { None }; CONNECTIONS],
        names: GeneratedNames::default(),
        log: WireLog::default(),
    };
    for (index, step) in program.steps.iter().enumerate() {
        let number = usize::from(step.connection) % CONNECTIONS;
        let connection = runner.connection(number)?;
        let mut octets = step.octets.clone();
        connection.is_garbled |= !are_whole_frames(&octets, connection.is_new);
        connection.is_new = false;
        let synchronizes = match pace {
            Pace::RoundTrips => connection.channels.contains(&step.synchronized),
            Pace::Expected(expected, _) => expected.synchronized.get(index) == Some(&true),
        };
        if synchronizes {
            let declare = ExchangeDeclare {
                exchange: "amq.direct".into(),
                kind: "direct".into(),
                passive: true,
                ..ExchangeDeclare::default()
            };
            octets.extend(frames::method(step.synchronized, declare));
        }
        connection.socket.send(&octets);
        runner.log.synchronized.push(synchronizes);
        if !runner.settle(index)? {
            return Ok(runner.finish());
        }
    }
    runner.close()?;
    Ok(runner.finish())
}

fn are_whole_frames(octets: &[u8], is_first: bool) -> bool {
    let mut frames = match is_first && octets.starts_with(b"A") {
        true => FrameReader::for_server(FRAME_MAX),
        false => FrameReader::for_client(FRAME_MAX),
    };
    let mut rest = octets;
    loop {
        let before = rest;
        match frames.read(&mut rest) {
            Ok(Some(_)) => {}
            Ok(None) => return before.is_empty(),
            Err(_) => return false,
        }
    }
}

#[derive(Debug)]
struct RunConnection {
    socket: WireSocket,
    observers: BTreeMap<u16, ChannelObserver>,
    channels: BTreeSet<u16>,
    /// Whether nothing was sent yet.
    is_new: bool,
    /// Whether the connection is open.
    is_open: bool,
    /// Whether a close was sent or received, or the connection has ended.
    is_over: bool,
    /// Whether octets were sent after which the broker may find no frame.
    is_garbled: bool,
    /// Whether the answer to a round trip has arrived.
    is_marked: bool,
    /// Whether the run has answered a close since the last round trip began.
    has_answered: bool,
}

struct WireRunner<'r> {
    address: SocketAddr,
    vhost: &'r str,
    pace: Pace<'r>,
    from_start: bool,
    connections: [Option<RunConnection>; CONNECTIONS],
    names: GeneratedNames,
    log: WireLog,
}

impl WireRunner<'_> {
    fn connection(&mut self, number: usize) -> io::Result<&mut RunConnection> {
        let place = &mut self.connections[number];
        let connection = match place.take() {
            Some(connection) => connection,
            None => {
                let socket = match self.from_start {
                    true => WireSocket::connect(self.address)?,
                    false => WireSocket::open(self.address, self.vhost)?,
                };
                RunConnection {
                    socket,
                    observers: BTreeMap::new(),
                    channels: BTreeSet::new(),
                    is_new: self.from_start,
                    is_open: !self.from_start,
                    is_over: false,
                    is_garbled: false,
                    is_marked: false,
                    has_answered: false,
                }
            }
        };
        Ok(place.insert(connection))
    }

    /// Waits until the broker has answered a step. Returns `false` at a difference.
    fn settle(&mut self, step: usize) -> io::Result<bool> {
        let continues = match self.pace {
            Pace::RoundTrips => {
                for number in 0..CONNECTIONS {
                    self.make_round_trip(number)?;
                    // The answers of the run have answers, too.
                    while let Some(connection) = &self.connections[number]
                        && connection.has_answered
                        && !connection.is_over
                    {
                        self.make_round_trip(number)?;
                    }
                }
                true
            }
            Pace::Expected(expected, patience) => {
                let counts = expected.counts.get(step);
                if self.log.synchronized.last() == Some(&false) {
                    // Nothing shows that RabbitMQ has handled the step.
                    thread::sleep(UNANSWERED);
                }
                self.wait_for(counts.unwrap_or(&BTreeMap::new()), &expected.frames, patience)?
            }
        };
        self.log.counts.push(
            self.log.frames.iter().map(|(stream, lines)| (stream.clone(), lines.len())).collect(),
        );
        Ok(continues)
    }

    fn make_round_trip(&mut self, number: usize) -> io::Result<()> {
        let Some(connection) = &mut self.connections[number] else { return Ok(()) };
        connection.has_answered = false;
        if !connection.is_open || connection.is_garbled {
            let mut since = Instant::now();
            while !self.is_over(number) && since.elapsed() < SILENCE {
                if self.read(number, SILENCE)? {
                    since = Instant::now();
                }
            }
            return Ok(());
        }
        if connection.is_over {
            return Ok(());
        }
        let secret = ConnectionUpdateSecret { new_secret: b"guest"[..].into(), reason: "".into() };
        connection.is_marked = false;
        connection.socket.send(&frames::method(0, secret));
        let deadline = Instant::now() + ANSWERED;
        while !self.is_over(number) && !self.is_marked(number) {
            if Instant::now() > deadline {
                return Err(io::Error::other("the server does not answer"));
            }
            self.read(number, ANSWERED)?;
        }
        Ok(())
    }

    fn is_over(&self, number: usize) -> bool {
        self.connections[number].as_ref().is_none_or(|connection| connection.is_over)
    }

    fn is_opened(&self, number: usize) -> bool {
        let connection = self.connections[number].as_ref();
        connection.is_none_or(|connection| connection.is_over || connection.is_open)
    }

    fn is_marked(&self, number: usize) -> bool {
        self.connections[number].as_ref().is_some_and(|connection| connection.is_marked)
    }

    /// Waits for this number of frames. Returns `false` if they differ or do not arrive.
    fn wait_for(
        &mut self,
        counts: &BTreeMap<Stream, usize>,
        frames: &ObservedFrames,
        patience: Duration,
    ) -> io::Result<bool> {
        let deadline = Instant::now() + patience;
        loop {
            if differs(&self.log.frames, frames) {
                return Ok(false);
            }
            let lacks = |stream: &Stream, count: usize| {
                self.log.frames.get(stream).map_or(0, Vec::len) < count
            };
            // A channel and the connection answer independently, and the close wins.
            let lacking = counts.iter().find(|(stream, count)| {
                lacks(stream, **count) && (stream.channel == 0 || !self.is_over(stream.connection))
            });
            let Some((stream, _)) = lacking else { return Ok(true) };
            if Instant::now() > deadline {
                return Ok(false);
            }
            let number = stream.connection;
            self.read(number, Duration::from_millis(20))?;
            for other in (0..CONNECTIONS).filter(|other| *other != number) {
                self.read(other, Duration::from_millis(1))?;
            }
        }
    }

    /// Reads what has arrived. Returns whether there was anything.
    fn read(&mut self, number: usize, patience: Duration) -> io::Result<bool> {
        let Some(RunConnection {
            socket,
            observers,
            channels,
            is_open,
            is_over,
            is_marked,
            has_answered,
            ..
        }) = &mut self.connections[number]
        else {
            return Ok(false);
        };
        if *is_over {
            return Ok(false);
        }
        let mut lines: Vec<(u16, (StreamKind, String))> = Vec::new();
        let mut answers = Vec::new();
        let mut has_read = false;
        socket.read(patience, |arrived| {
            has_read = true;
            let seen = |text: &str| vec![(StreamKind::Answers, text.to_string())];
            let (channel, new) = match arrived {
                _ if *is_over => return,
                ArrivedFrame::ProtocolHeader => (0, seen("a protocol header")),
                ArrivedFrame::Malformed => (0, seen("octets that are no frame")),
                ArrivedFrame::Body(channel, octets) => {
                    (channel, observers.entry(channel).or_default().body(octets))
                }
                ArrivedFrame::Frame(frame) => {
                    match method_of(&frame) {
                        Some(Method::ConnectionUpdateSecretOk) => {
                            *is_marked = true;
                            return;
                        }
                        Some(Method::ConnectionOpenOk(_)) => *is_open = true,
                        Some(Method::ChannelOpenOk(_)) => drop(channels.insert(frame.channel)),
                        Some(Method::ChannelClose(_)) => {
                            channels.remove(&frame.channel);
                            answers.extend(frames::method(frame.channel, Method::ChannelCloseOk));
                            answers.extend(frames::method(frame.channel, ChannelOpen::default()));
                        }
                        Some(Method::ChannelCloseOk) => drop(channels.remove(&frame.channel)),
                        Some(Method::ConnectionClose(_)) => {
                            answers.extend(frames::method(0, Method::ConnectionCloseOk));
                            *is_over = true;
                        }
                        Some(Method::ConnectionCloseOk) => *is_over = true,
                        _ => {}
                    }
                    let observer = observers.entry(frame.channel).or_default();
                    (frame.channel, observer.frame(&frame, &mut self.names))
                }
            };
            lines.extend(new.into_iter().map(|line| (channel, line)));
        })?;
        if !answers.is_empty() {
            *has_answered = true;
            socket.send(&answers);
        }
        if socket.has_ended() && !*is_over {
            *is_over = true;
            lines.push((0, (StreamKind::Answers, THE_END.to_string())));
        }
        for (channel, (kind, line)) in lines {
            let stream = Stream { connection: number, channel, kind };
            self.log.frames.entry(stream).or_default().push(line);
        }
        Ok(has_read)
    }

    /// Closes the connections, one after the other.
    fn close(&mut self) -> io::Result<()> {
        if let Pace::RoundTrips = self.pace {
            // A connection that is not open may wait for an answer that comes late.
            let started = Instant::now();
            while self.from_start && !self.is_opened(0) && started.elapsed() < LATE {
                self.read(0, LATE)?;
            }
        }
        for number in 0..CONNECTIONS {
            if let Some(connection) = &mut self.connections[number]
                && connection.is_open
                && !connection.is_over
                && !connection.is_garbled
            {
                let close = ConnectionClose { reply_code: 200, ..ConnectionClose::default() };
                connection.socket.send(&frames::method(0, close));
                if let Pace::RoundTrips = self.pace {
                    let deadline = Instant::now() + ANSWERED;
                    while !self.is_over(number) && Instant::now() < deadline {
                        self.read(number, ANSWERED)?;
                    }
                }
            }
            if !self.settle(self.log.counts.len())? {
                return Ok(());
            }
        }
        if let Pace::Expected(..) = self.pace {
            (0..CONNECTIONS).try_for_each(|number| self.read(number, TRAILING).map(drop))?;
        }
        Ok(())
    }

    fn finish(mut self) -> WireLog {
        self.log.queues = self.names.queues().map(str::to_string).collect();
        // Confirms may arrive in another order.
        for (stream, lines) in &mut self.log.frames {
            if stream.kind == StreamKind::Confirms {
                lines.sort_unstable();
            }
        }
        self.log
    }
}

fn method_of<'a>(frame: &Frame<'a>) -> Option<Method<'a>> {
    match frame.kind {
        carrot_amqp_wire::FrameKind::Method => Method::read(frame.payload).ok(),
        _ => None,
    }
}

/// Whether frames differ from the expected ones, as far as they have arrived.
fn differs(arrived: &ObservedFrames, expected: &ObservedFrames) -> bool {
    arrived.iter().any(|(stream, lines)| {
        let expected = expected.get(stream).map_or(&[][..], Vec::as_slice);
        lines.len() > expected.len()
            || (stream.kind != StreamKind::Confirms
                && lines.iter().zip(expected).any(|(line, expected)| line != expected))
    })
}
