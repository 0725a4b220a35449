//! The items that a host sends to one peer.

use std::io::{self, ErrorKind};

use carrot_backend_memory::session::size_of_properties;
use carrot_core::Error;
use carrot_core::backend::{Delivery, Outcome, Printable};
use carrot_listener::{OutgoingItem, PeerWriter};

use crate::calls::event::{kind, put_confirmed, put_delivered, put_end};
use crate::calls::fields::MessageStart;
use crate::sending::{send_content, send_message};
use crate::zmtp::frame::message;

/// The size that an item is counted with, in addition to its octets, in bytes.
const OVERHEAD: usize = 256;
/// The longest name in an error, in bytes.
const SHOWN: usize = 300;

/// Something to write to a peer.
#[derive(Debug)]
pub(crate) enum HostItem {
    /// Whole frames.
    Frames(Vec<u8>),
    Delivered {
        channel: u32,
        consumer: u32,
        delivery: Delivery,
    },
    Fetched {
        channel: u32,
        call: u32,
        delivery: Delivery,
    },
    Confirmed {
        channel: u32,
        first: u64,
        last: u64,
        outcome: Outcome,
    },
}

impl HostItem {
    /// Creates the item of a message without a body.
    pub(crate) fn message(write: impl FnOnce(&mut Vec<u8>)) -> HostItem {
        let mut frames = Vec::new();
        message(&mut frames, write);
        HostItem::Frames(frames)
    }

    /// Writes the item.
    pub(crate) fn write(&self, writer: &mut PeerWriter<'_>) -> io::Result<()> {
        let delivered = |writer: &mut PeerWriter<'_>, start, delivery: &Delivery| {
            let content = &*delivery.content;
            let (exchange, routing_key) = (&content.exchange, &content.routing_key);
            let (tag, redelivered) = (delivery.tag.0, delivery.redelivered);
            let written = send_content(
                writer,
                |out| put_delivered(out, start, tag, redelivered, exchange, routing_key),
                &content.properties,
                &content.body,
            );
            written.map_err(|error| match error.kind() {
                ErrorKind::InvalidData => {
                    let (exchange, key) =
                        (Printable::new(SHOWN, exchange), Printable::new(SHOWN, routing_key));
                    let reason = format!(
                        "a message of the exchange \"{exchange}\" with the routing key \"{key}\" \
                         cannot be written: {error}"
                    );
                    io::Error::new(ErrorKind::InvalidData, reason)
                }
                _ => error,
            })
        };
        match self {
            HostItem::Frames(frames) => writer.add(frames),
            HostItem::Delivered { channel, consumer, delivery } => {
                let (channel, number) = (*channel, *consumer);
                let start = MessageStart { kind: kind::DELIVERED, channel, number };
                delivered(writer, start, delivery)
            }
            HostItem::Fetched { channel, call, delivery } => {
                let (channel, number) = (*channel, *call);
                let start = MessageStart { kind: kind::FETCHED, channel, number };
                delivered(writer, start, delivery)
            }
            HostItem::Confirmed { channel, first, last, outcome } => {
                send_message(writer, |out| put_confirmed(out, *channel, *first, *last, outcome))
            }
        }
    }
}

impl OutgoingItem for HostItem {
    fn size(&self) -> usize {
        OVERHEAD
            + match self {
                HostItem::Frames(octets) => octets.len(),
                HostItem::Delivered { delivery, .. } | HostItem::Fetched { delivery, .. } => {
                    let content = &delivery.content;
                    content.body.len() + size_of_properties(&content.properties)
                }
                HostItem::Confirmed { .. } => 0,
            }
    }

    fn end_of_unread(bytes: usize) -> Option<HostItem> {
        let reason = format!("the client does not read: more than {bytes} bytes wait for it");
        Some(HostItem::message(|out| put_end(out, &Error::disconnected(reason))))
    }

    /// Combines confirms of messages that follow each other.
    fn extend(&mut self, next: &HostItem) -> bool {
        let (
            HostItem::Confirmed { channel, last, outcome: Outcome::Accepted, .. },
            HostItem::Confirmed {
                channel: next_channel,
                first: next_first,
                last: next_last,
                outcome: Outcome::Accepted,
            },
        ) = (self, next)
        else {
            return false;
        };
        let follows = channel == next_channel && *last + 1 == *next_first;
        if follows {
            *last = *next_last;
        }
        follows
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::sync::Arc;

    use carrot_core::Properties;
    use carrot_core::backend::{Content, DeliveryTag};

    use super::*;

    fn confirmed(channel: u32, first: u64, last: u64, outcome: Outcome) -> HostItem {
        HostItem::Confirmed { channel, first, last, outcome }
    }

    #[test]
    fn headers_count_as_the_body_does() {
        let mut content = Content::new("", "q", vec![7; 1000]);
        let properties = Properties::new().with_header("large", "x".repeat(100_000));
        content.properties = properties;
        let delivery = Delivery::new(DeliveryTag(1), Arc::new(content));
        let item = HostItem::Delivered { channel: 1, consumer: 1, delivery };
        assert!((101_000..102_000).contains(&item.size()), "{}", item.size());
    }

    #[test]
    fn message_that_cannot_be_written_is_named() {
        let client = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::TcpStream::connect(client.local_addr().unwrap()).unwrap();
        let stream = carrot_listener::PeerStream::from(socket);
        let mut content = Content::new("orders", "paid", "m");
        content.properties = Properties::new().with_message_id("i".repeat(300));
        let delivery = Delivery::new(DeliveryTag(1), Arc::new(content));
        let item = HostItem::Fetched { channel: 1, call: 1, delivery };
        let error = item.write(&mut PeerWriter::new(&stream, &|| false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let text = error.to_string();
        assert!(text.contains("orders") && text.contains("paid"), "{text}");
    }

    #[test]
    fn only_confirms_that_follow_each_other_are_combined() {
        let mut first = confirmed(1, 1, 1, Outcome::Accepted);
        assert!(first.extend(&confirmed(1, 2, 3, Outcome::Accepted)));
        assert!(matches!(first, HostItem::Confirmed { first: 1, last: 3, .. }));
        assert!(!first.extend(&confirmed(1, 5, 5, Outcome::Accepted)));
        assert!(!first.extend(&confirmed(2, 4, 4, Outcome::Accepted)));
        assert!(!first.extend(&confirmed(1, 4, 4, Outcome::Refused)));
        assert!(!first.extend(&HostItem::Frames(Vec::new())));
    }
}
