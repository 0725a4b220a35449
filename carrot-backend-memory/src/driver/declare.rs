//! Declares and deletes entities, with the checks that depend on the connection.

use std::borrow::Cow;
use std::sync::Arc;

use carrot_core::backend::{Declare, Delete, DeleteIf, Deleted, QueueInfo};
use carrot_core::{Binding, Destination, Error, Exchange, Result, Value};

use crate::broker::direct_reply_to;
use crate::broker::names::{random_suffix, without_line_breaks};
use crate::driver::channel_handle::ChannelHandle;
use crate::errors;
use crate::queue::BrokerQueue;
use crate::queue::arguments::{QueueKind, QueueRules, check_type_of_server_named, compare_queue};
use crate::queue::context::QueueId;
use crate::routing::route::DIRECT_REPLY_PREFIX;

impl ChannelHandle {
    pub(crate) fn declare(&self, entity: Declare<'_>) -> Result<QueueInfo> {
        match entity {
            Declare::Exchange(exchange) => self.declare_exchange(exchange),
            Declare::Queue(queue) => self.declare_queue(queue),
            Declare::Binding(binding) => self.resolve(binding).and_then(|binding| {
                self.shared().topology_mut().bind(&binding, self.connection.id)?;
                Ok(QueueInfo::default())
            }),
        }
    }

    pub(crate) fn delete(&self, entity: Delete<'_>) -> Result<Deleted> {
        match entity {
            Delete::Exchange { name, condition } => {
                self.delete_exchange(&without_line_breaks(name), condition)
            }
            Delete::Queue { name, condition } => {
                self.delete_queue(&without_line_breaks(name), condition)
            }
            Delete::Binding(binding) => self.resolve(binding).and_then(|binding| {
                self.shared().topology_mut().unbind(&binding, self.connection.id)?;
                Ok(Deleted::default())
            }),
            Delete::Messages { queue } => self.queue(queue).and_then(|queue| {
                let count = self.then_dead_letter(|| queue.purge())?;
                Ok(Deleted::new(u32::try_from(count).unwrap_or(u32::MAX)))
            }),
        }
    }

    pub(crate) fn declare_exchange(&self, declared: &Exchange) -> Result<QueueInfo> {
        let mut declared = declared.clone();
        declared.name = without_line_breaks(&declared.name);
        let name = &declared.name;
        let behaviour = self.shared().topology().behaviour(&declared.kind);
        if behaviour.is_none() && !declared.passive {
            let closes_connection = self.shared().rules().unknown_exchange_type_closes_connection;
            return Err(errors::unknown_exchange_type(&declared.kind, closes_connection));
        }
        if declared.is_default() {
            return Err(errors::default_exchange());
        }
        if declared.passive {
            return match self.shared().topology().exchange(name) {
                Some(_) => Ok(QueueInfo::new(name, 0, 0)),
                None => Err(errors::no_exchange(name)),
            };
        }
        self.shared().topology_mut().declare_exchange(&declared, behaviour.unwrap_or_default())?;
        Ok(QueueInfo::new(name, 0, 0))
    }

    pub(crate) fn declare_queue(&self, declared: &carrot_core::Queue) -> Result<QueueInfo> {
        let declared = &self.with_type(declared);
        let mut name = without_line_breaks(&declared.name);
        if name == direct_reply_to::PSEUDO_QUEUE || name.starts_with(DIRECT_REPLY_PREFIX) {
            self.shared().replies.check(&name, &self.shared().rules().replies)?;
            self.channel.set_last_queue(&name);
            return Ok(QueueInfo::new(name, 0, 1));
        }
        if declared.passive {
            let queue = self.queue_named(&name)?;
            return self.declared(&queue);
        }
        if name.is_empty() {
            check_type_of_server_named(&declared.arguments, &self.shared().rules().queues)?;
            name = format!("amq.gen-{}", random_suffix());
        } else if name.starts_with("amq.") {
            return Err(errors::reserved("queue", &name));
        }
        let existing = self.shared().topology().queue(&name).cloned();
        if let Some(queue) = existing {
            self.assert_equal(&queue, declared)?;
            return self.declared(&queue);
        }
        self.declare_new_queue(&name, declared)
    }

    /// Returns the declaration with the default type, if it has none. RabbitMQ adds the type before
    /// all checks.
    fn with_type<'a>(&self, declared: &'a carrot_core::Queue) -> Cow<'a, carrot_core::Queue> {
        match declared.arguments.contains("x-queue-type") {
            false => self.with_default_type(declared),
            true => Cow::Borrowed(declared),
        }
    }

    /// Returns the declaration with a type in place of the empty one, which stands for the default
    /// type, and remains in the declaration.
    fn with_meant_type<'a>(&self, declared: &'a carrot_core::Queue) -> Cow<'a, carrot_core::Queue> {
        let kind = declared.arguments.get("x-queue-type").and_then(Value::as_str);
        match self.shared().rules().queues.empty_type_is_default && kind == Some("") {
            true => self.with_default_type(declared),
            false => Cow::Borrowed(declared),
        }
    }

    fn with_default_type<'a>(
        &self,
        declared: &'a carrot_core::Queue,
    ) -> Cow<'a, carrot_core::Queue> {
        let may_be_quorum = declared.durable && !declared.exclusive && !declared.auto_delete;
        match self.shared().quorum_by_default && may_be_quorum {
            true => Cow::Owned(declared.clone().quorum()),
            false => Cow::Borrowed(declared),
        }
    }

    /// Declares a queue that did not exist before. Another thread may declare it meanwhile.
    fn declare_new_queue(&self, name: &str, declared: &carrot_core::Queue) -> Result<QueueInfo> {
        let arguments = &self.with_meant_type(declared).arguments;
        let rules = QueueRules::new(name, arguments, self.shared().rules())?;
        if rules.kind != QueueKind::Classic {
            check_quorum(name, declared)?;
        }
        let owner = declared.exclusive.then_some(self.connection.id);
        QueueRules::check_locator(
            &declared.arguments,
            owner.is_some(),
            &self.shared().rules().queues,
        )?;
        let mut topology = self.shared().topology_mut();
        if let Some(queue) = topology.queue(name).cloned() {
            drop(topology);
            self.assert_equal(&queue, declared)?;
            return self.declared(&queue);
        }
        let id = QueueId { name: name.into(), number: topology.next_id() };
        let queue = Arc::new(BrokerQueue::new(id, declared, owner, rules, &self.shared().context));
        topology.add_queue(Arc::clone(&queue));
        drop(topology);
        queue.start();
        if owner.is_some() {
            self.connection.note_exclusive_queue();
        }
        self.channel.set_last_queue(name);
        Ok(QueueInfo::new(name, 0, 0))
    }

    pub(crate) fn assert_equal(
        &self,
        queue: &BrokerQueue,
        declared: &carrot_core::Queue,
    ) -> Result<()> {
        let owner = declared.exclusive.then_some(self.connection.id);
        if queue.owner != owner {
            return Err(errors::locked(&queue.name));
        }
        let durable = declared.durable && !declared.exclusive;
        if queue.durable != durable {
            return Err(errors::different("durable", "queue", &queue.name, durable, queue.durable));
        }
        if queue.auto_delete != declared.auto_delete {
            return Err(errors::different(
                "auto_delete",
                "queue",
                &queue.name,
                declared.auto_delete,
                queue.auto_delete,
            ));
        }
        compare_queue(
            &queue.name,
            queue.kind(),
            &queue.arguments,
            &declared.arguments,
            &self.shared().rules().queues,
        )
    }

    pub(crate) fn declared(&self, queue: &Arc<BrokerQueue>) -> Result<QueueInfo> {
        let (ready, consumers) = self.then_dead_letter(|| queue.counts())?;
        self.channel.set_last_queue(&queue.name);
        let clamp = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(QueueInfo::new(&*queue.name, clamp(ready), clamp(consumers)))
    }

    /// Returns the binding with the queue that an empty name stands for, if it is allowed.
    pub(crate) fn resolve(&self, binding: &Binding) -> Result<Binding> {
        let mut binding = binding.clone();
        binding.source = without_line_breaks(&binding.source);
        let (Destination::Queue(target) | Destination::Exchange(target)) = &mut binding.destination;
        *target = without_line_breaks(target);
        if let Destination::Queue(name) = &mut binding.destination
            && name.is_empty()
        {
            *name = self.channel.last_queue()?.to_string();
            if binding.routing_key.is_empty() {
                binding.routing_key.clone_from(name);
            }
        }
        if binding.source.is_empty() || binding.destination == Destination::Exchange(String::new())
        {
            return Err(errors::default_exchange());
        }
        Ok(binding)
    }

    pub(crate) fn delete_exchange(&self, name: &str, condition: DeleteIf) -> Result<Deleted> {
        if name.is_empty() {
            return Err(errors::default_exchange());
        }
        if name.starts_with("amq.") {
            return Err(errors::access(format_args!(
                "deletion of system exchange '{name}' in vhost '/' not allowed"
            )));
        }
        self.shared().topology_mut().delete_exchange(name, condition)?;
        Ok(Deleted::default())
    }

    pub(crate) fn delete_queue(&self, name: &str, condition: DeleteIf) -> Result<Deleted> {
        let last;
        let name = if name.is_empty() {
            last = self.channel.last_queue()?;
            &*last
        } else {
            name
        };
        let queue = match self.queue_named(name) {
            Ok(queue) => queue,
            Err(Error::NotFound { .. }) => return Ok(Deleted::default()),
            Err(error) => return Err(error),
        };
        let Some(deleted) = self.then_dead_letter(|| queue.delete(condition))? else {
            return Ok(Deleted::default());
        };
        let count = deleted.ready;
        self.shared().remove_queue(&queue, deleted);
        Ok(Deleted::new(u32::try_from(count).unwrap_or(u32::MAX)))
    }
}

/// Fails for a quorum queue that is not durable, or not shared.
fn check_quorum(name: &str, declared: &carrot_core::Queue) -> Result<()> {
    let wrong = [
        (declared.auto_delete, "auto-delete"),
        (declared.exclusive, "exclusive-owner"),
        (!declared.durable, "non-durable"),
    ];
    match wrong.iter().find(|(wrong, _)| *wrong) {
        Some((_, property)) => Err(errors::precondition(format_args!(
            "invalid property '{property}' for queue '{name}' in vhost '/'"
        ))),
        None => Ok(()),
    }
}
