//! RabbitMQ's direct reply-to: replies that reach a channel without a queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use carrot_core::Result;

use crate::broker::names::{is_random_suffix, random_suffix};
use crate::channel::BrokerChannel;
use crate::errors;
use crate::queue::message::RoutedMessage;
use crate::release_rules::ReplyRules;
use crate::routing::route::{DIRECT_REPLY_PREFIX, Routes};
use crate::sync::lock;

/// The queue name that stands for direct replies to the consuming channel.
pub(crate) const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";

/// Whether a name has the form of an address that the broker generates for direct replies.
pub(crate) fn is_address(name: &str) -> bool {
    name.strip_prefix(DIRECT_REPLY_PREFIX).is_some_and(is_random_suffix)
}

/// The inboxes of direct replies, by the name that replies are sent to.
#[derive(Debug, Default)]
pub(crate) struct DirectReplies(Mutex<HashMap<Arc<str>, ReplyInbox>>);

#[derive(Debug)]
struct ReplyInbox {
    channel: Weak<BrokerChannel>,
    inbox: u64,
}

impl DirectReplies {
    /// Generates a name for replies to a channel.
    pub(crate) fn add(&self, channel: &Arc<BrokerChannel>, inbox: u64) -> Result<()> {
        let name: Arc<str> = format!("{DIRECT_REPLY_PREFIX}{}", random_suffix()).into();
        channel.set_reply_to(Some(Arc::clone(&name)))?;
        lock(&self.0).insert(name, ReplyInbox { channel: Arc::downgrade(channel), inbox });
        Ok(())
    }

    pub(crate) fn remove(&self, name: &str) {
        lock(&self.0).remove(name);
    }

    /// Checks that a declaration of such a name succeeds.
    pub(crate) fn check(&self, name: &str, rules: &ReplyRules) -> Result<()> {
        if name == PSEUDO_QUEUE || lock(&self.0).contains_key(name) {
            return Ok(());
        }
        match rules.foreign_address_closes_connection && !is_address(name) {
            true => Err(errors::internal_error()),
            false => Err(errors::no_queue(name)),
        }
    }

    /// Delivers a message to the direct replies among its routes, or drops it if no channel
    /// consumes them.
    pub(crate) fn deliver(&self, routes: &Routes<'_>, message: &RoutedMessage, rules: &ReplyRules) {
        for name in &routes.replies {
            let found =
                lock(&self.0).get(&**name).map(|reply| (Weak::clone(&reply.channel), reply.inbox));
            if let Some((channel, inbox)) = found
                && let Some(channel) = channel.upgrade()
            {
                channel.deliver_reply(inbox, Arc::clone(&message.content), rules.use_tags);
            }
        }
    }
}
