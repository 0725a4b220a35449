//! What the broker sends, less what amiquip is not up to.

use crate::frame::{CHANNEL_CLOSE, CHANNEL_OPEN_OK, HEAD, Head};
use crate::inspector::{self, Refused};

/// Takes out of the stream what comes on a channel after the broker has closed it: the broker's threads are not that strict, and amiquip
/// would end the connection over it. Refuses what amiquip would not survive.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// Closed by the broker, and not opened again.
    closed: Vec<u16>,
    /// The beginning of a frame, as long as it does not say what the frame is.
    held: Vec<u8>,
    /// How much of the frame under way is still to come.
    remaining: usize,
    dropping: bool,
    /// As much as there is of a frame that has to be looked at as a whole.
    suspect: Option<(Head, Vec<u8>)>,
}

impl Incoming {
    /// How much was held back, and goes before what is read next.
    pub(crate) fn held(&self) -> &[u8] {
        &self.held
    }

    /// Takes what was read, with what was held before it; leaves at the beginning of `bytes` what may pass, and gives how much that is.
    pub(crate) fn pass(&mut self, bytes: &mut [u8]) -> Result<usize, Refused> {
        self.held.clear();
        let mut passed = 0;
        let mut at = 0;
        while at < bytes.len() {
            if self.remaining == 0 {
                let Some(head) = Head::parse(&bytes[at..]) else {
                    self.held.extend_from_slice(&bytes[at..]);
                    debug_assert!(self.held.len() < HEAD);
                    break;
                };
                self.begin(&head);
                if !self.dropping && inspector::is_suspect(head.kind, head.channel) {
                    match bytes.get(at..at + head.whole()) {
                        Some(frame) => inspector::check(head.kind, head.payload_of(frame))?,
                        None => self.suspect = Some((head, Vec::new())),
                    }
                }
            }
            let length = self.remaining.min(bytes.len() - at);
            if let Some((_, frame)) = &mut self.suspect {
                frame.extend_from_slice(&bytes[at..at + length]);
            }
            if !self.dropping {
                if passed < at {
                    bytes.copy_within(at..at + length, passed);
                }
                passed += length;
            }
            at += length;
            self.remaining -= length;
            if self.remaining == 0
                && let Some((head, frame)) = self.suspect.take()
            {
                inspector::check(head.kind, head.payload_of(&frame))?;
            }
        }
        Ok(passed)
    }

    fn begin(&mut self, head: &Head) {
        self.remaining = head.whole();
        if head.method == Some(CHANNEL_OPEN_OK) {
            self.closed.retain(|channel| *channel != head.channel);
        }
        self.dropping = self.closed.contains(&head.channel);
        if head.method == Some(CHANNEL_CLOSE) && !self.dropping {
            self.closed.push(head.channel);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;
    use crate::frame::{self, CHANNEL_CLOSE_OK, CONTENT_BODY, CONTENT_HEADER};

    const DELIVER: (u16, u16) = (60, 60);

    fn body(channel: u16, payload: &[u8]) -> Vec<u8> {
        frame::whole(CONTENT_BODY, channel, payload)
    }

    /// What passes of a stream that arrives in pieces of such a size.
    fn passed(stream: &[u8], piece: usize) -> Result<Vec<u8>, Refused> {
        let mut incoming = Incoming::default();
        let mut passed = Vec::new();
        for piece in stream.chunks(piece) {
            let mut bytes = incoming.held().to_vec();
            bytes.extend_from_slice(piece);
            let length = incoming.pass(&mut bytes)?;
            passed.extend_from_slice(&bytes[..length]);
        }
        Ok(passed)
    }

    #[test]
    fn a_channel_is_silent_from_its_end_to_its_next_opening() {
        let close = frame::method(2, CHANNEL_CLOSE, b"\x01\x94 and words");
        let late = [frame::method(2, DELIVER, b"m1"), body(2, b"one"), frame::method(2, CHANNEL_CLOSE_OK, b"")].concat();
        let other = [frame::method(1, DELIVER, b"m2"), body(1, &[7; 300]), vec![8, 0, 0, 0, 0, 0, 0, frame::END]].concat();
        let opened = [frame::method(2, CHANNEL_OPEN_OK, b"\0\0\0\0"), frame::method(2, DELIVER, b"m3"), body(2, b"three")].concat();
        let stream = [&other[..], &close, &late, &other, &late, &opened, &other].concat();
        let expected = [&other[..], &close, &other, &opened, &other].concat();
        for piece in 1..=stream.len() {
            assert_eq!(passed(&stream, piece).unwrap(), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_the_client_closes_is_none_of_this() {
        let stream = [frame::method(1, CHANNEL_CLOSE_OK, b""), frame::method(1, DELIVER, b"m1")].concat();
        assert_eq!(passed(&stream, 5).unwrap(), stream);
    }

    #[test]
    fn what_amiquip_would_not_survive_is_refused_however_it_is_cut() {
        let header = |size: u64| frame::whole(CONTENT_HEADER, 1, &[&[0, 60, 0, 0][..], &size.to_be_bytes(), &[0, 0]].concat());
        let good = [frame::method(1, DELIVER, b"m1"), header(5), body(1, b"hello")].concat();
        let absurd = [good.clone(), header(u64::MAX)].concat();
        let late = [frame::method(1, CHANNEL_CLOSE, b""), header(u64::MAX), good.clone()].concat();
        for piece in 1..=absurd.len() {
            assert_eq!(passed(&good, piece).unwrap(), good, "in pieces of {piece}");
            assert!(matches!(passed(&absurd, piece), Err(Refused::Large(u64::MAX))), "in pieces of {piece}");
            assert_eq!(passed(&late, piece).unwrap(), frame::method(1, CHANNEL_CLOSE, b""), "nobody reads it");
        }
    }
}
