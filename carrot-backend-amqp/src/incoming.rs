//! What the broker sends, less what amiquip is not up to, and what is not for it.

use std::mem;

use crate::confirms::Confirm;
use crate::frame::{BASIC_ACK, BASIC_NACK, CHANNEL_CLOSE, CHANNEL_CLOSE_OK, CHANNEL_OPEN_OK, HEAD, Head};
use crate::inspector::{self, Refused};

/// The payload of an answer to publications: class and number, tag, flags.
const ANSWER: usize = 4 + 8 + 1;
const MULTIPLE: u8 = 1;

/// Takes out of the stream what comes on a channel after the broker has closed it: the broker's threads are not that strict, and amiquip
/// would end the connection over it. Refuses what amiquip would not survive. Keeps the answers to publications for whom they concern, which
/// amiquip would hand over to yet another thread.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// Closed by the broker, and not opened again.
    closed: Vec<u16>,
    /// The beginning of a frame, as long as it does not say what the frame is.
    held: Vec<u8>,
    /// How much of the frame under way is still to come.
    remaining: usize,
    way: Way,
    /// As much as there is of a frame that has to be looked at as a whole.
    gathered: Option<(Head, Vec<u8>)>,
    news: News,
}

/// What becomes of a frame.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Way {
    #[default]
    Pass,
    /// It passes, and is looked at.
    Inspect,
    /// It does not pass, and is looked at.
    Keep,
    Drop,
}

/// What has come that concerns others than amiquip.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Answers to publications, with their channels, in the order in which they came.
    pub(crate) confirms: Vec<(u16, Confirm)>,
    /// Channels that are closed, by whichever side.
    pub(crate) ended: Vec<u16>,
}

impl Incoming {
    /// How much was held back, and goes before what is read next.
    pub(crate) fn held(&self) -> &[u8] {
        &self.held
    }

    /// What has come since this was asked for last.
    pub(crate) fn news(&mut self) -> News {
        mem::take(&mut self.news)
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
                if matches!(self.way, Way::Inspect | Way::Keep) {
                    match bytes.get(at..at + head.whole()) {
                        Some(frame) => self.look_at(&head, frame)?,
                        None => self.gathered = Some((head, Vec::new())),
                    }
                }
            }
            let length = self.remaining.min(bytes.len() - at);
            if let Some((_, frame)) = &mut self.gathered {
                frame.extend_from_slice(&bytes[at..at + length]);
            }
            if matches!(self.way, Way::Pass | Way::Inspect) {
                if passed < at {
                    bytes.copy_within(at..at + length, passed);
                }
                passed += length;
            }
            at += length;
            self.remaining -= length;
            if self.remaining == 0
                && let Some((head, frame)) = self.gathered.take()
            {
                self.look_at(&head, &frame)?;
            }
        }
        Ok(passed)
    }

    fn begin(&mut self, head: &Head) {
        self.remaining = head.whole();
        if head.method == Some(CHANNEL_OPEN_OK) {
            self.closed.retain(|channel| *channel != head.channel);
        }
        self.way = match head.method {
            _ if self.closed.contains(&head.channel) => Way::Drop,
            Some(BASIC_ACK | BASIC_NACK) if head.payload == ANSWER => Way::Keep,
            Some(CHANNEL_CLOSE | CHANNEL_CLOSE_OK) => Way::Inspect,
            _ if inspector::is_suspect(head.kind, head.channel) => Way::Inspect,
            _ => Way::Pass,
        };
        if head.method == Some(CHANNEL_CLOSE) && self.way != Way::Drop {
            self.closed.push(head.channel);
        }
    }

    /// Looks at a whole frame.
    fn look_at(&mut self, head: &Head, frame: &[u8]) -> Result<(), Refused> {
        let payload = head.payload_of(frame);
        match head.method {
            Some(CHANNEL_CLOSE | CHANNEL_CLOSE_OK) => self.news.ended.push(head.channel),
            Some(method @ (BASIC_ACK | BASIC_NACK)) => {
                if let [_, _, _, _, tag @ .., flags] = payload
                    && let Ok(tag) = tag.try_into()
                {
                    let confirm = Confirm { tag: u64::from_be_bytes(tag), multiple: flags & MULTIPLE != 0, refused: method == BASIC_NACK };
                    self.news.confirms.push((head.channel, confirm));
                }
            }
            _ => inspector::check(head.kind, payload)?,
        }
        Ok(())
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
    fn answers_to_publications_are_kept_however_they_are_cut() {
        let answer = |channel, method, tag: u64, flags| frame::method(channel, method, &[&tag.to_be_bytes()[..], &[flags]].concat());
        let close = frame::method(1, CHANNEL_CLOSE, b"\x01\x94 and words");
        let others = [frame::method(2, DELIVER, b"m1"), body(2, b"one"), close];
        let stream = [
            &answer(1, BASIC_ACK, 1, 0)[..],
            &answer(1, BASIC_ACK, 5, 1),
            &others[0],
            &answer(2, BASIC_NACK, 1 << 40, 3),
            &others[1],
            &others[2],
            &answer(1, BASIC_ACK, 6, 0),
            &frame::method(2, CHANNEL_CLOSE_OK, b""),
        ]
        .concat();
        let passes = [&others.concat()[..], &frame::method(2, CHANNEL_CLOSE_OK, b"")].concat();
        let confirm = |tag, multiple, refused| Confirm { tag, multiple, refused };
        for piece in 1..=stream.len() {
            let mut incoming = Incoming::default();
            let (mut passed, mut news) = (Vec::new(), News::default());
            for bytes in stream.chunks(piece) {
                let mut bytes = [incoming.held(), bytes].concat();
                let length = incoming.pass(&mut bytes).unwrap();
                passed.extend_from_slice(&bytes[..length]);
                let more = incoming.news();
                // Nobody hears of an end before amiquip could.
                let by_then = [0, others.concat().len(), passes.len()];
                assert!(more.ended.iter().all(|channel| passed.len() >= by_then[usize::from(*channel)]), "in pieces of {piece}");
                news.confirms.extend(more.confirms);
                news.ended.extend(more.ended);
            }
            assert_eq!(passed, passes, "in pieces of {piece}");
            let expected = [(1, confirm(1, false, false)), (1, confirm(5, true, false)), (2, confirm(1 << 40, true, true))];
            assert_eq!((&news.confirms[..], &news.ended[..]), (&expected[..], &[1, 2][..]), "in pieces of {piece}");
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
