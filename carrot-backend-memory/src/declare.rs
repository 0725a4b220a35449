//! Declaring and deleting, with the checks that depend on who asks.

use std::sync::Arc;

use carrot_core::backend::{DeleteIf, Deleted, QueueInfo};
use carrot_core::{Binding, Destination, Error, Exchange, Result};

use crate::arguments::{Kind, Rules, check_type_of_server_named, compare_queue};
use crate::broker::token;
use crate::handle::Handle;
use crate::queue::Queue;
use crate::refusal;
use crate::reply_to;

impl Handle {
    pub(crate) fn declare_exchange(&self, declared: &Exchange) -> Result<QueueInfo> {
        let name = &declared.name;
        let behaviour = self.core().topology.read().behaviour(&declared.kind);
        if behaviour.is_none() && !declared.passive {
            return Err(refusal::unknown_exchange_type(&declared.kind));
        }
        if declared.is_default() {
            return Err(refusal::default_exchange());
        }
        if declared.passive {
            return match self.core().topology.read().exchanges.contains_key(name.as_str()) {
                true => Ok(QueueInfo::new(name, 0, 0)),
                false => Err(refusal::no_exchange(name)),
            };
        }
        self.core().topology.write().declare_exchange(declared, &behaviour.unwrap_or_default())?;
        Ok(QueueInfo::new(name, 0, 0))
    }

    pub(crate) fn declare_queue(&self, declared: &carrot_core::Queue) -> Result<QueueInfo> {
        let mut name = declared.name.clone();
        if name == reply_to::PSEUDO_QUEUE || name.starts_with(reply_to::PREFIX) {
            self.core().check_reply(&name)?;
            self.channel.set_last_queue(&name);
            return Ok(QueueInfo::new(name, 0, 1));
        }
        if declared.passive {
            let queue = self.queue_named(&name)?;
            return self.declared(&queue);
        }
        if name.is_empty() {
            check_type_of_server_named(&declared.arguments)?;
            name = format!("amq.gen-{}", token());
        } else if name.starts_with("amq.") {
            return Err(refusal::reserved("queue", &name));
        }
        let existing = self.core().topology.read().queue(&name).cloned();
        if let Some(queue) = existing {
            self.assert_equal(&queue, declared)?;
            return self.declared(&queue);
        }
        let rules = Rules::new(&name, &declared.arguments)?;
        if rules.kind != Kind::Classic {
            check_quorum(&name, declared)?;
        }
        let owner = declared.exclusive.then_some(self.connection.id);
        if owner.is_none() {
            Rules::check_locator(&declared.arguments)?;
        }
        let mut topology = self.core().topology.write();
        if let Some(gone) =
            topology.queues.get(name.as_str()).filter(|queue| queue.is_gone()).cloned()
        {
            topology.remove_queue(&gone);
        }
        if let Some(queue) = topology.queue(&name).cloned() {
            drop(topology);
            self.assert_equal(&queue, declared)?;
            return self.declared(&queue);
        }
        let shared: Arc<str> = name.as_str().into();
        let queue = Arc::new(Queue::new(
            topology.next_id(),
            declared,
            Arc::clone(&shared),
            owner,
            rules,
            self.core().clock.now(),
        ));
        topology.queues.insert(shared, Arc::clone(&queue));
        drop(topology);
        queue.start(self.core());
        if owner.is_some() {
            self.connection.adopt();
        }
        self.channel.set_last_queue(&name);
        Ok(QueueInfo::new(name, 0, 0))
    }

    pub(crate) fn assert_equal(&self, queue: &Queue, declared: &carrot_core::Queue) -> Result<()> {
        let owner = declared.exclusive.then_some(self.connection.id);
        if queue.owner != owner {
            return Err(refusal::locked(&queue.name));
        }
        let durable = declared.durable && !declared.exclusive;
        if queue.durable != durable {
            return Err(refusal::different(
                "durable",
                "queue",
                &queue.name,
                durable,
                queue.durable,
            ));
        }
        if queue.auto_delete != declared.auto_delete {
            return Err(refusal::different(
                "auto_delete",
                "queue",
                &queue.name,
                declared.auto_delete,
                queue.auto_delete,
            ));
        }
        compare_queue(&queue.name, &queue.arguments, &declared.arguments)
    }

    pub(crate) fn declared(&self, queue: &Arc<Queue>) -> Result<QueueInfo> {
        let (ready, consumers) = self.and_bury(|| queue.counts(self.core()))?;
        self.channel.set_last_queue(&queue.name);
        let clamp = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(QueueInfo::new(&*queue.name, clamp(ready), clamp(consumers)))
    }

    /// The binding with the queue that an empty name stands for, once it is known to be allowed.
    pub(crate) fn resolve(&self, binding: &Binding) -> Result<Binding> {
        let mut binding = binding.clone();
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
            return Err(refusal::default_exchange());
        }
        Ok(binding)
    }

    pub(crate) fn delete_exchange(&self, name: &str, condition: DeleteIf) -> Result<Deleted> {
        if name.is_empty() {
            return Err(refusal::default_exchange());
        }
        if name.starts_with("amq.") {
            return Err(refusal::access(format_args!(
                "deletion of system exchange '{name}' in vhost '/' not allowed"
            )));
        }
        self.core().topology.write().delete_exchange(name, condition)?;
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
        let Some(estate) = self.and_bury(|| queue.delete(condition))? else {
            return Ok(Deleted::default());
        };
        let count = estate.ready;
        self.core().settle_estate(&queue, estate);
        Ok(Deleted::new(u32::try_from(count).unwrap_or(u32::MAX)))
    }
}

/// Refuses a quorum queue that would not be durable and shared.
fn check_quorum(name: &str, declared: &carrot_core::Queue) -> Result<()> {
    let wrong = [
        (declared.exclusive, "exclusive-owner"),
        (declared.auto_delete, "auto-delete"),
        (!declared.durable, "non-durable"),
    ];
    match wrong.iter().find(|(wrong, _)| *wrong) {
        Some((_, property)) => Err(refusal::precondition(format_args!(
            "invalid property '{property}' for queue '{name}' in vhost '/'"
        ))),
        None => Ok(()),
    }
}
