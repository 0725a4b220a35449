//! The deletion of queues.

use carrot_core::backend::{Delete, DeleteIf, Deleted};
use carrot_core::{Error, Result};
use carrot_link::CallDeadline;

use crate::channel::channel_core::ChannelCore;
use crate::channel::queues::{exists, locked, without_line_breaks};
use crate::connection::link_reader::refusal;
use crate::connection::linked_channel::BrokerAnswer;
use crate::connection::statistics::BrokerCounts;
use crate::content::queue_name;
use crate::wire::broker_error::BrokerException;
use crate::wire::command::CommandBody;
use crate::wire::destination::{DestinationKind, WireDestination};
use crate::wire::setup_commands::DestinationInfo;

impl ChannelCore {
    pub(crate) fn delete(&self, entity: Delete<'_>, deadline: CallDeadline) -> Result<Deleted> {
        entity.validate()?;
        match entity {
            Delete::Queue { name, condition } => {
                self.delete_queue(&without_line_breaks(name), condition, deadline)
            }
            Delete::Messages { queue } => self.purge(queue, deadline).map(Deleted::new),
            Delete::Exchange { name, condition } => {
                self.delete_exchange(&without_line_breaks(name), condition, deadline)
            }
            Delete::Binding(binding) => self.unbind(binding, deadline),
        }
    }

    /// Deletes a queue with its messages, which stay if the broker refuses. Returns the number of
    /// ready messages that the broker counted before.
    fn delete_queue(
        &self,
        queue: &str,
        condition: DeleteIf,
        deadline: CallDeadline,
    ) -> Result<Deleted> {
        self.check()?;
        let destination = queue_name::destination(queue.as_bytes());
        self.check_reserved(&destination)?;
        if !self.checked(exists(&self.link, "delete", &destination, deadline))? {
            self.forget_queue(queue, deadline)?;
            return Ok(Deleted::new(0));
        }
        if destination.kind == DestinationKind::TemporaryQueue && !self.owns(&destination) {
            return Err(self.failed(locked(queue)));
        }
        let counts = self.counts("delete", &destination, deadline)?;
        self.check_condition(queue, counts, condition)?;
        while let Err(exception) = self.remove(&destination, condition, deadline)? {
            // Another thread is removing a consumer of this connector, for example that of workers
            // that were dropped.
            let is_ending = !condition.if_unused && self.is_own_consumer(&exception);
            if is_ending && !deadline.left().is_zero() {
                continue;
            }
            return Err(self.failed(match refusal(&exception) {
                Error::Backend { reason, .. } => Error::PreconditionFailed {
                    reason: format!("PRECONDITION_FAILED - queue '{queue}' in use: {reason}"),
                },
                refused => refused,
            }));
        }
        self.forget_queue(queue, deadline)?;
        Ok(Deleted::new(counts.map_or(0, |counts| counts.ready)))
    }

    /// Removes a queue at the broker, and before that the consumers of this connector, unless the
    /// queue has to be unused.
    fn remove(
        &self,
        destination: &WireDestination,
        condition: DeleteIf,
        deadline: CallDeadline,
    ) -> Result<BrokerAnswer> {
        if !condition.if_unused {
            self.end_consumers_of(destination, deadline)?;
        }
        let removed = self.change_queue(destination, DestinationInfo::REMOVE);
        self.checked(self.link.call("delete", removed, deadline))
    }

    /// Returns whether an exception names a consumer of this connector.
    fn is_own_consumer(&self, exception: &BrokerException) -> bool {
        self.family.links().iter().any(|link| exception.message.contains(&*link.name))
    }

    /// Ends the subscriptions of this connector to a queue. The broker deletes no queue that has
    /// consumers.
    fn end_consumers_of(
        &self,
        destination: &WireDestination,
        deadline: CallDeadline,
    ) -> Result<()> {
        for link in self.family.links() {
            link.note_deletion(destination);
            // The broker has removed the consumers once it answers. A lost connection has none.
            if let Err(late @ Error::Timeout { .. }) =
                link.call("delete", CommandBody::Flush, deadline)
            {
                return Err(late);
            }
        }
        Ok(())
    }

    /// Fails if the condition of a deletion is not met. The broker itself knows no condition: a
    /// message that arrives after the counts is deleted with its queue.
    fn check_condition(
        &self,
        queue: &str,
        counts: Option<BrokerCounts>,
        condition: DeleteIf,
    ) -> Result<()> {
        let Some(counts) = counts else {
            // The broker itself refuses to delete a queue in use.
            return match condition.if_empty {
                true => {
                    Err(Error::invalid("if_empty", "true", "false without the statistics plug-in"))
                }
                false => Ok(()),
            };
        };
        let broken = if condition.if_unused && counts.consumers > 0 {
            "in use"
        } else if condition.if_empty && counts.ready > 0 {
            "not empty"
        } else {
            return Ok(());
        };
        let reason = format!("PRECONDITION_FAILED - queue '{queue}' {broken}");
        Err(self.failed(Error::PreconditionFailed { reason }))
    }
}
