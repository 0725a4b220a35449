//! The frames that a channel sends; pure.

use std::sync::Arc;

use carrot_amqp_wire::{
    BasicAck, BasicNack, BasicPublish, BasicReject, FRAME_END, FrameWriter, Method, PropertiesRef,
    WireError,
};
use carrot_core::backend::{Content, Rejection};

use super::unacked::{SettlementFrame, SettlementKind};
use crate::connection::{OutgoingFrames, Piece};

/// The largest body that is copied behind its header. A larger one is sent from its place.
const COPIED: usize = 16 << 10;

/// Returns the frames of a publication, of `size` bytes together.
pub(crate) fn publication(
    channel: u16,
    content: &Arc<Content>,
    mandatory: bool,
    size: usize,
    frame_max: u32,
) -> Result<OutgoingFrames, WireError> {
    let publish = BasicPublish {
        exchange: (&content.exchange).into(),
        routing_key: (&content.routing_key).into(),
        mandatory,
        immediate: false,
    };
    let properties = PropertiesRef::from(&content.properties);
    let body = &content.body;
    if body.len() <= COPIED {
        // The size is known, so nothing is reserved again.
        let mut octets = Vec::with_capacity(size);
        let mut writer = FrameWriter::new(&mut octets, channel, frame_max);
        writer.content_heads(&publish.into(), &properties, body.len() as u64)?;
        writer.body(body);
        return Ok(OutgoingFrames::from(octets));
    }
    let mut octets = Vec::with_capacity(size.saturating_sub(body.len()));
    let mut writer = FrameWriter::new(&mut octets, channel, frame_max);
    writer.content_heads(&publish.into(), &properties, body.len() as u64)?;
    let chunk = writer.max_payload();
    let mut frames = OutgoingFrames::default();
    let mut at = 0;
    while at < body.len() {
        let next = body.len().min(at + chunk);
        let head = FrameWriter::new(&mut octets, channel, frame_max).body_head((next - at) as u32);
        octets.extend_from_slice(&head.octets());
        frames.push(Piece::Bytes(std::mem::take(&mut octets)));
        frames.push(Piece::Body(Arc::clone(content), at..next));
        octets.push(FRAME_END);
        at = next;
    }
    frames.push(Piece::Bytes(octets));
    Ok(frames)
}

/// Appends the frame of a settlement.
pub(crate) fn settlement(out: &mut Vec<u8>, channel: u16, settlement: &SettlementFrame) {
    let SettlementFrame { kind, tag: delivery_tag, multiple } = *settlement;
    let method: Method<'_> = match kind {
        SettlementKind::Ack => BasicAck { delivery_tag, multiple }.into(),
        SettlementKind::Reject(Rejection::Requeue) => {
            BasicNack { delivery_tag, multiple, requeue: true }.into()
        }
        // RabbitMQ 4.3 counts basic.reject as a failed delivery, and basic.nack not.
        SettlementKind::Reject(Rejection::RequeueFailed) => {
            BasicReject { delivery_tag, requeue: true }.into()
        }
        SettlementKind::Reject(Rejection::Discard) => {
            BasicNack { delivery_tag, multiple, requeue: false }.into()
        }
    };
    append(out, channel, &method);
}

/// Appends the frame of a method whose strings fit, which is every method without tables.
pub(crate) fn append(out: &mut Vec<u8>, channel: u16, method: &Method<'_>) {
    let written = FrameWriter::new(out, channel, u32::MAX).method(method);
    debug_assert!(written.is_ok(), "{method:?}: {written:?}");
}

/// Returns the frame of a method, as [`append`] does.
pub(crate) fn frame(channel: u16, method: &Method<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    append(&mut octets, channel, method);
    octets
}
