//! The events of a channel, on their way to the writer of the connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use carrot_amqp_wire::{BasicCancel, BasicConsumeOk};
use carrot_backend_memory::session::{ChannelEvent, ChannelOutput};
use carrot_core::Error;
use carrot_core::backend::ShortString;

use crate::outgoing::{ConfirmedRange, Item, Outgoing};
use crate::sync::lock;

/// Puts the events of a channel into the queue of the connection.
#[derive(Debug)]
pub(crate) struct PeerOutput {
    channel: u16,
    outgoing: Arc<Outgoing>,
    /// Whether the peer understands that the broker cancels consumers.
    hears_cancels: bool,
    /// Whether the peer asked for no answer to the `basic.consume` under way.
    is_quiet: AtomicBool,
    /// The consumers that were cancelled during a `queue.delete` of this channel; `None` without.
    held_cancels: Mutex<Option<Vec<ShortString>>>,
    /// The error over which the broker closed the channel.
    failure: OnceLock<Error>,
}

impl PeerOutput {
    pub(crate) fn new(channel: u16, outgoing: &Arc<Outgoing>, hears_cancels: bool) -> PeerOutput {
        PeerOutput {
            channel,
            outgoing: Arc::clone(outgoing),
            hears_cancels,
            is_quiet: false.into(),
            held_cancels: Mutex::default(),
            failure: OnceLock::new(),
        }
    }

    /// Sets whether the next consumer is added without an answer.
    pub(crate) fn set_quiet(&self, is_quiet: bool) {
        self.is_quiet.store(is_quiet, Ordering::Relaxed);
    }

    /// Holds the notices of cancelled consumers until [`release_cancels`](Self::release_cancels). A
    /// peer that deletes a queue receives the answer first, as from RabbitMQ.
    pub(crate) fn hold_cancels(&self) {
        *lock(&self.held_cancels) = Some(Vec::new());
    }

    /// Sends the notices that were held.
    pub(crate) fn release_cancels(&self) {
        let held = lock(&self.held_cancels).take();
        held.into_iter().flatten().for_each(|consumer_tag| self.cancelled(consumer_tag));
    }

    fn cancelled(&self, consumer_tag: ShortString) {
        if !self.hears_cancels {
            return;
        }
        if let Some(held) = &mut *lock(&self.held_cancels) {
            held.push(consumer_tag);
            return;
        }
        let cancel = BasicCancel { consumer_tag: (&consumer_tag).into(), no_wait: true };
        self.outgoing.notify(self.channel, &cancel.into());
    }

    /// Returns the error over which the broker closed the channel.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }
}

impl ChannelOutput for PeerOutput {
    fn has_room(&self) -> bool {
        self.outgoing.has_room()
    }

    fn send(&self, event: ChannelEvent) {
        let channel = self.channel;
        match event {
            ChannelEvent::Delivered { consumer_tag, delivery } => {
                self.outgoing.send(Item::Delivered { channel, consumer_tag, delivery });
            }
            ChannelEvent::Consuming { consumer_tag } => {
                if !self.is_quiet.load(Ordering::Relaxed) {
                    let consumer_tag = (&consumer_tag).into();
                    self.outgoing.method(channel, &BasicConsumeOk { consumer_tag }.into());
                }
            }
            ChannelEvent::Cancelled { consumer_tag } => self.cancelled(consumer_tag),
            // The reader of the connection causes the other events, and wakes the writer after it
            // has handled all that has arrived.
            ChannelEvent::Fetched { delivery, remaining } => {
                self.outgoing.add(Item::Fetched { channel, delivery, remaining });
            }
            ChannelEvent::Returned { content } => {
                self.outgoing.add(Item::Returned { channel, content });
            }
            ChannelEvent::Confirmed { publish_tag, is_accepted, is_after_lost } => {
                self.outgoing.add(Item::Confirmed(ConfirmedRange {
                    channel,
                    first: publish_tag,
                    last: publish_tag,
                    is_accepted,
                    is_alone: is_after_lost,
                }));
            }
            ChannelEvent::Failed { error } => {
                let _ = self.failure.set(error);
            }
            _ => log::warn!("channel {channel}: an event of an unknown kind was dropped"),
        }
    }
}
