//! Runs one program on both brokers, and compares the frames.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{ChannelOpen, ExchangeDelete, Method, QueueDelete};
use carrot_backend_memory::Broker;
use carrot_core::{ConnectionOptions, RabbitMqRelease};
use carrot_server::Server;

use crate::wire::difference::{WireDifference, difference};
use crate::wire::frames;
use crate::wire::generate::{EXCHANGES, QUEUES};
use crate::wire::program::WireProgram;
use crate::wire::run::{Pace, WireLog, run};
use crate::wire::socket::{ArrivedFrame, WireSocket};
use crate::wire::unspecified::WireUnspecified;

/// The time in which RabbitMQ shows the frames that the server has shown.
pub const SETTLE: Duration = Duration::from_millis(2000);
/// The same time in a handshake: RabbitMQ ends a refused connection after three seconds.
pub const SETTLE_HANDSHAKE: Duration = Duration::from_secs(6);
/// The time in which RabbitMQ forgets the connections of a program.
const CLEANED: Duration = Duration::from_secs(20);

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum WireResult {
    /// The frames are equal.
    Same,
    /// The frames differ.
    Divergence(Box<WireDifference>),
    /// The frames differ after a behaviour that AMQP does not specify.
    Unspecified(WireUnspecified),
}

/// Compares programs on a virtual host of RabbitMQ and on servers.
#[derive(Debug)]
pub struct WireComparator {
    address: SocketAddr,
    vhost: String,
    release: RabbitMqRelease,
}

impl WireComparator {
    /// Creates a comparator for the virtual host of the options, for a server that imitates this
    /// release. No other program may use this virtual host.
    ///
    /// # Errors
    /// The options name no address.
    pub fn new(
        options: &ConnectionOptions,
        release: RabbitMqRelease,
    ) -> io::Result<WireComparator> {
        let address = options.addresses().next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(WireComparator { address, vhost: options.vhost.clone(), release })
    }

    /// Runs a program on a new server and on RabbitMQ.
    ///
    /// # Errors
    /// A broker cannot be reached, or the server does not answer.
    pub fn compare(&self, program: &WireProgram, patience: Duration) -> io::Result<WireResult> {
        let server = serve(program, self.release, &self.vhost)?;
        let rabbitmq = run(program, self.address, &self.vhost, Pace::Expected(&server, patience))?;
        if !program.from_start {
            self.clean(server.queues.iter().chain(&rabbitmq.queues))?;
        }
        Ok(compared(program, &server, &rabbitmq))
    }

    /// Runs a program on RabbitMQ, in step with a server.
    ///
    /// # Errors
    /// As [`compare`](WireComparator::compare).
    pub fn record(&self, program: &WireProgram, patience: Duration) -> io::Result<WireLog> {
        let server = serve(program, self.release, &self.vhost)?;
        let rabbitmq = run(program, self.address, &self.vhost, Pace::Expected(&server, patience))?;
        self.clean(server.queues.iter().chain(&rabbitmq.queues))?;
        Ok(rabbitmq)
    }

    /// Deletes all queues and exchanges.
    fn clean<'n>(&self, generated: impl Iterator<Item = &'n String>) -> io::Result<()> {
        let mut octets = frames::method(1, ChannelOpen::default());
        let queues = QUEUES.iter().copied().filter(|name| !name.is_empty());
        let mut count = 1;
        for queue in queues.chain(generated.map(String::as_str)) {
            octets.extend(frames::method(1, QueueDelete { queue: queue.into(), ..<_>::default() }));
            count += 1;
        }
        for exchange in
            EXCHANGES.iter().filter(|name| !name.is_empty() && !name.starts_with("amq."))
        {
            let delete = ExchangeDelete { exchange: (*exchange).into(), ..<_>::default() };
            octets.extend(frames::method(1, delete));
            count += 1;
        }
        let deadline = Instant::now() + CLEANED;
        // A queue may still be locked by a connection that ends.
        while !self.is_answered(&octets, count)? {
            if Instant::now() > deadline {
                return Err(io::Error::other("the queues of a program cannot be deleted"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn is_answered(&self, octets: &[u8], count: usize) -> io::Result<bool> {
        let mut socket = WireSocket::open(self.address, &self.vhost)?;
        socket.send(octets);
        let (mut answers, mut is_refused) = (0, false);
        let deadline = Instant::now() + CLEANED;
        while answers < count && !is_refused && !socket.has_ended() && Instant::now() < deadline {
            socket.read(Duration::from_millis(100), |arrived| {
                if let ArrivedFrame::Frame(frame) = arrived {
                    let method = Method::read(frame.payload);
                    is_refused |=
                        matches!(method, Ok(Method::ChannelClose(_) | Method::ConnectionClose(_)));
                    answers += 1;
                }
            })?;
        }
        Ok(answers >= count && !is_refused)
    }
}

/// Runs a program on a new server, in a virtual host of this name.
///
/// # Errors
/// The server cannot be started, or does not answer.
pub fn serve(program: &WireProgram, release: RabbitMqRelease, vhost: &str) -> io::Result<WireLog> {
    let broker = Broker::builder().imitate(release).build();
    let server = Server::builder(&broker)
        .vhost(vhost, &broker)
        .bind("127.0.0.1:0")
        .map_err(io::Error::other)?;
    run(program, server.address(), vhost, Pace::RoundTrips)
}

/// Compares the frames of two runs of a program.
pub(crate) fn compared(program: &WireProgram, server: &WireLog, rabbitmq: &WireLog) -> WireResult {
    let Some(difference) = difference(server, rabbitmq) else { return WireResult::Same };
    match WireUnspecified::of(program, server, &difference) {
        Some(freedom) => WireResult::Unspecified(freedom),
        None => WireResult::Divergence(Box::new(difference)),
    }
}
