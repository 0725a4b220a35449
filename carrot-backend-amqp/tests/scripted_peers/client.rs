//! The actions of a client under test.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use carrot_amqp_wire::{BasicDeliver, FrameWriter, Method, PropertiesRef};
use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{
    Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Publication, PublishTag,
    Role, Subscription,
};
use carrot_core::{ConnectionOptions, Queue, Result};

use crate::peer::{Peer, Scripted, tune};
use crate::{FRAME_MAX, LONG, SHORT};

/// A client with one channel, and the side of the broker of its connection.
pub(crate) struct Opened {
    pub(crate) connector: AmqpConnector,
    pub(crate) channel: Arc<dyn Backend>,
    pub(crate) peer: Peer,
}

impl Opened {
    /// Opens another channel for publishing.
    pub(crate) fn second(&mut self) -> Arc<dyn Backend> {
        thread::scope(|scope| {
            let opening = scope.spawn(|| self.connector.open(&ChannelOptions::publish(), LONG));
            self.peer.open_channel(true);
            opening.join().unwrap().unwrap()
        })
    }
}

pub(crate) fn opened(scripted: &Scripted, options: &ChannelOptions) -> Opened {
    opened_with(scripted, &scripted.options(), options)
}

pub(crate) fn opened_with(
    scripted: &Scripted,
    options: &ConnectionOptions,
    channel: &ChannelOptions,
) -> Opened {
    let connector = AmqpConnector::new(options).unwrap();
    let (channel, peer) = thread::scope(|scope| {
        let opening = scope.spawn(|| connector.open(channel, LONG).unwrap());
        let mut peer = scripted.accept_with(tune(0, 0));
        peer.open_channel(channel.confirms);
        (opening.join().unwrap(), peer)
    });
    Opened { connector, channel, peer }
}

/// Waits until the client knows that the connection to consume was lost.
pub(crate) fn wait_for_loss(connector: &AmqpConnector) {
    let deadline = Instant::now() + LONG;
    while connector.status(Role::Consume).connected {
        assert!(Instant::now() < deadline, "no loss in time");
        thread::yield_now();
    }
}

/// Starts a consumer, and returns its tag.
pub(crate) fn consume(
    channel: &dyn Backend,
    peer: &mut Peer,
    options: &ConsumeOptions,
) -> (Box<dyn Subscription>, String) {
    thread::scope(|scope| {
        let consuming = scope.spawn(|| channel.consume("q", options, LONG).unwrap());
        let tag = peer.start_consumer();
        (consuming.join().unwrap(), tag)
    })
}

pub(crate) fn publish(channel: &dyn Backend, body: &[u8]) -> Result<PublishTag> {
    let content = Arc::new(Content::new("", "q", body));
    channel.publish(&Publication::new(&content), SHORT)
}

/// Publishes until nothing more fits between here and the peer, which reads nothing.
pub(crate) fn fill(channel: &dyn Backend) -> carrot_core::Error {
    loop {
        if let Err(error) = publish(channel, &[0; 1 << 20]) {
            return error;
        }
    }
}

pub(crate) fn declare(channel: &dyn Backend) -> Result<carrot_core::backend::QueueInfo> {
    channel.declare(Declare::Queue(&Queue::new("q")), LONG)
}

pub(crate) fn deliver(tag: &str, number: u64) -> Method<'_> {
    let delivery = BasicDeliver {
        consumer_tag: tag.into(),
        delivery_tag: number,
        routing_key: "q".into(),
        ..BasicDeliver::default()
    };
    delivery.into()
}

/// Returns the frames of a delivery on channel 1.
pub(crate) fn message(tag: &str, number: u64, body: &[u8]) -> Vec<u8> {
    content(&deliver(tag, number), &PropertiesRef::default(), body)
}

/// Returns the frames of a message on channel 1.
pub(crate) fn content(method: &Method<'_>, properties: &PropertiesRef<'_>, body: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    FrameWriter::new(&mut octets, 1, FRAME_MAX).content(method, properties, body).unwrap();
    octets
}

/// Returns the frames of a message on channel 1, with properties as octets, and without a body.
pub(crate) fn raw_content(method: &Method<'_>, properties: &[u8], body_size: u64) -> Vec<u8> {
    let mut octets = crate::peer::frame(1, method);
    let payload = [&[0, 60, 0, 0][..], &body_size.to_be_bytes(), properties].concat();
    octets.extend(raw_frame(2, 1, &payload));
    octets
}

/// Returns a frame of any payload.
pub(crate) fn raw_frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let head = [&[kind][..], &channel.to_be_bytes(), &(payload.len() as u32).to_be_bytes()];
    [&head.concat()[..], payload, &[0xce]].concat()
}
