//! One connection to a host.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use carrot_core::{Error, Result};

use crate::calls::event::HostTraits;
use crate::calls::put_request::put_bare;
use crate::calls::request::kind;
use crate::client::item::ClientItem;
use crate::client::link_reader::{self, LinkReadState};
use crate::client::link_shared::{CallAnswer, LinkShared};

/// The time after which a blocked write looks whether the connection is over.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection. Ends when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) shared: Arc<LinkShared>,
    pub(crate) traits: HostTraits,
    last_call: AtomicU32,
    last_channel: AtomicU32,
    last_consumer: AtomicU32,
}

impl Link {
    /// Creates the link of a socket whose hello was welcomed. [`start`](Link::start) follows.
    pub(crate) fn new(shared: LinkShared, traits: HostTraits) -> Link {
        Link {
            shared: Arc::new(shared),
            traits,
            last_call: AtomicU32::new(1),
            last_channel: AtomicU32::new(0),
            last_consumer: AtomicU32::new(0),
        }
    }

    /// Reports that the connection is open, and starts its threads. What was sent before is
    /// written now.
    pub(crate) fn start(&self, input: LinkReadState) -> Result<()> {
        self.shared.report_open();
        // The socket has the timeout of the hello, which may be any.
        if let Err(error) = self.shared.stream.set_write_timeout(Some(WRITE_TIMEOUT)) {
            return Err(self.not_started(error));
        }
        let (written, read) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let started = thread::Builder::new()
            .name("carrot-zmq-writer".into())
            .spawn(move || written.run_writer())
            .and_then(|_| {
                thread::Builder::new()
                    .name("carrot-zmq-reader".into())
                    .spawn(move || link_reader::run(&read, input))
            });
        started.map(drop).map_err(|error| self.not_started(format!("no thread: {error}")))
    }

    fn not_started(&self, reason: impl fmt::Display) -> Error {
        let error = self.shared.lost(reason);
        self.shared.fail(&error);
        error
    }

    /// Returns the number of the next channel.
    pub(crate) fn next_channel(&self) -> u32 {
        next(&self.last_channel)
    }

    /// Returns the number of the next consumer.
    pub(crate) fn next_consumer(&self) -> u32 {
        next(&self.last_consumer)
    }

    /// Sends a call, and waits for its answer.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: no answer arrived in time.
    /// - The error of the host, or of the lost connection.
    pub(crate) fn call(
        &self,
        operation: &'static str,
        timeout: Duration,
        write: impl FnOnce(&mut Vec<u8>, u32),
    ) -> Result<CallAnswer> {
        let number = next(&self.last_call);
        let call = self.shared.begin_call(number)?;
        self.shared.outgoing.add_and_wake(ClientItem::message(|out| write(out, number)));
        call.wait(timeout).unwrap_or_else(|| {
            self.shared.forget_call(number);
            Err(Error::timeout(operation, timeout))
        })
    }

    /// Closes the connection, after a round trip for at most `timeout`. All channels end.
    pub(crate) fn close(&self, timeout: Duration) -> Result<()> {
        self.shared.note_closing();
        let farewell =
            self.call("close", timeout, |out, call| put_bare(out, kind::GOODBYE, 0, call));
        self.shared.fail(&Error::closed("connection"));
        match farewell {
            Err(error @ Error::Timeout { .. }) => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Link {
    /// Sends a goodbye without waiting. The writer ends once the host has read everything and
    /// closed the socket, or at a deadline.
    fn drop(&mut self) {
        self.shared.note_closing();
        let goodbye = ClientItem::message(|out| put_bare(out, kind::GOODBYE, 0, 0));
        self.shared.outgoing.seal(Some(goodbye));
        self.shared.outgoing.end();
    }
}

/// Returns the next number, which is never 0.
fn next(last: &AtomicU32) -> u32 {
    loop {
        let number = last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if number != 0 {
            return number;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::net::{TcpListener, TcpStream};

    use carrot_core::backend::{Capabilities, Role};
    use carrot_listener::TlsIncoming;

    use super::*;
    use crate::client::link_reader::{LIMITS, LinkInput};
    use crate::heartbeat::Heartbeat;
    use crate::stream::ZmtpStream;
    use crate::zmtp::frame::ZmtpFrameReader;

    #[test]
    fn started_link_has_a_write_timeout_of_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let same = socket.try_clone().unwrap();
        socket.set_write_timeout(Some(Duration::from_millis(1))).unwrap();
        let (stream, frames) = (ZmtpStream::from(socket), ZmtpFrameReader::new(LIMITS));
        let records = TlsIncoming::default();
        let (stream, input) = LinkInput { stream, records, frames, rest: Vec::new() }.split();
        let heartbeat = Heartbeat::every(Duration::ZERO);
        let shared =
            LinkShared::new(Role::Publish, "host".into(), stream, heartbeat, &Arc::default());
        let traits = HostTraits { capabilities: Capabilities::default(), max_body: 1 };
        let link = Link::new(shared, traits);
        link.start(input).unwrap();
        assert_eq!(same.write_timeout().unwrap(), Some(WRITE_TIMEOUT));
    }
}
