//! The items that a client sends to its host.

use std::sync::Arc;
use std::{fmt, io};

use carrot_core::backend::Content;
use carrot_listener::{OutgoingItem, PeerWriter};

use crate::calls::put_request::{put_publish, put_settle};
use crate::calls::request::{SettleKind, TagRange};
use crate::sending::{send_content, send_message};
use crate::zmtp::frame::message;

/// The size that an item is counted with, in addition to its octets, in bytes.
const OVERHEAD: usize = 256;
/// The most ranges that are combined to one settlement.
const MOST_RANGES: usize = 1000;
/// The most ranges of one message. A host accepts a head of 1 MiB, and a range has 16 octets.
const RANGES_OF_MESSAGE: usize = 60_000;

/// Something to write to a host.
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

    /// Creates the settlement of tags, which are in ascending order: one item, or several if one
    /// would exceed what a host accepts.
    pub(crate) fn settlement(
        channel: u32,
        kind: SettleKind,
        tags: impl IntoIterator<Item = u64>,
    ) -> Vec<ClientItem> {
        let ranges = ranges_of(tags);
        let of_chunk = |chunk: &[TagRange]| {
            let ranges = chunk.to_vec();
            ClientItem::Settle { channel, kind, ranges }
        };
        ranges.chunks(RANGES_OF_MESSAGE).map(of_chunk).collect()
    }

    /// Writes the item.
    pub(crate) fn write(&self, writer: &mut PeerWriter<'_>) -> io::Result<()> {
        match self {
            ClientItem::Frames(frames) => writer.add(frames),
            ClientItem::Publish { channel, content, mandatory } => send_content(
                writer,
                |out| {
                    let (exchange, routing_key) = (&content.exchange, &content.routing_key);
                    put_publish(out, *channel, *mandatory, exchange, routing_key);
                },
                &content.properties,
                &content.body,
            ),
            ClientItem::Settle { channel, kind, ranges } => {
                send_message(writer, |out| put_settle(out, *channel, *kind, ranges))
            }
        }
    }
}

/// Shows sizes, and no octets: they may be secret.
impl fmt::Debug for ClientItem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientItem::Frames(octets) => write!(formatter, "Frames({} bytes)", octets.len()),
            ClientItem::Publish { channel, content, .. } => {
                write!(formatter, "Publish(channel {channel}, {} bytes)", content.body.len())
            }
            ClientItem::Settle { channel, kind, ranges } => {
                write!(formatter, "Settle(channel {channel}, {kind:?}, {} ranges)", ranges.len())
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
fn ranges_of(tags: impl IntoIterator<Item = u64>) -> Vec<TagRange> {
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
    fn settlement_of_many_ranges_has_several_messages() {
        let tags = (0..150_000_u64).map(|number| number * 2);
        let items = ClientItem::settlement(1, SettleKind::Ack, tags);
        let lengths: Vec<usize> = items
            .iter()
            .map(|item| match item {
                ClientItem::Settle { ranges, .. } => ranges.len(),
                _ => 0,
            })
            .collect();
        assert_eq!(lengths, [60_000, 60_000, 30_000]);
    }

    #[test]
    fn shown_items_have_no_octets() {
        let frames = ClientItem::message(|out| out.extend_from_slice(b"hush"));
        assert_eq!(format!("{frames:?}"), "Frames(6 bytes)");
        let content = Arc::new(Content::new("", "q", b"hush".to_vec()));
        let publish = ClientItem::Publish { channel: 3, content, mandatory: false };
        assert_eq!(format!("{publish:?}"), "Publish(channel 3, 4 bytes)");
    }

    #[test]
    fn rejections_stay_apart() {
        let requeue = SettleKind::Reject(Rejection::Requeue);
        let mut first = settle(1, requeue, &[1]);
        assert!(!first.extend(&settle(1, requeue, &[2])));
        assert!(!first.extend(&settle(1, SettleKind::Ack, &[2])));
    }
}
