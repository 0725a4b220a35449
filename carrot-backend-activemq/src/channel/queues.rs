//! Queues of the broker: whether they exist, their creation, and their deletion.

use carrot_core::backend::{Declare, Delete, DeleteIf, Deleted, QueueInfo};
use carrot_core::{Error, Queue, Result};
use carrot_listener::lock;

use crate::channel::channel_core::ChannelCore;
use crate::channel::supported::check_queue;
use crate::connection::broker_link::BrokerLink;
use crate::connection::deadline::CallDeadline;
use crate::connection::link_reader::refusal;
use crate::content::queue_name;
use crate::wire::command::CommandBody;
use crate::wire::destination::WireDestination;
use crate::wire::setup_commands::DestinationInfo;

/// Returns whether the broker has told of a queue.
pub(crate) fn is_known(link: &BrokerLink, name: &str) -> bool {
    lock(&link.queues).contains(name)
}

/// Returns whether a queue exists.
///
/// The broker writes its notice of a new or a removed queue to every connection before it answers
/// the one that has changed the queue. After one more round trip, all earlier notices have arrived.
///
/// # Errors
/// - [`Error::Timeout`]: the broker did not answer.
/// - The error of the connection.
pub(crate) fn exists(
    link: &BrokerLink,
    operation: &'static str,
    name: &str,
    deadline: CallDeadline,
) -> Result<bool> {
    // The answer does not matter, only its place.
    link.call(operation, CommandBody::Flush, deadline)?.map_err(|error| refusal(&error))?;
    Ok(is_known(link, name))
}

impl ChannelCore {
    /// Fails, and ends the channel, if a queue does not exist. Returns its destination.
    pub(crate) fn existing(
        &self,
        operation: &'static str,
        queue: &str,
        deadline: CallDeadline,
    ) -> Result<WireDestination> {
        self.check()?;
        let name = queue_name::escape(queue.as_bytes());
        if self.checked(exists(&self.link, operation, &name, deadline))? {
            return Ok(WireDestination::queue(name));
        }
        let reason = format!("NOT_FOUND - no queue '{queue}'");
        Err(self.failed(Error::NotFound { reason }))
    }

    /// Returns the result of a call, or the first error of the channel.
    pub(crate) fn checked<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            if let Some(failure) = self.link.failure() {
                self.end(&failure);
            }
            self.check().err().unwrap_or(error)
        })
    }

    /// Sends a command, and waits for its answer. An error of the broker ends the channel.
    pub(crate) fn command(
        &self,
        operation: &'static str,
        body: CommandBody,
        deadline: CallDeadline,
    ) -> Result<()> {
        let answer = self.checked(self.link.call(operation, body, deadline))?;
        answer.map_err(|exception| self.failed(refusal(&exception)))
    }

    pub(crate) fn declare(&self, entity: Declare<'_>, deadline: CallDeadline) -> Result<QueueInfo> {
        entity.validate()?;
        match entity {
            Declare::Queue(queue) => self.declare_queue(queue, deadline),
            Declare::Exchange(exchange) => Err(no_exchanges("exchange", &exchange.name)),
            Declare::Binding(binding) => Err(no_exchanges("binding", &binding.source)),
        }
    }

    fn declare_queue(&self, queue: &Queue, deadline: CallDeadline) -> Result<QueueInfo> {
        check_queue(queue)?;
        let destination = if queue.passive {
            self.existing("declare", &queue.name, deadline)?
        } else {
            self.check()?;
            self.create(&queue.name, deadline)?
        };
        let counts = self.checked(self.link.statistics.counts(&destination.name, deadline))?;
        let counts = counts.unwrap_or_default();
        Ok(QueueInfo::new(&*queue.name, counts.ready, counts.consumers))
    }

    fn create(&self, queue: &str, deadline: CallDeadline) -> Result<WireDestination> {
        let destination = WireDestination::queue(queue_name::escape(queue.as_bytes()));
        let added = self.change_queue(&destination, DestinationInfo::ADD);
        self.command("declare", added, deadline)?;
        let is_told = is_known(&self.link, &destination.name)
            || self.checked(exists(&self.link, "declare", &destination.name, deadline))?;
        if is_told {
            return Ok(destination);
        }
        let reason = "the broker does not tell which queues exist; set advisorySupport=\"true\"";
        Err(self.failed(Error::Backend { reason: reason.into(), source: None }))
    }

    pub(crate) fn delete(&self, entity: Delete<'_>, deadline: CallDeadline) -> Result<Deleted> {
        entity.validate()?;
        match entity {
            Delete::Queue { name, condition } => self.delete_queue(name, condition, deadline),
            Delete::Messages { queue } => {
                let destination = self.existing("delete", queue, deadline)?;
                self.purge(&destination, deadline).map(Deleted::new)
            }
            Delete::Exchange { name, .. } => Err(no_exchanges("exchange", name)),
            Delete::Binding(binding) => Err(no_exchanges("binding", &binding.source)),
        }
    }

    fn delete_queue(
        &self,
        queue: &str,
        condition: DeleteIf,
        deadline: CallDeadline,
    ) -> Result<Deleted> {
        self.check()?;
        let name = queue_name::escape(queue.as_bytes());
        if !self.checked(exists(&self.link, "delete", &name, deadline))? {
            return Ok(Deleted::new(0));
        }
        let destination = WireDestination::queue(name);
        self.check_condition(queue, &destination, condition, deadline)?;
        let count = self.purge(&destination, deadline)?;
        if !condition.if_unused {
            self.end_consumers_of(&destination, deadline)?;
        }
        let removed = self.change_queue(&destination, DestinationInfo::REMOVE);
        let answer = self.checked(self.link.call("delete", removed, deadline))?;
        answer.map_err(|exception| match refusal(&exception) {
            Error::Backend { reason, .. } => {
                let reason = format!("PRECONDITION_FAILED - queue '{queue}' in use: {reason}");
                self.failed(Error::PreconditionFailed { reason })
            }
            refused => self.failed(refused),
        })?;
        Ok(Deleted::new(count))
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

    fn check_condition(
        &self,
        queue: &str,
        destination: &WireDestination,
        condition: DeleteIf,
        deadline: CallDeadline,
    ) -> Result<()> {
        if !condition.if_unused && !condition.if_empty {
            return Ok(());
        }
        let counts = self.checked(self.link.statistics.counts(&destination.name, deadline))?;
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

fn no_exchanges(field: &'static str, name: &str) -> Error {
    Error::invalid(field, name, "no exchanges and bindings yet, but the default exchange")
}
