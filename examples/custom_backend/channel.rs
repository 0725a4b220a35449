use std::sync::Arc;
use std::time::Duration;

use carrot::backend::{
    Acknowledgement, Backend, ConsumeOptions, Declare, Delete, Deleted, Delivery, DeliveryTag,
    Extent, Outcome, Publication, PublishTag, QueueInfo, Rejection, Subscription,
};
use carrot::message::Value;
use carrot::{Error, Queue, Result};

use crate::shelf::Shelf;
use crate::subscription::ShelfSubscription;

/// Keeps a channel open. Closes the channel when its last owner is dropped: the backend or one of
/// its subscriptions.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) id: u64,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shelf.change();
        state.fail(self.id, Error::closed("channel"));
        state.channels.remove(&self.id);
    }
}

#[derive(Debug)]
pub(crate) struct ShelfChannel(pub(crate) Arc<Handle>);

impl Backend for ShelfChannel {
    fn declare(&self, entity: Declare<'_>, _timeout: Duration) -> Result<QueueInfo> {
        entity.validate()?;
        let queue = match entity {
            Declare::Queue(queue) => queue,
            Declare::Exchange(exchange) => return Err(not_a_queue("exchange", &exchange.name)),
            Declare::Binding(binding) => return Err(not_a_queue("binding", &binding.source)),
        };
        refuse_unsupported(queue)?;
        let Handle { shelf, id } = &*self.0;
        let mut state = shelf.change();
        if !queue.passive {
            state.declare(*id, queue)?;
        }
        let ready = state.ready_count(*id, &queue.name)?;
        Ok(QueueInfo::new(&*queue.name, ready as u32, state.consumer_count(&queue.name)))
    }

    fn delete(&self, entity: Delete<'_>, _timeout: Duration) -> Result<Deleted> {
        entity.validate()?;
        let Handle { shelf, id } = &*self.0;
        let count = match entity {
            Delete::Queue { name, condition } => shelf.change().delete(*id, name, condition)?,
            Delete::Messages { queue } => shelf.change().purge(*id, queue)?,
            Delete::Exchange { name, .. } => return Err(not_a_queue("exchange", name)),
            Delete::Binding(binding) => return Err(not_a_queue("binding", &binding.source)),
        };
        Ok(Deleted::new(count as u32))
    }

    fn publish(&self, publication: &Publication<'_>, _timeout: Duration) -> Result<PublishTag> {
        publication.validate()?;
        publication.refuse_delay()?;
        let Handle { shelf, id } = &*self.0;
        let mut state = shelf.change();
        let content = publication.content;
        let channel = state.channel(*id)?;
        channel.published += 1;
        let tag = channel.published;
        if !content.exchange.is_empty() {
            // The next call reports the refusal, such as the confirm of this message.
            let reason = format!("no exchange {:?}", content.exchange);
            state.fail(*id, Error::NotFound { reason });
            return Ok(PublishTag(tag));
        }
        let is_routed = state.enqueue(&content.routing_key, content);
        let outcome = match is_routed || !publication.mandatory {
            true => Outcome::Accepted,
            false => Outcome::Returned { code: 312, text: "NO_ROUTE".into() },
        };
        let channel = state.channel(*id)?;
        if channel.confirms {
            channel.outcomes.insert(tag, outcome);
        }
        Ok(PublishTag(tag))
    }

    fn confirm(&self, tag: PublishTag, _timeout: Duration) -> Result<Outcome> {
        let mut state = self.0.shelf.lock();
        let channel = state.channels.get_mut(&self.0.id).ok_or_else(|| Error::closed("channel"))?;
        // An answer that arrived before the channel ended is still returned.
        if let Some(outcome) = channel.outcomes.remove(&tag.0) {
            return Ok(outcome);
        }
        let limit = "a message of this channel without an answer, on a channel with confirms";
        let unknown = || Error::invalid("publish tag", &tag.0.to_string(), limit);
        Err(channel.dead.clone().unwrap_or_else(unknown))
    }

    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        _timeout: Duration,
    ) -> Result<Option<Delivery>> {
        self.0.shelf.change().take(self.0.id, queue, acknowledgement, None)
    }

    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        _timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        options.validate()?;
        if options.exclusive {
            return Err(Error::invalid("exclusive", queue, "no exclusive consumers"));
        }
        if options.arguments.contains("x-priority") {
            return Err(Error::invalid("x-priority", queue, "no priorities of consumers"));
        }
        let id = self.0.shelf.change().consume(self.0.id, queue, options)?;
        Ok(Box::new(ShelfSubscription::new(&self.0, queue, id)))
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.0.shelf.change().discard(self.0.id, tag, extent)
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        let mut state = self.0.shelf.change();
        match rejection {
            Rejection::Requeue | Rejection::RequeueFailed => {
                state.requeue_settled(self.0.id, tag, extent)
            }
            Rejection::Discard => state.discard(self.0.id, tag, extent),
        }
    }

    fn check(&self) -> Result<()> {
        self.0.shelf.lock().channel(self.0.id).map(drop)
    }

    fn close(&self, _timeout: Duration) -> Result<()> {
        self.0.shelf.change().fail(self.0.id, Error::closed("channel"));
        Ok(())
    }
}

/// The arguments that change the behaviour of a queue on RabbitMQ. As on RabbitMQ, any other
/// argument has no effect.
const UNSUPPORTED: [&str; 10] = [
    "x-message-ttl",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-overflow",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-priority",
    "x-single-active-consumer",
    "x-delivery-limit",
];

/// Refuses a queue that the broker would treat otherwise than the program expects. Nothing has
/// happened then, and the channel is open.
fn refuse_unsupported(queue: &Queue) -> Result<()> {
    let refuse = |limit: &'static str| Err(Error::invalid("queue", &queue.name, limit));
    if queue.name.is_empty() {
        return refuse("a name, because this backend chooses none");
    }
    if queue.passive {
        return Ok(());
    }
    if queue.exclusive || queue.auto_delete {
        return refuse("neither exclusive nor auto-delete, which this backend does not support");
    }
    let of_queue = queue.arguments.get("x-queue-type");
    if of_queue.is_some_and(|kind| *kind != Value::from("classic")) {
        return refuse("the queue type classic, the only one of this backend");
    }
    match UNSUPPORTED.iter().find(|name| queue.arguments.contains(name)) {
        Some(name) => Err(Error::invalid(*name, &queue.name, "no such argument")),
        None => Ok(()),
    }
}

fn not_a_queue(field: &'static str, name: &str) -> Error {
    Error::invalid(field, name, "only queues, because this backend has no exchanges")
}
