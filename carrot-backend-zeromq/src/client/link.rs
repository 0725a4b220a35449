//! One connection to a host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use carrot_core::{Error, Result};
use carrot_link::{RoleLink, start_threads};

use crate::calls::event::HostTraits;
use crate::calls::put_request::put_bare;
use crate::calls::request::kind;
use crate::client::item::ClientItem;
use crate::client::link_reader::{self, LinkReadState};
use crate::client::link_shared::{CallAnswer, LinkShared};

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
        let shared = &self.shared;
        shared.life.report_open();
        let (written, read) = (Arc::clone(shared), Arc::clone(shared));
        let write = move || written.run_writer();
        let read = move || link_reader::run(&read, input);
        start_threads(&shared.stream, "zmq", write, read).map_err(|error| {
            let error = shared.life.loss(error);
            shared.fail(&error);
            error
        })
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
}

impl RoleLink for Link {
    fn is_open(&self) -> bool {
        self.shared.life.is_open()
    }

    fn fail(&self, error: &Error) {
        self.shared.fail(error);
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        self.shared.life.note_closing();
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
        self.shared.life.note_closing();
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
