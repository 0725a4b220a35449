//! Queues of the broker: whether they exist, and their creation.

use std::borrow::Cow;

use carrot_core::backend::{Declare, QueueInfo};
use carrot_core::{Error, Queue, Result};
use carrot_link::CallDeadline;
use carrot_listener::lock;

use crate::channel::channel_core::ChannelCore;
use crate::channel::supported::check_queue;
use crate::connection::broker_link::BrokerLink;
use crate::connection::link_reader::refusal;
use crate::connection::statistics::BrokerCounts;
use crate::connection::table_arrivals::TABLE_QUEUE;
use crate::connection::table_port::table_queue;
use crate::content::queue_name;
use crate::exchanges::queue_rules::{BrokerQueueRules, stored_arguments};
use crate::wire::command::CommandBody;
use crate::wire::destination::{DestinationKind, WireDestination};

/// Returns whether the broker has told of a queue.
pub(crate) fn is_known(link: &BrokerLink, queue: &WireDestination) -> bool {
    lock(&link.queues).contains(queue)
}

/// Returns whether a queue exists.
///
/// The broker queues its notice of a new or a removed queue for every connection before it answers
/// the one that has changed the queue. After a barrier, all earlier notices have arrived.
///
/// # Errors
/// - [`Error::Timeout`]: the broker did not answer.
/// - The error of the connection.
pub(crate) fn exists(
    link: &BrokerLink,
    operation: &'static str,
    queue: &WireDestination,
    deadline: CallDeadline,
) -> Result<bool> {
    link.wait_for_deliveries(operation, deadline)?;
    Ok(is_known(link, queue))
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
        let destination = queue_name::destination(queue.as_bytes());
        self.check_reserved(&destination)?;
        if !self.checked(exists(&self.link, operation, &destination, deadline))? {
            return Err(self.failed(no_queue(queue)));
        }
        if destination.kind == DestinationKind::TemporaryQueue && !self.owns(&destination) {
            return Err(self.failed(locked(queue)));
        }
        Ok(destination)
    }

    /// Fails, and ends the channel, for the queue of the table of exchanges.
    pub(crate) fn check_reserved(&self, queue: &WireDestination) -> Result<()> {
        if *queue != table_queue() {
            return Ok(());
        }
        let reason = format!("ACCESS_REFUSED - queue '{TABLE_QUEUE}' holds the exchanges");
        Err(self.failed(Error::AccessRefused { reason }))
    }

    /// Returns whether a temporary queue belongs to this connection.
    pub(crate) fn owns(&self, queue: &WireDestination) -> bool {
        let name = queue.name.strip_prefix(&*self.link.name);
        name.is_some_and(|rest| rest.starts_with(':'))
    }

    /// Returns the result of a call, or the first error of the channel.
    pub(crate) fn checked<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            if let Some(failure) = self.link.life.failure() {
                self.end(&failure);
            }
            self.check().err().unwrap_or(error)
        })
    }

    /// Waits until all earlier notices have arrived.
    pub(crate) fn flush(&self, operation: &'static str, deadline: CallDeadline) -> Result<()> {
        self.checked(self.link.wait_for_deliveries(operation, deadline))
    }

    /// Ends the channel over an error of a declaration, unless nothing was sent.
    pub(crate) fn ended_by(&self, error: Error) -> Error {
        match error {
            Error::Invalid { .. } => error,
            error => self.failed(error),
        }
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
            Declare::Exchange(exchange) => self.declare_exchange(exchange, deadline),
            Declare::Binding(binding) => self.bind(binding, deadline),
        }
    }

    fn declare_queue(&self, queue: &Queue, deadline: CallDeadline) -> Result<QueueInfo> {
        let name = without_line_breaks(&queue.name);
        if !queue.passive && is_reserved(&name) {
            self.check()?;
            let reason = format!("ACCESS_REFUSED - queue name '{name}' contains a reserved prefix");
            return Err(self.failed(Error::AccessRefused { reason }));
        }
        check_queue(queue)?;
        if name.is_empty() {
            return self.declare_temporary(deadline);
        }
        let destination = if queue.passive {
            self.existing("declare", &name, deadline)?
        } else {
            self.check()?;
            self.declare_named(&name, queue, deadline)?
        };
        let counts = self.counts("declare", &destination, deadline)?.unwrap_or_default();
        Ok(QueueInfo::new(name, counts.ready, counts.consumers))
    }

    /// Returns the counts of a queue; `None` if the broker does not count.
    pub(crate) fn counts(
        &self,
        operation: &'static str,
        queue: &WireDestination,
        deadline: CallDeadline,
    ) -> Result<Option<BrokerCounts>> {
        let name = match queue.kind {
            DestinationKind::TemporaryQueue => {
                Cow::from(queue_name::name_of(queue).unwrap_or_default().to_string())
            }
            _ => Cow::from(&queue.name),
        };
        self.checked(self.link.statistics.counts(operation, &name, deadline))
    }

    /// Creates a temporary queue, which the broker deletes with this connection.
    fn declare_temporary(&self, deadline: CallDeadline) -> Result<QueueInfo> {
        self.check()?;
        let name = format!("{}:{}", self.link.name, self.link.next_number());
        let destination = WireDestination::temporary_queue(name);
        self.create(&destination, deadline)?;
        let name = queue_name::name_of(&destination).unwrap_or_default();
        Ok(QueueInfo::new(name.as_str(), 0, 0))
    }

    /// Declares a queue. Its settings are stored first, since its first message needs them, and
    /// compared again once the queue exists: another client may have declared it meanwhile.
    fn declare_named(
        &self,
        name: &str,
        queue: &Queue,
        deadline: CallDeadline,
    ) -> Result<WireDestination> {
        let destination = queue_name::destination(name.as_bytes());
        self.check_reserved(&destination)?;
        BrokerQueueRules::new(name, &queue.arguments).map_err(|error| self.ended_by(error))?;
        let arguments = stored_arguments(&queue.arguments);
        if self.checked(exists(&self.link, "declare", &destination, deadline))? {
            self.compare_settings(name, &arguments, deadline)?;
            return Ok(destination);
        }
        if !self.store_settings(name, &arguments, deadline)? {
            self.create(&destination, deadline)?;
            self.confirm_settings(name, &arguments, deadline)?;
        }
        Ok(destination)
    }

    /// Creates a queue, and waits until it is known. An error ends the channel.
    fn create(&self, destination: &WireDestination, deadline: CallDeadline) -> Result<()> {
        self.declared(self.link.create_queue("declare", destination, deadline))
    }
}

pub(crate) fn no_queue(name: &str) -> Error {
    Error::NotFound { reason: format!("NOT_FOUND - no queue '{name}'") }
}

pub(crate) fn locked(queue: &str) -> Error {
    let reason = format!("RESOURCE_LOCKED - queue '{queue}' belongs to another connection");
    Error::ResourceLocked { reason }
}

/// Returns whether a name is one that only the broker gives.
fn is_reserved(name: &str) -> bool {
    let kind = queue_name::destination(name.as_bytes()).kind;
    name.starts_with("amq.") || kind == DestinationKind::TemporaryQueue
}

/// RabbitMQ ignores line breaks in names.
pub(crate) fn without_line_breaks(name: &str) -> String {
    name.replace(['\r', '\n'], "")
}
