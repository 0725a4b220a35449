//! The frames that are sent most, as bytes; pure.
//!
//! amiquip could make them, too, but takes many times the instructions, and three messages to its I/O thread for each publication.

use std::mem;
use std::sync::Arc;

use carrot_core::backend::{Content, Rejection};

use crate::frame::{
    self, BASIC_ACK, BASIC_NACK, BASIC_PUBLISH, BASIC_REJECT, CONTENT_BODY, CONTENT_HEADER, METHOD,
};
use crate::frames::{Frames, Piece};
use crate::ledger::Verdict;
use crate::wire_format::{properties, short_string};

/// Up to this size a body is gathered with what comes before it; a larger one is sent from where it is.
const SMALL: usize = 16 << 10;
const BASIC: u16 = 60;
const MANDATORY: u8 = 1;
const MULTIPLE: u8 = 1;
const REQUEUE: u8 = 2;

/// The frames of a publication, each of at most `frame_max` bytes, together of `size`. What is too long was refused before.
pub(crate) fn publication(
    channel: u16,
    content: &Arc<Content>,
    mandatory: bool,
    size: usize,
    frame_max: usize,
) -> Frames {
    let body = &content.body;
    let is_small = body.len() <= SMALL;
    let mut bytes = Vec::with_capacity(if is_small { size } else { size - body.len() });
    publish(&mut bytes, channel, content, mandatory);
    if is_small {
        for chunk in body.chunks(frame_max - frame::OVERHEAD) {
            frame::begin(&mut bytes, CONTENT_BODY, channel, |out| out.extend_from_slice(chunk));
        }
        return Frames::from(bytes);
    }
    let mut frames = Frames::default();
    let mut at = 0;
    while at < body.len() {
        let next = body.len().min(at + frame_max - frame::OVERHEAD);
        frame::prefix(&mut bytes, CONTENT_BODY, channel, next - at);
        frames.push(Piece::Bytes(mem::take(&mut bytes)));
        frames.push(Piece::Body(Arc::clone(content), at..next));
        bytes.push(frame::END);
        at = next;
    }
    frames.push(Piece::Bytes(bytes));
    frames
}

/// The method and the header.
fn publish(out: &mut Vec<u8>, channel: u16, content: &Content, mandatory: bool) {
    frame::begin(out, METHOD, channel, |out| {
        method(out, BASIC_PUBLISH);
        out.extend([0, 0]);
        short_string(out, &content.exchange);
        short_string(out, &content.routing_key);
        out.push(if mandatory { MANDATORY } else { 0 });
    });
    frame::begin(out, CONTENT_HEADER, channel, |out| {
        out.extend(BASIC.to_be_bytes());
        out.extend([0, 0]);
        out.extend((content.body.len() as u64).to_be_bytes());
        properties(out, &content.properties);
    });
}

pub(crate) fn settlement(
    out: &mut Vec<u8>,
    channel: u16,
    verdict: Verdict,
    tag: u64,
    multiple: bool,
) {
    let several = if multiple { MULTIPLE } else { 0 };
    let (kind, flags) = match verdict {
        Verdict::Ack => (BASIC_ACK, several),
        Verdict::Reject(Rejection::Requeue) => (BASIC_NACK, several | REQUEUE),
        // RabbitMQ 4.3 counts a reject as a failed delivery, and a nack not.
        Verdict::Reject(Rejection::RequeueFailed) => (BASIC_REJECT, 1),
        Verdict::Reject(Rejection::Discard) if multiple => (BASIC_NACK, several),
        Verdict::Reject(Rejection::Discard) => (BASIC_REJECT, 0),
    };
    frame::begin(out, METHOD, channel, |out| {
        method(out, kind);
        out.extend(tag.to_be_bytes());
        out.push(flags);
    });
}

fn method(out: &mut Vec<u8>, (class, number): (u16, u16)) {
    out.extend(class.to_be_bytes());
    out.extend(number.to_be_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use amq_protocol::frame::{AMQPFrame, parse_frame};
    use amq_protocol::protocol::AMQPClass;
    use amq_protocol::protocol::basic::{AMQPMethod, parse_properties};
    use carrot_core::backend::Publication;
    use carrot_core::backend::frame_limits::check_publication;
    use carrot_core::{DeliveryMode, Headers, Properties};

    use super::*;
    use crate::convert;

    const FRAME_MAX: usize = 4096;

    fn every_property() -> Properties {
        Properties::new()
            .with_content_type("a")
            .with_content_encoding("b")
            .with_correlation_id("c")
            .with_reply_to("d")
            .with_expiration("5")
            .with_message_id("f")
            .with_kind("g")
            .with_user_id("h")
            .with_app_id("i")
            .with_cluster_id("j")
            .with_headers(convert::tests::every_value())
            .with_delivery_mode(DeliveryMode::Other(7))
            .with_priority(255)
            .with_timestamp(u64::MAX)
    }

    /// What amiquip would read.
    fn read(mut bytes: &[u8]) -> Vec<AMQPFrame> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let (rest, frame) = parse_frame(bytes).unwrap();
            frames.push(frame);
            bytes = rest;
        }
        frames
    }

    fn published(content: &Arc<Content>, mandatory: bool, size: usize) -> Vec<u8> {
        let mut frames = publication(7, content, mandatory, size, FRAME_MAX);
        let mut bytes = Vec::new();
        while !frames.is_empty() {
            let foremost = frames.foremost();
            bytes.extend_from_slice(foremost);
            frames.advance(foremost.len());
        }
        bytes
    }

    #[test]
    fn properties_survive_the_wire() {
        let some = [
            Properties::new(),
            Properties::new().with_headers(Headers::new()),
            Properties::new().with_priority(0),
            every_property(),
        ];
        for expected in some {
            let mut bytes = Vec::new();
            properties(&mut bytes, &expected);
            let (rest, amqp) = parse_properties(&bytes).unwrap();
            assert!(rest.is_empty());
            assert_eq!(convert::from_properties(&amqp), expected);
        }
    }

    #[test]
    fn a_publication_is_a_method_a_header_and_a_body_in_frames_and_as_large_as_was_reckoned() {
        for size in [0, 1, FRAME_MAX - 8, FRAME_MAX - 7, 3 * FRAME_MAX, SMALL, SMALL + 1, SMALL * 2]
        {
            let bytes: Vec<u8> = (0..size).map(|index| index as u8).collect();
            let content = Arc::new(
                Content::new("exchange", "routing.key", bytes.clone())
                    .with_properties(every_property()),
            );
            let reckoned = check_publication(&Publication::new(&content), FRAME_MAX).unwrap();
            let sent = published(&content, size == 1, reckoned);
            assert_eq!(sent.len(), reckoned, "{size}");
            let mut frames = read(&sent).into_iter();
            let Some(AMQPFrame::Method(7, AMQPClass::Basic(AMQPMethod::Publish(publish)))) =
                frames.next()
            else {
                panic!("{size}")
            };
            assert_eq!((&*publish.exchange, &*publish.routing_key), ("exchange", "routing.key"));
            assert_eq!((publish.mandatory, publish.immediate), (size == 1, false));
            let Some(AMQPFrame::Header(7, 60, header)) = frames.next() else { panic!("{size}") };
            assert_eq!(header.body_size, size as u64);
            assert_eq!(convert::from_properties(&header.properties), content.properties);
            let mut received = Vec::new();
            for frame in frames {
                let AMQPFrame::Body(7, part) = frame else { panic!("{size}: {frame:?}") };
                assert!(!part.is_empty() && part.len() <= FRAME_MAX - 8);
                received.extend(part);
            }
            assert_eq!(received, bytes);
        }
    }

    #[test]
    fn verdicts_are_the_methods_that_mean_them() {
        let sent = |verdict, multiple| {
            let mut bytes = Vec::new();
            settlement(&mut bytes, 3, verdict, 1 << 40, multiple);
            let Some(AMQPFrame::Method(3, AMQPClass::Basic(method))) = read(&bytes).pop() else {
                panic!("no method")
            };
            method
        };
        let reject = Verdict::Reject;
        for multiple in [false, true] {
            assert!(
                matches!(sent(Verdict::Ack, multiple), AMQPMethod::Ack(ack) if ack.delivery_tag == 1 << 40 && ack.multiple == multiple)
            );
            let returned = sent(reject(Rejection::Requeue), multiple);
            assert!(
                matches!(&returned, AMQPMethod::Nack(nack) if nack.multiple == multiple && nack.requeue),
                "{returned:?}"
            );
        }
        assert!(
            matches!(sent(reject(Rejection::Discard), false), AMQPMethod::Reject(one) if one.delivery_tag == 1 << 40 && !one.requeue)
        );
        assert!(
            matches!(sent(reject(Rejection::Discard), true), AMQPMethod::Nack(several) if several.multiple && !several.requeue)
        );
        assert!(
            matches!(sent(reject(Rejection::RequeueFailed), false), AMQPMethod::Reject(one) if one.requeue)
        );
    }
}
