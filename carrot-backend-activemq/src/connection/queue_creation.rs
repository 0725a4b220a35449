//! The creation of queues, and the notices of the broker about them.

use std::time::{Duration, Instant};

use carrot_core::{Error, Result};
use carrot_link::CallDeadline;
use carrot_listener::{lock, wait_until};

use crate::connection::broker_link::BrokerLink;
use crate::connection::link_reader::refusal;
use crate::wire::command::CommandBody;
use crate::wire::destination::WireDestination;
use crate::wire::setup_commands::DestinationInfo;

/// The time after which a queue without a notice is created again: another client may have deleted
/// it meanwhile.
const NOTICE_PATIENCE: Duration = Duration::from_millis(500);

impl BrokerLink {
    /// Returns the command that adds or removes a queue.
    pub(crate) fn queue_change(&self, queue: &WireDestination, operation: u8) -> CommandBody {
        CommandBody::Destination(DestinationInfo {
            connection: Some(self.connection_id()),
            destination: Some(queue.clone()),
            operation,
            ..DestinationInfo::default()
        })
    }

    /// Creates a queue, unless it exists, and waits until it is known.
    ///
    /// If another client creates the queue at the same time, the broker answers this one first, and
    /// sends the notice later.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer, or sent no notice.
    /// - [`Error::AccessRefused`]: the user may not create the queue.
    /// - [`Error::Backend`]: the broker sends no notices at all.
    /// - The error of the connection.
    pub(crate) fn create_queue(
        &self,
        operation: &'static str,
        queue: &WireDestination,
        deadline: CallDeadline,
    ) -> Result<()> {
        loop {
            let added = self.queue_change(queue, DestinationInfo::ADD);
            self.call(operation, added, deadline)?.map_err(|exception| refusal(&exception))?;
            if self.is_told_until(queue, deadline.at().min(Instant::now() + NOTICE_PATIENCE)) {
                return Ok(());
            }
            self.life.failure().map_or(Ok(()), Err)?;
            if deadline.left().is_zero() {
                let is_silent = lock(&self.queues).is_silent();
                return Err(if is_silent { no_notices() } else { deadline.late(operation) });
            }
        }
    }

    /// Waits until a queue is known. Returns `false` if `end` passed first, or the connection has
    /// ended.
    fn is_told_until(&self, queue: &WireDestination, end: Instant) -> bool {
        let mut queues = lock(&self.queues);
        let mut passed = false;
        while !queues.contains(queue) && !passed && self.life.is_open() {
            (queues, passed) = wait_until(&self.queues_changed, queues, end);
        }
        queues.contains(queue)
    }
}

/// Returns the error of a broker without advisories.
pub(crate) fn no_notices() -> Error {
    let reason = "the broker does not tell which queues exist; set advisorySupport=\"true\"";
    Error::Backend { reason: reason.into(), source: None }
}
