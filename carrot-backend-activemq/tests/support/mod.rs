//! A broker whose answers a test writes.

pub(crate) mod dispatches;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{Backend, ChannelOptions, Connector};
use carrot_core::{ConnectionOptions, Result};

use dispatches::{ScriptedMessage, empty_dispatch};

/// A deadline that no call reaches.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The type octets of commands.
pub(crate) const CONNECTION_INFO: u8 = 3;
pub(crate) const PRODUCER_INFO: u8 = 6;
pub(crate) const TRANSACTION_INFO: u8 = 7;
pub(crate) const DESTINATION_INFO: u8 = 8;
pub(crate) const KEEP_ALIVE: u8 = 10;
pub(crate) const MESSAGE_PULL: u8 = 20;
pub(crate) const BYTES_MESSAGE: u8 = 24;

/// The session and the number of the consumer of counts.
pub(crate) const STATISTICS: (i64, i64) = (-1, -1);
/// The session and the consumer of the barrier.
pub(crate) const BARRIER: (i64, i64) = (-1, -2);

/// A peer on a free port, which serves one connection on a thread.
pub(crate) struct FakeBroker {
    address: String,
    thread: JoinHandle<()>,
}

impl FakeBroker {
    /// Accepts one connection, and passes it to `serve`.
    pub(crate) fn new(serve: impl FnOnce(TcpStream) + Send + 'static) -> FakeBroker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let thread = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(SOON)).unwrap();
            serve(socket);
        });
        FakeBroker { address, thread }
    }

    /// Sends octets once the client has sent some, and reads until the client closes the socket.
    pub(crate) fn sending(octets: &'static [u8]) -> FakeBroker {
        FakeBroker::new(move |mut socket| {
            let mut buffer = [0; 4096];
            let _ = socket.read(&mut buffer).unwrap();
            socket.write_all(octets).unwrap();
            while socket.read(&mut buffer).is_ok_and(|count| count > 0) {}
        })
    }

    /// Accepts the login, and answers each command with success until `handle` returns `false`.
    /// Announces the queues that the client creates, and answers the pulls of its barrier. The
    /// broker counts no messages.
    pub(crate) fn answering(
        mut handle: impl FnMut(&mut TcpStream, &ClientFrame) -> bool + Send + 'static,
    ) -> FakeBroker {
        FakeBroker::counting(move |socket, client| {
            if client.kind == MESSAGE_PULL && client.consumer() == STATISTICS {
                let _ = socket.write_all(&empty_dispatch(STATISTICS.0, STATISTICS.1));
            }
            handle(socket, client)
        })
    }

    /// As [`answering`](FakeBroker::answering), for a `handle` that answers the pulls of counts.
    pub(crate) fn counting(
        mut handle: impl FnMut(&mut TcpStream, &ClientFrame) -> bool + Send + 'static,
    ) -> FakeBroker {
        FakeBroker::new(move |mut socket| {
            socket.write_all(&wire_format(12)).unwrap();
            while let Some(frame) = ClientFrame::read(&mut socket) {
                // The client may have closed the socket.
                let _ = socket.write_all(&frame.deliveries());
                if !handle(&mut socket, &frame) {
                    return;
                }
                // The client may have closed the socket.
                if frame.needs_answer && socket.write_all(&response(frame.id)).is_err() {
                    return;
                }
            }
        })
    }

    pub(crate) fn options(&self) -> ConnectionOptions {
        format!("activemq://ann:hush@{}", self.address).parse().unwrap()
    }

    pub(crate) fn open(&self) -> Result<Arc<dyn Backend>> {
        open(&self.options())
    }

    pub(crate) fn join(self) {
        self.thread.join().unwrap();
    }
}

pub(crate) fn open(options: &ConnectionOptions) -> Result<Arc<dyn Backend>> {
    ActiveMqConnector::new(options).unwrap().open(&ChannelOptions::publish(), SOON)
}

/// A frame of the client.
pub(crate) struct ClientFrame {
    pub(crate) kind: u8,
    pub(crate) id: i32,
    pub(crate) needs_answer: bool,
    octets: Vec<u8>,
}

impl ClientFrame {
    /// Reads the next frame but the wire format; `None` at the end.
    fn read(socket: &mut TcpStream) -> Option<ClientFrame> {
        loop {
            let mut size = [0; 4];
            socket.read_exact(&mut size).ok()?;
            let mut octets = vec![0; u32::from_be_bytes(size) as usize];
            socket.read_exact(&mut octets).ok()?;
            if octets[0] != 1 {
                let id = i32::from_be_bytes(octets[1..5].try_into().unwrap());
                let (kind, needs_answer) = (octets[0], octets[5] != 0);
                return Some(ClientFrame { kind, id, needs_answer, octets });
            }
        }
    }

    /// Returns the last octet: the step of a transaction.
    pub(crate) fn last(&self) -> u8 {
        *self.octets.last().unwrap()
    }

    /// Returns whether the frame contains these octets.
    pub(crate) fn contains(&self, octets: &[u8]) -> bool {
        self.octets.windows(octets.len()).any(|window| window == octets)
    }

    /// Returns what a broker delivers because of a frame.
    fn deliveries(&self) -> Vec<u8> {
        match self.kind {
            DESTINATION_INFO => {
                let command = Some(&*self.octets);
                ScriptedMessage { command, ..ScriptedMessage::default() }.dispatch(-1, 0)
            }
            MESSAGE_PULL if self.consumer() == BARRIER => empty_dispatch(BARRIER.0, BARRIER.1),
            _ => Vec::new(),
        }
    }

    /// Returns the numbers of the session and the consumer that a frame adds.
    pub(crate) fn consumer(&self) -> (i64, i64) {
        // The head, and the id of the consumer, which begins with the name of the connection.
        let name = usize::from(u16::from_be_bytes(self.octets[9..11].try_into().unwrap()));
        let number =
            |start: usize| i64::from_be_bytes(self.octets[start..start + 8].try_into().unwrap());
        (number(11 + name), number(19 + name))
    }
}

/// Returns a frame with its size.
pub(crate) fn frame(octets: &[u8]) -> Vec<u8> {
    let size = u32::try_from(octets.len()).unwrap().to_be_bytes();
    [&size[..], octets].concat()
}

/// Returns a wire format without options.
pub(crate) fn wire_format(version: u8) -> Vec<u8> {
    frame(&[b"\x01ActiveMQ\0\0\0", &[version][..], b"\0"].concat())
}

pub(crate) fn response(id: i32) -> Vec<u8> {
    frame(&[&[30, 0, 0, 0, 0, 0][..], &id.to_be_bytes()].concat())
}

/// Returns the failure of a command.
pub(crate) fn exception(id: i32, class: &str, message: &str) -> Vec<u8> {
    let text = |text: &str| {
        [&[1][..], &u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
    };
    let head = [&[31, 0, 0, 0, 0, 0][..], &id.to_be_bytes(), &[1]].concat();
    frame(&[head, text(class), text(message)].concat())
}
