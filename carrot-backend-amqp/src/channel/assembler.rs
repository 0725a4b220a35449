//! Assembles messages from a method, a content header and body frames.

use std::sync::Arc;

use carrot_amqp_wire::{BodyPart, ContentHeader, ShortStr};
use carrot_core::backend::{Body, BufferPool};

use super::arrived::{MAX_BODY, MessageHead};
use crate::connection::{BodyPlace, Violation};

/// The least memory that is taken for a body whose size was only announced. More is taken as more
/// arrives.
const FIRST_ROOM: usize = 128 << 10;
/// The largest body that is skipped. A peer that announces more is no broker.
const MAX_SKIPPED: u64 = 4 << 30;

/// The purpose of a message from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Announced {
    /// A delivery to the consumer with this number.
    Delivery { consumer: u64, tag: u64, redelivered: bool },
    /// The answer to basic.get.
    Got { tag: u64, redelivered: bool },
    /// A message that could not be routed.
    Return { code: u16, text: String },
    /// A delivery to a consumer that the broker has cancelled. It is requeued.
    Late { tag: u64 },
    /// A delivery to a consumer that does not exist.
    Unwanted,
}

/// A whole message, and its purpose.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) announced: Announced,
    pub(crate) head: MessageHead,
    pub(crate) body: Body,
}

/// The message of one channel that is incomplete, if any.
#[derive(Debug)]
pub(crate) struct Assembler {
    state: AssemblerState,
    buffers: Arc<BufferPool>,
}

#[derive(Debug, Default)]
enum AssemblerState {
    #[default]
    Idle,
    /// A content header comes next.
    Header(Announced, MessageHead),
    /// Body frames come next.
    Body(Incomplete),
}

#[derive(Debug)]
struct Incomplete {
    announced: Announced,
    head: MessageHead,
    /// The number of octets that have not arrived.
    missing: u64,
    is_kept: bool,
    /// Longer than `filled` if it was used before.
    buffer: Vec<u8>,
    filled: usize,
}

impl Assembler {
    pub(crate) fn new(buffers: Arc<BufferPool>) -> Assembler {
        Assembler { state: AssemblerState::Idle, buffers }
    }

    /// Takes the method that announces a message.
    pub(crate) fn announce(
        &mut self,
        announced: Announced,
        exchange: ShortStr<'_>,
        routing_key: ShortStr<'_>,
    ) -> Result<(), Violation> {
        self.check_idle("a method")?;
        let head = MessageHead::new(exchange.as_bytes(), routing_key.as_bytes());
        self.state = AssemblerState::Header(announced, head);
        Ok(())
    }

    /// Fails if a message is incomplete.
    pub(crate) fn check_idle(&self, frame: &str) -> Result<(), Violation> {
        match self.state {
            AssemblerState::Idle => Ok(()),
            _ => Err(Violation::unexpected_frame(format!("{frame} within a message"))),
        }
    }

    /// Takes a content header. Returns the message if its body is empty.
    pub(crate) fn header(&mut self, payload: &[u8]) -> Result<Option<Assembled>, Violation> {
        let header = ContentHeader::read(payload)?;
        let (announced, mut head) = match std::mem::take(&mut self.state) {
            AssemblerState::Header(announced, head) => (announced, head),
            _ => return Err(Violation::unexpected_frame("a content header without a method")),
        };
        head.octets.extend_from_slice(header.property_list);
        if header.body_size == 0 {
            return Ok(Some(Assembled { announced, head, body: Body::default() }));
        }
        let missing = header.body_size;
        if missing > MAX_SKIPPED {
            return Err(Violation::content_too_large(missing, MAX_SKIPPED));
        }
        if missing > MAX_BODY {
            head.oversize = missing;
        }
        let is_read = !matches!(announced, Announced::Late { .. } | Announced::Unwanted);
        let is_kept = head.oversize == 0 && is_read;
        let (buffer, filled) = (Vec::new(), 0);
        let incomplete = Incomplete { announced, head, missing, is_kept, buffer, filled };
        self.state = AssemblerState::Body(incomplete);
        Ok(None)
    }

    /// Lends the place of the next `missing` octets of a body, to be read into it. Returns `None`
    /// if the body is not that long.
    pub(crate) fn lend_place(&mut self, missing: usize) -> Option<BodyPlace> {
        let AssemblerState::Body(incomplete) = &mut self.state else { return None };
        if missing as u64 > incomplete.missing || !incomplete.is_kept {
            return None;
        }
        let end = incomplete.filled + missing;
        incomplete.make_room(end, &self.buffers);
        let mut buffer = std::mem::take(&mut incomplete.buffer);
        if buffer.len() < end {
            buffer.resize(end, 0);
        }
        Some(BodyPlace { buffer, range: incomplete.filled..end })
    }

    /// Takes back a place, after `count` octets were read into it.
    pub(crate) fn return_place(&mut self, place: BodyPlace, count: usize) {
        if let AssemblerState::Body(incomplete) = &mut self.state {
            incomplete.filled += count;
            incomplete.missing -= count as u64;
            incomplete.buffer = place.buffer;
        }
    }

    /// Takes a part of a body. Returns the message if the body is complete.
    pub(crate) fn body(&mut self, part: &BodyPart<'_>) -> Result<Option<Assembled>, Violation> {
        let AssemblerState::Body(incomplete) = &mut self.state else {
            return Err(Violation::unexpected_frame("a body without a content header"));
        };
        if part.octets.len() as u64 + part.missing as u64 > incomplete.missing {
            return Err(Violation::unexpected_frame("a body larger than its content header says"));
        }
        let left = incomplete.missing - part.octets.len() as u64;
        let is_whole = part.ends_frame && left == 0;
        let body = if is_whole && incomplete.filled == 0 && incomplete.is_kept {
            Body::copied(part.octets, &self.buffers)
        } else {
            if incomplete.is_kept {
                incomplete.add(part.octets, &self.buffers);
            }
            incomplete.missing = left;
            if !is_whole {
                return Ok(None);
            }
            incomplete.take_body(&self.buffers)
        };
        match std::mem::take(&mut self.state) {
            AssemblerState::Body(Incomplete { announced, head, .. }) => {
                Ok(Some(Assembled { announced, head, body }))
            }
            _ => Ok(None),
        }
    }
}

impl Incomplete {
    fn add(&mut self, octets: &[u8], buffers: &BufferPool) {
        let end = self.filled + octets.len();
        self.make_room(end, buffers);
        put(&mut self.buffer, self.filled, octets);
        self.filled = end;
    }

    /// Replaces a buffer without room for `end` octets: by an unused one with room for the whole
    /// body, or by new memory for at most twice as much as has arrived.
    fn make_room(&mut self, end: usize, buffers: &BufferPool) {
        if end <= self.buffer.capacity() {
            return;
        }
        let size = usize::try_from(self.missing).unwrap_or(usize::MAX);
        let size = self.filled.saturating_add(size);
        let room = size.min(end.saturating_mul(2).max(FIRST_ROOM));
        let mut larger = buffers.take_unused(size).unwrap_or_else(|| buffers.take(room));
        put(&mut larger, 0, self.buffer.get(..self.filled).unwrap_or_default());
        buffers.put_back(std::mem::replace(&mut self.buffer, larger));
    }

    fn take_body(&mut self, buffers: &Arc<BufferPool>) -> Body {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.truncate(self.filled);
        if buffer.len() < BufferPool::MIN_BUFFER_BYTES {
            return Body::from(buffer);
        }
        Body::in_buffer(buffer, buffers)
    }
}

/// Writes octets at a place of a buffer, which may be longer.
fn put(buffer: &mut Vec<u8>, at: usize, octets: &[u8]) {
    match buffer.get_mut(at..at + octets.len()) {
        Some(place) => place.copy_from_slice(octets),
        None => {
            buffer.truncate(at);
            buffer.extend_from_slice(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use carrot_core::Properties;
    use carrot_core::backend::Delivery;

    use super::*;
    use crate::channel::arrived::Arrived;

    fn header(size: u64, properties: &[u8]) -> Vec<u8> {
        [&[0, 60, 0, 0], &size.to_be_bytes()[..], properties].concat()
    }

    fn assembler() -> Assembler {
        Assembler::new(Arc::new(BufferPool::new()))
    }

    fn announced(assembler: &mut Assembler) -> Result<(), Violation> {
        let got = Announced::Got { tag: 7, redelivered: true };
        assembler.announce(got, "ex".into(), ShortStr::new(b"k\xff"))
    }

    fn arrived(assembled: Assembled) -> Delivery {
        let Assembled { head, body, .. } = assembled;
        Arrived { tag: 7, redelivered: true, head, body }.into_delivery()
    }

    #[test]
    fn a_body_is_the_same_in_any_cut() {
        let bytes: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8).collect();
        for (size, cut) in [(0, 1), (1, 1), (90, 7), (90, 90), (5_000, 700), (300_000, 70_000)] {
            let bytes = &bytes[..size];
            let mut assembler = assembler();
            announced(&mut assembler).unwrap();
            let mut whole = assembler.header(&header(size as u64, &[0x08, 0, 5])).unwrap();
            let count = bytes.chunks(cut).count();
            for (index, octets) in bytes.chunks(cut).enumerate() {
                assert!(whole.is_none());
                let last = index + 1 == count;
                let part = BodyPart { channel: 1, octets, missing: 0, ends_frame: last };
                whole = assembler.body(&part).unwrap();
            }
            let delivery = arrived(whole.unwrap());
            assert_eq!(delivery.content.body, bytes, "{size} in {cut}");
            assert_eq!(delivery.content.properties.priority(), Some(5));
            assert_eq!(delivery.content.routing_key.as_bytes(), b"k\xff");
            assert!(delivery.unreadable.is_none() && delivery.redelivered);
        }
    }

    /// A property list with headers only.
    fn headers(table: &[u8]) -> Vec<u8> {
        [&[0x20, 0][..], &(table.len() as u32).to_be_bytes(), table].concat()
    }

    /// A table of one array, which holds an array, and so on.
    fn nested(levels: usize) -> Vec<u8> {
        let mut table = vec![b'V'];
        for _ in 0..levels {
            let length = (table.len() as u32).to_be_bytes();
            table = [&b"A"[..], &length, &table].concat();
        }
        [&b"\x01a"[..], &table].concat()
    }

    #[test]
    fn each_fault_of_the_properties_has_its_reason_and_costs_its_message_only() {
        let mut assembler = assembler();
        for (properties, reason) in [
            (vec![0x80, 0, 9], "ends within the field content-type"),
            (vec![0, 0, 9], "has 1 bytes after its last field"),
            (vec![0, 2], "the flags 0x0002 name a property"),
            (headers(b"\x01aZ"), "a value of the unknown type 90"),
            (headers(&nested(128)), "more than 128 levels"),
        ] {
            announced(&mut assembler).unwrap();
            let whole = assembler.header(&header(0, &properties)).unwrap();
            let delivery = arrived(whole.unwrap());
            let told = delivery.unreadable.unwrap();
            assert!(told.starts_with("the property list ") || told.starts_with("the flags "));
            assert!(told.contains(reason), "{told}");
            assert_eq!(delivery.content.exchange, "ex");
            assert_eq!(delivery.content.properties, Properties::new());
        }
        announced(&mut assembler).unwrap();
        let whole = assembler.header(&header(0, &headers(&nested(127)))).unwrap();
        assert_eq!(arrived(whole.unwrap()).unreadable, None);
    }

    #[test]
    fn an_announced_size_takes_no_memory() {
        let mut assembler = assembler();
        announced(&mut assembler).unwrap();
        assembler.header(&header(MAX_BODY, &[0, 0])).unwrap();
        let part = BodyPart { channel: 1, octets: &[1; 100], missing: 50, ends_frame: false };
        assert!(assembler.body(&part).unwrap().is_none());
        let AssemblerState::Body(incomplete) = &assembler.state else { panic!() };
        assert!(incomplete.buffer.capacity() <= 2 * FIRST_ROOM);
    }

    #[test]
    fn a_body_over_the_limit_is_skipped_and_costs_its_message_only() {
        let mut assembler = assembler();
        announced(&mut assembler).unwrap();
        let size = MAX_BODY + 1;
        assert!(assembler.header(&header(size, &[0, 0])).unwrap().is_none());
        assert!(assembler.lend_place(1 << 20).is_none());
        let octets = vec![1; 1 << 20];
        let frame = |length: usize| BodyPart {
            channel: 1,
            octets: &octets[..length],
            missing: 0,
            ends_frame: true,
        };
        for _ in 0..MAX_BODY / (1 << 20) {
            assert!(assembler.body(&frame(1 << 20)).unwrap().is_none());
            let AssemblerState::Body(incomplete) = &assembler.state else { panic!() };
            assert_eq!(incomplete.buffer.capacity(), 0);
        }
        let delivery = arrived(assembler.body(&frame(1)).unwrap().unwrap());
        let reason = delivery.unreadable.unwrap();
        assert_eq!(&*reason, "the body has 536870913 bytes, and the limit is 536870912");
        assert!(delivery.content.body.is_empty());
        announced(&mut assembler).unwrap();
    }

    #[test]
    fn a_body_that_no_broker_stores_is_refused_from_its_header() {
        for size in [MAX_SKIPPED + 1, 1 << 63, u64::MAX] {
            let mut assembler = assembler();
            announced(&mut assembler).unwrap();
            let violation = assembler.header(&header(size, &[0, 0])).unwrap_err();
            assert_eq!(violation.code, 311);
            assert!(violation.text.contains(&size.to_string()), "{}", violation.text);
        }
    }

    #[test]
    fn an_unwanted_body_takes_no_memory() {
        let mut assembler = assembler();
        assembler.announce(Announced::Unwanted, "ex".into(), "q".into()).unwrap();
        assert!(assembler.header(&header(300, &[0, 0])).unwrap().is_none());
        for (length, ends_frame) in [(100, false), (100, true), (99, false)] {
            let octets = &[1; 100][..length];
            let part = BodyPart { channel: 1, octets, missing: 0, ends_frame };
            assert!(assembler.body(&part).unwrap().is_none());
            let AssemblerState::Body(incomplete) = &assembler.state else { panic!() };
            assert_eq!(incomplete.buffer.capacity(), 0);
        }
        let too_long = BodyPart { channel: 1, octets: &[1; 2], missing: 0, ends_frame: true };
        assert_eq!(assembler.body(&too_long).unwrap_err().code, 505);
        let last = BodyPart { channel: 1, octets: &[1; 1], missing: 0, ends_frame: true };
        let assembled = assembler.body(&last).unwrap().unwrap();
        assert_eq!(assembled.announced, Announced::Unwanted);
    }

    #[test]
    fn frames_out_of_order_are_refused() {
        let part = BodyPart { channel: 1, octets: &[1; 9], missing: 0, ends_frame: true };
        assert_eq!(assembler().body(&part).unwrap_err().code, 505);
        assert_eq!(assembler().header(&header(1, &[0, 0])).unwrap_err().code, 505);
        let mut assembler = assembler();
        announced(&mut assembler).unwrap();
        assert_eq!(announced(&mut assembler).unwrap_err().code, 505);
        assembler.header(&header(8, &[0, 0])).unwrap();
        assert_eq!(assembler.body(&part).unwrap_err().code, 505);
    }
}
