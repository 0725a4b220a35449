use std::fmt;

use carrot_listener::{OutgoingItem, OutgoingQueue, PeerStream, WriteTurn};

use crate::wire::command::OpenWireCommand;

/// The size of the other parts of an item, in bytes.
const OVERHEAD: usize = 64;

/// Whole frames for the broker. A beginning of them may have left.
pub(crate) struct OutgoingFrame {
    octets: Vec<u8>,
    /// The number of octets that have left.
    left: usize,
}

/// A frame that the caller may write, once it holds no lock.
#[derive(Debug)]
#[must_use = "the frame waits for the writer when this is dropped"]
pub(crate) struct UnwrittenFrame<'l> {
    stream: &'l PeerStream,
    turn: Option<WriteTurn<'l, OutgoingFrame>>,
}

impl<'l> UnwrittenFrame<'l> {
    /// Adds a frame to those that leave.
    pub(crate) fn add(
        outgoing: &'l OutgoingQueue<OutgoingFrame>,
        stream: &'l PeerStream,
        frame: OutgoingFrame,
    ) -> UnwrittenFrame<'l> {
        UnwrittenFrame { stream, turn: outgoing.add_or_take_turn(frame) }
    }

    /// Writes the frame, unless the writer does. Does not wait.
    pub(crate) fn write(self) {
        let UnwrittenFrame { stream, turn } = self;
        if let Some(turn) = turn {
            turn.write(|frame| frame.write_at_once(stream));
        }
    }
}

impl OutgoingFrame {
    pub(crate) fn new(command: &OpenWireCommand) -> OutgoingFrame {
        let mut octets = Vec::new();
        command.write_frame(&mut octets);
        OutgoingFrame { octets, left: 0 }
    }

    /// Adds another frame.
    pub(crate) fn and(mut self, command: &OpenWireCommand) -> OutgoingFrame {
        command.write_frame(&mut self.octets);
        self
    }

    /// Returns the octets that have not left.
    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(self.left..).unwrap_or_default()
    }

    /// Writes what the socket accepts without waiting. Returns whether everything has left.
    fn write_at_once(&mut self, stream: &PeerStream) -> bool {
        self.left += stream.write_at_once(self.octets());
        self.octets().is_empty()
    }
}

impl OutgoingItem for OutgoingFrame {
    fn size(&self) -> usize {
        OVERHEAD + self.octets.len()
    }

    /// The senders bound the items of a client.
    fn end_of_unread(_: usize) -> Option<OutgoingFrame> {
        None
    }
}

/// Shows no octets: they may hold a password.
impl fmt::Debug for OutgoingFrame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OutgoingFrame({} bytes)", self.octets.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use carrot_link::write_items;

    use super::*;

    /// More than a socket accepts at once.
    const LARGE: usize = 8 << 20;
    /// The number of frames that leave in a turn.
    const TURNS: usize = 10;

    /// A socket, its writer, and what its peer has read.
    struct WrittenSocket {
        stream: PeerStream,
        outgoing: OutgoingQueue<OutgoingFrame>,
        arrived: AtomicUsize,
    }

    impl WrittenSocket {
        fn read(&self, mut peer: TcpStream) -> Vec<u8> {
            let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
            loop {
                let count = peer.read(&mut buffer).unwrap();
                if count == 0 {
                    return all;
                }
                all.extend_from_slice(&buffer[..count]);
                self.arrived.fetch_add(count, Ordering::Relaxed);
            }
        }

        fn write(&self) {
            write_items(
                &self.stream,
                &self.outgoing,
                None,
                |_| (),
                |frame, writer| writer.add(frame.octets()),
            )
            .unwrap();
            self.stream.shut_down_writing();
        }

        /// Sends small and large frames in all ways, until enough have left in a turn. Returns
        /// their octets.
        fn send(&self) -> Vec<u8> {
            let (mut sent, mut turns) = (Vec::new(), 0);
            let deadline = Instant::now() + Duration::from_secs(60);
            for number in (0..=u8::MAX).cycle() {
                assert!(Instant::now() < deadline, "{turns} turns");
                let octets = vec![number; if number % 5 == 0 { LARGE } else { 100 }];
                sent.extend_from_slice(&octets);
                let frame = OutgoingFrame { octets, left: 0 };
                let unwritten = UnwrittenFrame::add(&self.outgoing, &self.stream, frame);
                turns += usize::from(unwritten.turn.is_some());
                if number % 7 == 3 {
                    self.outgoing.add_and_wake(OutgoingFrame { octets: vec![1; 10], left: 0 });
                    sent.extend_from_slice(&[1; 10]);
                }
                match number % 3 {
                    0 => drop(unwritten),
                    _ => unwritten.write(),
                }
                if turns == TURNS {
                    break;
                }
                // The writer waits soon after that.
                while self.arrived.load(Ordering::Relaxed) < sent.len() {
                    assert!(Instant::now() < deadline, "{turns} turns");
                    thread::sleep(Duration::from_micros(100));
                }
            }
            self.outgoing.end();
            sent
        }
    }

    #[test]
    fn each_frame_leaves_once_and_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = (PeerStream::from(socket), listener.accept().unwrap().0);
        let outgoing = OutgoingQueue::default();
        let socket = WrittenSocket { stream, outgoing, arrived: AtomicUsize::new(0) };
        let (arrived, sent) = thread::scope(|scope| {
            let arrived = scope.spawn(|| socket.read(peer));
            scope.spawn(|| socket.write());
            let sent = socket.send();
            (arrived.join().unwrap(), sent)
        });
        assert!(arrived == sent, "{} octets instead of {}", arrived.len(), sent.len());
    }
}
