//! One open channel of a peer.

use std::sync::Arc;

use carrot_amqp_wire::{PropertiesRef, WireError};
use carrot_backend_memory::session::{ConsumeSettings, Session, SessionChannel};
use carrot_core::backend::frame_limits::check_encoded_properties;
use carrot_core::backend::{Acknowledgement, Body, ConsumeOptions, Content, DeliveryTag, Extent};
use carrot_core::{Error, Result};
use carrot_listener::OutgoingQueue;

use crate::calls::fields::CallError;
use crate::calls::request::{PublishHead, SettleKind, TagRange};
use crate::host::item::HostItem;
use crate::host::output::{HostOutput, tag_of};

/// The frame that the properties of a message have to fit, in bytes. Clients of AMQP 0-9-1, which
/// may consume from the same broker, refuse larger ones.
const FRAME_MAX: usize = 131_072;

/// One open channel of a peer.
#[derive(Debug)]
pub(crate) struct HostChannel {
    pub(crate) broker: SessionChannel,
    pub(crate) output: Arc<HostOutput>,
}

impl HostChannel {
    pub(crate) fn open(
        session: &Session,
        outgoing: &Arc<OutgoingQueue<HostItem>>,
        number: u32,
        confirms: bool,
        max_waiting: u64,
    ) -> Result<HostChannel> {
        let output = Arc::new(HostOutput::new(number, outgoing, confirms, max_waiting));
        let broker = session.open_channel(Arc::clone(&output) as _)?;
        if confirms {
            broker.select_confirms()?;
        }
        Ok(HostChannel { broker, output })
    }

    pub(crate) fn consume(
        &self,
        consumer: u32,
        queue: &str,
        options: ConsumeOptions,
    ) -> Result<()> {
        self.broker.set_consumer_prefetch(options.prefetch);
        let settings = ConsumeSettings::default()
            .with_no_ack(options.acknowledgement == Acknowledgement::Automatic)
            .with_exclusive(options.exclusive)
            .with_arguments(options.arguments);
        self.broker.consume(queue, tag_of(consumer), settings)
    }

    pub(crate) fn settle(&self, kind: SettleKind, ranges: &[TagRange]) -> Result<()> {
        let is_one = |range: &TagRange| range.first == range.last;
        // Most settlements are of one delivery.
        if let [range] = ranges
            && is_one(range)
        {
            let tag = DeliveryTag(range.first);
            return match kind {
                SettleKind::Ack => self.broker.ack(tag, Extent::One),
                SettleKind::Reject(rejection) => self.broker.reject(tag, rejection, Extent::One),
            };
        }
        // An unknown tag ends the settlement, so ranges of any length end.
        let tags = ranges.iter().flat_map(|range| range.first..=range.last).map(DeliveryTag);
        match kind {
            SettleKind::Ack => self.broker.ack_all(tags),
            SettleKind::Reject(rejection) => self.broker.reject_all(tags, rejection),
        }
    }

    /// Closes the channel for its peer, which gives its deliveries back.
    pub(crate) fn close(&self) {
        self.broker.give_back();
    }
}

/// The reason why a publication is refused.
#[derive(Debug)]
pub(crate) enum PublicationFault {
    /// The message cannot be read.
    Malformed(CallError),
    /// The properties have more levels, or more octets, than clients can read.
    Unreadable(Error),
}

/// Returns the message of a publication.
pub(crate) fn content(head: PublishHead<'_>, body: Body) -> Result<Content, PublicationFault> {
    check_encoded_properties(head.properties.len(), FRAME_MAX)
        .map_err(PublicationFault::Unreadable)?;
    let properties = match PropertiesRef::read(head.properties) {
        Ok(properties) => properties.to_properties(),
        Err(WireError::TooDeep { limit, .. }) => {
            return Err(PublicationFault::Unreadable(Error::Invalid {
                field: "headers".into(),
                value: format!("more than {limit} levels"),
                limit: format!("at most {limit} levels of nested tables and arrays").into(),
            }));
        }
        Err(_) => {
            return Err(PublicationFault::Malformed(CallError {
                field: "properties",
                problem: "are no property list of AMQP 0-9-1",
            }));
        }
    };
    let PublishHead { exchange, routing_key, .. } = head;
    Ok(Content { exchange, routing_key, properties, body })
}
