//! The items that a client sends to its host.

use std::io;
use std::sync::Arc;

use carrot_core::backend::Content;
use carrot_listener::OutgoingItem;

use crate::calls::request::{SettleKind, TagRange, put_publish, put_settle};
use crate::sending::MessageWriter;
use crate::zmtp::frame::message;

/// The size that an item is counted with, in addition to its octets, in bytes.
const OVERHEAD: usize = 256;
/// The most ranges of one settlement.
const MOST_RANGES: usize = 1000;

/// Something to write to a host.
#[derive(Debug)]
pub(crate) enum ClientItem {
    /// Whole frames.
    Frames(Vec<u8>),
    Publish {
        channel: u32,
        content: Arc<Content>,
        mandatory: bool,
    },
    Settle {
        channel: u32,
        kind: SettleKind,
        ranges: Vec<TagRange>,
    },
}

impl ClientItem {
    /// Creates the item of a message without a body.
    pub(crate) fn message(write: impl FnOnce(&mut Vec<u8>)) -> ClientItem {
        let mut frames = Vec::new();
        message(&mut frames, write);
        ClientItem::Frames(frames)
    }

    /// Writes the item.
    pub(crate) fn write(&self, writer: &mut MessageWriter<'_>) -> io::Result<()> {
        match self {
            ClientItem::Frames(frames) => writer.frames(frames),
            ClientItem::Publish { channel, content, mandatory } => writer.content(
                |out| {
                    let (exchange, routing_key) = (&content.exchange, &content.routing_key);
                    put_publish(out, *channel, *mandatory, exchange, routing_key);
                },
                &content.properties,
                &content.body,
            ),
            ClientItem::Settle { channel, kind, ranges } => {
                writer.message(|out| put_settle(out, *channel, *kind, ranges))
            }
        }
    }
}

impl OutgoingItem for ClientItem {
    fn size(&self) -> usize {
        OVERHEAD
            + match self {
                ClientItem::Frames(octets) => octets.len(),
                ClientItem::Publish { content, .. } => content.body.len(),
                ClientItem::Settle { ranges, .. } => size_of_val(&ranges[..]),
            }
    }

    /// The senders bound the items of a client.
    fn end_of_unread(_: usize) -> Option<ClientItem> {
        None
    }

    /// Combines acknowledgements of one channel. Rejections stay apart: each is one step.
    fn extend(&mut self, next: &ClientItem) -> bool {
        let (
            ClientItem::Settle { channel, kind: SettleKind::Ack, ranges },
            ClientItem::Settle { channel: next_channel, kind: SettleKind::Ack, ranges: added },
        ) = (self, next)
        else {
            return false;
        };
        if channel != next_channel || ranges.len() + added.len() > MOST_RANGES {
            return false;
        }
        for range in added {
            match ranges.last_mut() {
                Some(last) if last.last.checked_add(1) == Some(range.first) => {
                    last.last = range.last;
                }
                _ => ranges.push(*range),
            }
        }
        true
    }
}

/// Returns the ranges of tags, which are in ascending order.
pub(crate) fn ranges_of(tags: impl IntoIterator<Item = u64>) -> Vec<TagRange> {
    let mut ranges: Vec<TagRange> = Vec::new();
    for tag in tags {
        match ranges.last_mut() {
            Some(range) if range.last.checked_add(1) == Some(tag) => range.last = tag,
            _ => ranges.push(TagRange { first: tag, last: tag }),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use carrot_core::backend::Rejection;

    use super::*;

    fn settle(channel: u32, kind: SettleKind, tags: &[u64]) -> ClientItem {
        ClientItem::Settle { channel, kind, ranges: ranges_of(tags.iter().copied()) }
    }

    #[test]
    fn acknowledgements_of_a_channel_are_combined() {
        let mut first = settle(1, SettleKind::Ack, &[1, 2]);
        assert!(first.extend(&settle(1, SettleKind::Ack, &[3])));
        assert!(first.extend(&settle(1, SettleKind::Ack, &[7])));
        let ClientItem::Settle { ranges, .. } = &first else { return };
        let expected = [TagRange { first: 1, last: 3 }, TagRange { first: 7, last: 7 }];
        assert_eq!(ranges[..], expected);
        assert!(!first.extend(&settle(2, SettleKind::Ack, &[8])));
    }

    #[test]
    fn rejections_stay_apart() {
        let requeue = SettleKind::Reject(Rejection::Requeue);
        let mut first = settle(1, requeue, &[1]);
        assert!(!first.extend(&settle(1, requeue, &[2])));
        assert!(!first.extend(&settle(1, SettleKind::Ack, &[2])));
    }
}
