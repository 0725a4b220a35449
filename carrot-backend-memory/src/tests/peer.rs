//! A session with one channel, and its events as short texts.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use carrot_core::backend::{Content, Declare};
use carrot_core::{Queue, RabbitMqRelease};

use crate::broker::Broker;
use crate::session::{
    ChannelEvent, ChannelOutput, ConsumeSettings, Session, SessionChannel, SessionSettings,
};
use crate::sync::lock;

/// Keeps the events of a channel.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) is_full: AtomicBool,
    events: Mutex<Vec<ChannelEvent>>,
}

impl ChannelOutput for Events {
    fn has_room(&self) -> bool {
        !self.is_full.load(Ordering::SeqCst)
    }

    fn send(&self, event: ChannelEvent) {
        lock(&self.events).push(event);
    }
}

impl Events {
    /// Returns a short text for each event since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let show = |event: ChannelEvent| match event {
            ChannelEvent::Consuming { consumer_tag } => format!("{consumer_tag} consumes"),
            ChannelEvent::Delivered { consumer_tag, delivery } => {
                let again = if delivery.redelivered { " again" } else { "" };
                format!("{consumer_tag} {} {}{again}", delivery.tag.0, text(&delivery.content.body))
            }
            ChannelEvent::Fetched { delivery, remaining } => {
                format!("got {} {}, {remaining} left", delivery.tag.0, text(&delivery.content.body))
            }
            ChannelEvent::Cancelled { consumer_tag } => format!("{consumer_tag} cancelled"),
            ChannelEvent::Returned { content } => {
                let blind = content.properties.header("BCC").map_or("", |_| " with BCC");
                format!("returned {}{blind}", text(&content.body))
            }
            ChannelEvent::Confirmed { publish_tag, is_accepted, is_after_lost } => {
                let answer = if is_accepted { "ack" } else { "nack" };
                format!("{answer} {publish_tag}{}", if is_after_lost { " alone" } else { "" })
            }
            ChannelEvent::Failed { error } => format!("failed: {error}"),
        };
        mem::take(&mut *lock(&self.events)).into_iter().map(show).collect()
    }
}

/// A peer with one session and one channel.
pub(crate) struct Peer {
    pub(crate) broker: Broker,
    pub(crate) session: Session,
    pub(crate) channel: SessionChannel,
    pub(crate) events: Arc<Events>,
}

impl Peer {
    pub(crate) fn new() -> Peer {
        Peer::of(&Broker::new())
    }

    pub(crate) fn of(broker: &Broker) -> Peer {
        let session = broker.open_session(&SessionSettings::new("guest"), |_| ());
        let events = Arc::new(Events::default());
        let channel = session.open_channel(Arc::clone(&events) as Arc<dyn ChannelOutput>).unwrap();
        Peer { broker: broker.clone(), session, channel, events }
    }

    pub(crate) fn with_queues(names: &[&str]) -> Peer {
        Peer::new().with(names)
    }

    /// Imitates RabbitMQ 3.10, where a channel can have a prefetch.
    pub(crate) fn of_3_10(queues: &[&str]) -> Peer {
        Peer::of(&Broker::builder().imitate(RabbitMqRelease::V3_10).build()).with(queues)
    }

    fn with(self, queues: &[&str]) -> Peer {
        queues.iter().for_each(|name| self.declare(&Queue::new(*name)));
        self
    }

    pub(crate) fn declare(&self, queue: &Queue) {
        self.channel.declare(Declare::Queue(queue)).unwrap();
    }

    pub(crate) fn publish(&self, queue: &str, body: &str) {
        self.channel.publish(Content::new("", queue, body), false).unwrap();
    }

    pub(crate) fn consume(&self, queue: &str, tag: &str) {
        self.channel.consume(queue, tag, ConsumeSettings::default()).unwrap();
    }

    pub(crate) fn ready(&self, queue: &str) -> usize {
        self.broker.queue(queue).unwrap().ready.len()
    }
}
