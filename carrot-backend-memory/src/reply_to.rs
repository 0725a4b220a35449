//! RabbitMQ's direct reply-to: answers that reach a channel without a queue.

use std::sync::{Arc, Weak};

use carrot_core::Result;

use crate::broker::Core;
use crate::channel::Channel;
use crate::ready::Parcel;
use crate::refusal;
use crate::sync::lock;

/// The queue that stands for "this channel, directly".
pub(crate) const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";
/// What the names made up for channels begin with.
pub(crate) const PREFIX: &str = "amq.rabbitmq.reply-to.";

/// Where answers to one name go.
#[derive(Debug)]
pub(crate) struct ReplyStream {
    channel: Weak<Channel>,
    stream: u64,
}

impl Core {
    /// Makes up a name for the answers to a channel.
    pub(crate) fn open_reply(&self, channel: &Arc<Channel>, stream: u64) -> Result<()> {
        let name: Arc<str> = format!("{PREFIX}{}", crate::broker::token()).into();
        channel.set_reply_to(Some(Arc::clone(&name)))?;
        lock(&self.replies).insert(name, ReplyStream { channel: Arc::downgrade(channel), stream });
        Ok(())
    }

    pub(crate) fn close_reply(&self, name: &str) {
        lock(&self.replies).remove(name);
    }

    /// Hands an answer to whoever waits for it; drops it if nobody does.
    pub(crate) fn deliver_reply(&self, name: &str, parcel: &Parcel) {
        let found =
            lock(&self.replies).get(name).map(|reply| (Weak::clone(&reply.channel), reply.stream));
        if let Some((channel, stream)) = found
            && let Some(channel) = channel.upgrade()
        {
            channel.deliver_answer(stream, Arc::clone(&parcel.content));
        }
    }

    /// Whether a declaration of such a name finds somebody.
    pub(crate) fn check_reply(&self, name: &str) -> Result<()> {
        if name == PSEUDO_QUEUE || lock(&self.replies).contains_key(name) {
            return Ok(());
        }
        Err(refusal::no_queue(name))
    }
}
