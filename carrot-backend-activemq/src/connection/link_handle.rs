//! The owner of a connection.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::{EventObservers, Role};
use carrot_core::{Error, Result};
use carrot_link::{CallDeadline, LinkLife, RoleLink, start_threads};
use carrot_listener::lock;

use crate::connection::broker_link::{BrokerLink, OWN_SESSION};
use crate::connection::handshake::LoggedIn;
use crate::connection::link_reader::{self, ADVISORIES, LinkIncoming, refusal};
use crate::connection::link_writer;
use crate::connection::outgoing_frame::OutgoingFrame;
use crate::connection::queue_creation::no_notices;
use crate::connection::queue_directory::{MOST_UNACKNOWLEDGED, QueueDirectory};
use crate::connection::scheduler::SchedulerProbe;
use crate::connection::statistics::StatisticsPort;
use crate::connection::table_port::TablePort;
use crate::wire::command::{CommandBody, CommandHead, OpenWireCommand};
use crate::wire::ids::RemovedId;
use crate::wire::setup_commands::{ConsumerInfo, RemoveInfo};

/// A connection. Ends when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct LinkHandle {
    link: Arc<BrokerLink>,
    pub(crate) scheduler: Arc<SchedulerProbe>,
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
        let LoggedIn { stream, records, frames, rest, endpoint, traits } = greeted;
        let life = LinkLife::new(role, endpoint, observers);
        let link = Arc::new(BrokerLink::new(name, stream, traits, life));
        let (written, read) = (Arc::clone(&link), Arc::clone(&link));
        let incoming = LinkIncoming { records, frames, rest };
        let write = move || link_writer::run(&written);
        let started = start_threads(&link.stream, "activemq", write, move || {
            link_reader::run(&read, incoming);
        });
        let started = started.map_err(|error| link.life.loss(error));
        let opened = started.and_then(|()| LinkHandle::open(&link, deadline));
        opened.inspect_err(|error| {
            link.life.note_closing();
            link.fail(error);
        })
    }

    /// Opens the parts that belong to no channel. The broker answers the question about its
    /// scheduler before the one about its queues, so both answers are known here.
    fn open(link: &Arc<BrokerLink>, deadline: CallDeadline) -> Result<LinkHandle> {
        let scheduler = SchedulerProbe::ask(link)?;
        let statistics = follow_queues(link, deadline)?;
        let (link, table) = (Arc::clone(link), TablePort::new(link));
        Ok(LinkHandle { link, scheduler, statistics, table })
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

impl RoleLink for LinkHandle {
    fn is_open(&self) -> bool {
        self.life.is_open()
    }

    fn fail(&self, error: &Error) {
        self.link.fail(error);
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        self.life.note_closing();
        let farewell = self.call("close", self.removal(), CallDeadline::after(timeout));
        self.link.fail(&Error::closed("connection"));
        match farewell {
            Err(error @ Error::Timeout { .. }) => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for LinkHandle {
    /// Sends a goodbye without waiting. The writer ends once the broker has read everything and
    /// closed the socket, or at a deadline.
    fn drop(&mut self) {
        self.life.note_closing();
        let removal = OpenWireCommand::Command(CommandHead::default(), self.removal());
        let goodbye = OutgoingFrame::new(&removal)
            .and(&OpenWireCommand::Command(CommandHead::default(), CommandBody::Shutdown));
        self.outgoing.seal(Some(goodbye));
        self.outgoing.end();
    }
}

/// Starts the consumer of the advisories about queues, and waits until all present queues are
/// known. The own temporary queue shows whether the broker has advisories.
fn follow_queues(link: &Arc<BrokerLink>, deadline: CallDeadline) -> Result<Arc<StatisticsPort>> {
    let advisories = link.start(CommandBody::Consumer(ConsumerInfo {
        consumer: Some(link.consumer_id(OWN_SESSION, ADVISORIES)),
        destination: Some(QueueDirectory::topic()),
        prefetch: MOST_UNACKNOWLEDGED,
        is_dispatch_async: true,
        ..ConsumerInfo::default()
    }))?;
    let barrier = link.start(link.add_barrier())?;
    let (statistics, temporary_queue) = StatisticsPort::open(link)?;
    for consumer in [advisories, barrier] {
        let answer = link.finish("connect", &consumer, deadline)?;
        answer.map_err(|exception| no_advisories(refusal(&exception)))?;
    }
    // A user without the permission has no counts of queues.
    let has_queue = link.finish("connect", &temporary_queue, deadline)?.is_ok();
    link.wait_for_deliveries("connect", deadline)?;
    if has_queue && !lock(&link.queues).contains(statistics.queue()) {
        return Err(no_notices());
    }
    Ok(statistics)
}

/// Names the permission that a user lacks.
fn no_advisories(error: Error) -> Error {
    match error {
        Error::AccessRefused { reason } => Error::AccessRefused {
            reason: format!(
                "the user may not read the topics ActiveMQ.Advisory.Queue and \
                 ActiveMQ.Advisory.TempQueue, which tell the queues: {reason}"
            ),
        },
        other => other,
    }
}
