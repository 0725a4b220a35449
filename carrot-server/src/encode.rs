//! Events of channels as frames.

use std::io;

use carrot_amqp_wire::{
    BasicAck, BasicDeliver, BasicGetOk, BasicNack, BasicReturn, FRAME_END, FrameWriter, Method,
    PropertiesRef, WireError, forwarded,
};
use carrot_core::backend::Content;

use crate::outgoing::{ConfirmedRange, Item};

/// Octets are passed on once this number was encoded, in bytes.
const CHUNK: usize = 64 << 10;
/// The reply code and text of a message without a route (RabbitMQ).
const NO_ROUTE: (u16, &str) = (312, "NO_ROUTE");

/// Encodes items, and passes the octets to `write` in chunks. A large body is never copied whole.
pub(crate) struct Encoder<W> {
    octets: Vec<u8>,
    write: W,
}

impl<W: FnMut(&[u8]) -> io::Result<()>> Encoder<W> {
    pub(crate) fn new(octets: Vec<u8>, write: W) -> Encoder<W> {
        Encoder { octets, write }
    }

    /// Encodes an item, for frames of at most `frame_max` bytes.
    pub(crate) fn encode(&mut self, item: &Item, frame_max: u32) -> io::Result<()> {
        match item {
            Item::Frames(frames) => self.octets.extend_from_slice(frames),
            Item::Delivered { channel, consumer_tag, delivery } => {
                let method = BasicDeliver {
                    consumer_tag: consumer_tag.into(),
                    delivery_tag: delivery.tag.0,
                    redelivered: delivery.redelivered,
                    exchange: (&delivery.content.exchange).into(),
                    routing_key: (&delivery.content.routing_key).into(),
                };
                self.content(*channel, &method.into(), &delivery.content, frame_max)?;
            }
            Item::Fetched { channel, delivery, remaining } => {
                let method = BasicGetOk {
                    delivery_tag: delivery.tag.0,
                    redelivered: delivery.redelivered,
                    exchange: (&delivery.content.exchange).into(),
                    routing_key: (&delivery.content.routing_key).into(),
                    message_count: u32::try_from(*remaining).unwrap_or(u32::MAX),
                };
                self.content(*channel, &method.into(), &delivery.content, frame_max)?;
            }
            Item::Returned { channel, content } => {
                let method = BasicReturn {
                    reply_code: NO_ROUTE.0,
                    reply_text: NO_ROUTE.1.into(),
                    exchange: (&content.exchange).into(),
                    routing_key: (&content.routing_key).into(),
                };
                self.content(*channel, &method.into(), content, frame_max)?;
            }
            Item::Confirmed(range) => self.confirm(range, frame_max)?,
        }
        self.flush_if(CHUNK)
    }

    fn confirm(&mut self, range: &ConfirmedRange, frame_max: u32) -> io::Result<()> {
        let (delivery_tag, multiple) = (range.last, range.last > range.first);
        let method = match range.is_accepted {
            true => Method::from(BasicAck { delivery_tag, multiple }),
            false => BasicNack { delivery_tag, multiple, requeue: false }.into(),
        };
        FrameWriter::new(&mut self.octets, range.channel, frame_max)
            .method(&method)
            .map_err(invalid)
    }

    /// Encodes a message. As on RabbitMQ, a header that exceeds `frame_max` is sent nevertheless.
    fn content(
        &mut self,
        channel: u16,
        method: &Method<'_>,
        content: &Content,
        frame_max: u32,
    ) -> io::Result<()> {
        let size = content.body.len() as u64;
        let mut writer = FrameWriter::new(&mut self.octets, channel, u32::MAX);
        match forwarded(&content.properties) {
            Some(octets) => writer.content_heads_of(method, &octets, size),
            None => writer.content_heads(method, &PropertiesRef::from(&content.properties), size),
        }
        .map_err(invalid)?;
        let most = FrameWriter::new(&mut self.octets, channel, frame_max).max_payload();
        for part in content.body.chunks(most) {
            let writer = FrameWriter::new(&mut self.octets, channel, frame_max);
            let head = writer.body_head(u32::try_from(part.len()).map_err(io::Error::other)?);
            self.octets.extend_from_slice(&head.octets());
            self.octets.extend_from_slice(part);
            self.octets.push(FRAME_END);
            self.flush_if(CHUNK)?;
        }
        Ok(())
    }

    fn flush_if(&mut self, least: usize) -> io::Result<()> {
        if self.octets.len() >= least {
            (self.write)(&self.octets)?;
            self.octets.clear();
        }
        Ok(())
    }

    /// Passes on the rest. Returns the empty buffer.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.flush_if(1)?;
        Ok(self.octets)
    }
}

fn invalid(error: WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
