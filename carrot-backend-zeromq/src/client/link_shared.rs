//! The parts of a connection that its threads share.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use carrot_core::backend::{Delivery, Event};
use carrot_core::{Error, Result};
use carrot_link::{LinkCall, LinkLife, write_items};
use carrot_listener::{OutgoingQueue, PeerStream};

use crate::client::channel_state::LinkChannel;
use crate::client::item::ClientItem;
use crate::heartbeat::Heartbeat;
use crate::zmtp::command;

/// The answer of the host to a call.
#[derive(Debug)]
pub(crate) enum CallAnswer {
    /// The fields of the answer.
    Done(Vec<u8>),
    /// A message that was fetched.
    Fetched(Delivery),
}

/// The parts of a connection that its threads share.
#[derive(Debug)]
pub(crate) struct LinkShared {
    pub(crate) stream: PeerStream,
    pub(crate) outgoing: OutgoingQueue<ClientItem>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) life: LinkLife<LinkEntries>,
}

/// The entries that last as long as a connection.
#[derive(Debug, Default)]
pub(crate) struct LinkEntries {
    /// The reason why the host blocks publishers.
    blocked: Option<String>,
    calls: HashMap<u32, Arc<LinkCall<CallAnswer>>>,
    channels: HashMap<u32, Weak<LinkChannel>>,
}

impl LinkShared {
    pub(crate) fn new(
        stream: PeerStream,
        heartbeat: Heartbeat,
        life: LinkLife<LinkEntries>,
    ) -> LinkShared {
        LinkShared { stream, outgoing: OutgoingQueue::default(), heartbeat, life }
    }

    /// Adds a call, whose answer may follow.
    pub(crate) fn begin_call(&self, number: u32) -> Result<Arc<LinkCall<CallAnswer>>> {
        let call = Arc::new(LinkCall::default());
        let waiting = Arc::clone(&call);
        self.life.add(|entries| drop(entries.calls.insert(number, waiting)))?;
        Ok(call)
    }

    pub(crate) fn forget_call(&self, number: u32) {
        self.life.entries(|entries| entries.calls.remove(&number));
    }

    /// Adds a channel, whose events follow.
    pub(crate) fn add_channel(&self, channel: &Arc<LinkChannel>) -> Result<()> {
        let entry = Arc::downgrade(channel);
        self.life.add(|entries| drop(entries.channels.insert(channel.number, entry)))
    }

    pub(crate) fn remove_channel(&self, number: u32) {
        self.life.entries(|entries| entries.channels.remove(&number));
    }

    pub(crate) fn channel(&self, number: u32) -> Option<Arc<LinkChannel>> {
        self.life.entries(|entries| entries.channels.get(&number).and_then(Weak::upgrade))
    }

    /// Returns the reason why the host blocks publishers, if it does.
    pub(crate) fn blocked(&self) -> Option<String> {
        self.life.entries(|entries| entries.blocked.clone())
    }

    /// Notes that the host blocks or unblocks publishers.
    pub(crate) fn note_blocked(&self, reason: Option<String>) {
        let role = self.life.role();
        let event = match &reason {
            Some(reason) => Event::Blocked { role, reason: reason.clone() },
            None => Event::Unblocked { role },
        };
        self.life.entries(|entries| entries.blocked = reason);
        self.life.report(event);
    }

    /// Passes the answer to a call on.
    pub(crate) fn answer(&self, call: u32, answer: Result<CallAnswer>) {
        let waiting = self.life.entries(|entries| entries.calls.remove(&call));
        if let Some(waiting) = waiting {
            waiting.answer(answer);
        }
    }

    /// Ends the connection, its calls and its channels.
    pub(crate) fn fail(&self, error: &Error) {
        self.life.end(error, |error, entries| {
            self.outgoing.abandon();
            self.stream.shut_down();
            for channel in entries.channels.values().filter_map(Weak::upgrade) {
                channel.fail(error);
            }
            entries.calls.into_values().for_each(|call| call.answer(Err(error.clone())));
        });
    }

    /// Writes until the connection ends.
    pub(crate) fn run_writer(&self) {
        let ping = |out: &mut Vec<u8>| command::ping(out, self.heartbeat.ttl_tenths());
        let interval = self.heartbeat.interval();
        match write_items(&self.stream, &self.outgoing, interval, ping, ClientItem::write) {
            Ok(()) => self.life.finish(&self.stream),
            Err(error) => self.fail(&self.life.loss(error)),
        }
    }
}
