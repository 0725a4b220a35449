//! The owner of a connection.

use std::fmt::Display;
use std::ops::Deref;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_core::backend::{EventObservers, Role};
use carrot_core::{Error, Result};
use carrot_listener::TlsOutgoing;

use crate::connection::broker_link::{BrokerLink, OWN_SESSION};
use crate::connection::deadline::CallDeadline;
use crate::connection::handshake::LoggedIn;
use crate::connection::link_reader::{self, ADVISORIES, LinkIncoming, refusal};
use crate::connection::link_writer;
use crate::connection::outgoing_frame::OutgoingFrame;
use crate::connection::queue_directory::QueueDirectory;
use crate::connection::statistics::StatisticsPort;
use crate::connection::table_port::TablePort;
use crate::wire::command::{CommandBody, CommandHead, OpenWireCommand};
use crate::wire::ids::RemovedId;
use crate::wire::setup_commands::{ConsumerInfo, RemoveInfo};

/// The time after which a blocked write looks whether the connection is over.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The most advisories that are not acknowledged.
const UNACKNOWLEDGED_ADVISORIES: i32 = 32_766;

/// A connection. Ends when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct LinkHandle {
    link: Arc<BrokerLink>,
    pub(crate) statistics: Arc<StatisticsPort>,
    pub(crate) table: Arc<TablePort>,
}

impl Deref for LinkHandle {
    type Target = BrokerLink;

    fn deref(&self) -> &BrokerLink {
        &self.link
    }
}

impl LinkHandle {
    /// Starts the threads of a connection that is logged in, and learns the queues of the broker.
    pub(crate) fn start(
        role: Role,
        name: String,
        greeted: LoggedIn,
        observers: &Arc<EventObservers>,
        deadline: CallDeadline,
    ) -> Result<LinkHandle> {
        let LoggedIn { stream, records, outgoing, frames, rest, endpoint, traits } = greeted;
        let link = BrokerLink::new(role, name, endpoint, stream, traits, observers);
        let link = Arc::new(link);
        start_threads(&link, LinkIncoming { records, frames, rest }, outgoing)?;
        let opened = follow_queues(&link, deadline).and_then(|()| StatisticsPort::open(&link));
        match opened {
            Ok(statistics) => {
                let table = TablePort::new(&link);
                Ok(LinkHandle { link, statistics, table })
            }
            Err(error) => {
                link.note_closing();
                link.fail(&error);
                Err(error)
            }
        }
    }

    /// Closes the connection, after a round trip for at most `timeout`. All channels end.
    pub(crate) fn close(&self, timeout: Duration) -> Result<()> {
        self.note_closing();
        let deadline = CallDeadline::after(timeout);
        let farewell = self.call("close", self.removal(), deadline);
        let closed = Error::closed("connection");
        self.fail(&closed);
        match farewell {
            Err(error @ Error::Timeout { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the command that removes the connection. Messages that consumers hold return to
    /// their queues, marked as redelivered.
    fn removal(&self) -> CommandBody {
        CommandBody::Remove(RemoveInfo {
            object: Some(RemovedId::Connection(self.connection_id())),
            last_delivered: RemoveInfo::DELIVERED,
        })
    }
}

impl Drop for LinkHandle {
    /// Sends a goodbye without waiting. The writer ends once the broker has read everything and
    /// closed the socket, or at a deadline.
    fn drop(&mut self) {
        self.note_closing();
        let removal = OpenWireCommand::Command(CommandHead::default(), self.removal());
        let goodbye = OutgoingFrame::new(&removal)
            .and(&OpenWireCommand::Command(CommandHead::default(), CommandBody::Shutdown));
        self.outgoing.seal(Some(goodbye));
        self.outgoing.end();
    }
}

fn start_threads(
    link: &Arc<BrokerLink>,
    incoming: LinkIncoming,
    outgoing: TlsOutgoing,
) -> Result<()> {
    // The socket has the timeout of the login, which may be any.
    if let Err(error) = link.stream.set_write_timeout(Some(WRITE_TIMEOUT)) {
        return Err(not_started(link, error));
    }
    let (written, read) = (Arc::clone(link), Arc::clone(link));
    let started = thread::Builder::new()
        .name("carrot-activemq-writer".into())
        .spawn(move || link_writer::run(&written, outgoing))
        .and_then(|_| {
            thread::Builder::new()
                .name("carrot-activemq-reader".into())
                .spawn(move || link_reader::run(&read, incoming))
        });
    started.map(drop).map_err(|error| not_started(link, format!("no thread: {error}")))
}

fn not_started(link: &BrokerLink, reason: impl Display) -> Error {
    let error = link.loss(reason);
    link.note_closing();
    link.fail(&error);
    error
}

/// Starts the consumer of the advisories about queues. The broker sends those of all present
/// queues before its answer.
fn follow_queues(link: &BrokerLink, deadline: CallDeadline) -> Result<()> {
    let info = ConsumerInfo {
        consumer: Some(link.consumer_id(OWN_SESSION, ADVISORIES)),
        destination: Some(QueueDirectory::topic()),
        prefetch: UNACKNOWLEDGED_ADVISORIES,
        has_no_range_acks: false,
        ..ConsumerInfo::default()
    };
    let answer = link.call("connect", CommandBody::Consumer(info), deadline)?;
    answer.map_err(|exception| match refusal(&exception) {
        Error::AccessRefused { reason } => Error::AccessRefused {
            reason: format!(
                "the user may not read the topic ActiveMQ.Advisory.Queue, which tells the \
                 queues: {reason}"
            ),
        },
        other => other,
    })
}
