//! The contents on their way out.

use crate::frame::{self, BASIC_PUBLISH, CHANNEL_CLOSE_OK, CONTENT_BODY, CONTENT_HEADER, Head};

/// The largest frame to fill a body up with, without head and end: every peer takes that.
const FILLER: u64 = 4096 - 8;

/// Completes what amiquip leaves unfinished. When the broker closes a channel, amiquip answers at once, be it in the middle of a message,
/// and the broker would end the connection over that (505). It ignores whatever comes on the channel before the answer, so the message
/// can be filled up with anything.
#[derive(Debug, Default)]
pub(crate) struct Departing {
    open: Vec<(u16, Missing)>,
    /// How much of what is to be written was looked at, and has not left yet.
    known: usize,
    filler: Vec<u8>,
    sent: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Header,
    Body(u64),
}

/// What is to be written first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// So much of what amiquip wants to write.
    Theirs(usize),
    /// This; see [`Departing::filled`].
    Filler(&'a [u8]),
}

impl Departing {
    /// Looks at what amiquip wants to write: whole frames, but for the rest of one that has partly left.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Next<'_> {
        if self.sent == self.filler.len() {
            self.filler.clear();
            self.sent = 0;
            while let Some(rest) = bytes.get(self.known..).filter(|rest| !rest.is_empty()) {
                let Some(head) = Head::parse(rest).filter(|head| head.whole() <= rest.len()) else {
                    self.known = bytes.len();
                    break;
                };
                if head.method == Some(CHANNEL_CLOSE_OK)
                    && let Some(index) = self.open.iter().position(|(channel, _)| *channel == head.channel)
                {
                    if self.known == 0 {
                        self.fill(index);
                    }
                    break;
                }
                self.note(&head, rest);
                self.known += head.whole();
            }
        }
        if self.filler.is_empty() { Next::Theirs(self.known) } else { Next::Filler(&self.filler[self.sent..]) }
    }

    /// So much of theirs has left.
    pub(crate) fn left(&mut self, written: usize) {
        self.known -= written.min(self.known);
    }

    /// So much of the filler has left.
    pub(crate) fn filled(&mut self, written: usize) {
        self.sent += written;
    }

    fn note(&mut self, head: &Head, frame: &[u8]) {
        let channel = head.channel;
        if head.method == Some(BASIC_PUBLISH) {
            return self.open.push((channel, Missing::Header));
        }
        if !matches!(head.kind, CONTENT_HEADER | CONTENT_BODY) {
            return;
        }
        let Some(index) = self.open.iter().position(|(other, _)| *other == channel) else { return };
        let missing = match self.open[index].1 {
            Missing::Header => frame::body_size(frame).unwrap_or_default(),
            Missing::Body(size) => size.saturating_sub(head.payload as u64),
        };
        match missing {
            0 => drop(self.open.swap_remove(index)),
            size => self.open[index].1 = Missing::Body(size),
        }
    }

    /// Makes the next frame that a message lacks.
    fn fill(&mut self, index: usize) {
        let (channel, missing) = self.open[index];
        let rest = match missing {
            Missing::Header => {
                let [class, weight, flags] = [60_u16, 0, 0].map(u16::to_be_bytes);
                let payload = [&class[..], &weight, &0_u64.to_be_bytes(), &flags].concat();
                frame::write(&mut self.filler, CONTENT_HEADER, channel, &payload);
                0
            }
            Missing::Body(size) => {
                let length = size.min(FILLER);
                frame::write(&mut self.filler, CONTENT_BODY, channel, &vec![0; length as usize]);
                size - length
            }
        };
        match rest {
            0 => drop(self.open.swap_remove(index)),
            size => self.open[index].1 = Missing::Body(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content_header(channel: u16, size: u64) -> Vec<u8> {
        let mut frame = Vec::new();
        let payload = [&[0, 60, 0, 0][..], &size.to_be_bytes(), &[0, 0]].concat();
        frame::write(&mut frame, CONTENT_HEADER, channel, &payload);
        frame
    }

    fn body(channel: u16, size: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        frame::write(&mut frame, CONTENT_BODY, channel, &vec![b'x'; size]);
        frame
    }

    fn publish(channel: u16) -> Vec<u8> {
        frame::method(channel, BASIC_PUBLISH, b"\0\0\0\x01q\0")
    }

    fn close_ok(channel: u16) -> Vec<u8> {
        frame::method(channel, CHANNEL_CLOSE_OK, b"")
    }

    /// What a socket sees that takes so many bytes at a time.
    fn written(mut bytes: &[u8], step: usize) -> Vec<u8> {
        let mut departing = Departing::default();
        let mut seen = Vec::new();
        while !bytes.is_empty() {
            match departing.next(bytes) {
                Next::Theirs(most) => {
                    let count = step.min(most);
                    assert!(count > 0, "nothing is to be written");
                    seen.extend_from_slice(&bytes[..count]);
                    bytes = &bytes[count..];
                    departing.left(count);
                }
                Next::Filler(filler) => {
                    let count = step.min(filler.len());
                    seen.extend_from_slice(&filler[..count]);
                    departing.filled(count);
                }
            }
        }
        seen
    }

    /// Type, channel and size of the payload of each frame.
    fn frames(mut bytes: &[u8]) -> Vec<(u8, u16, usize)> {
        let mut frames = Vec::new();
        while let Some(head) = Head::parse(bytes) {
            assert_eq!(bytes[head.whole() - 1], frame::END);
            frames.push((head.kind, head.channel, head.payload));
            bytes = &bytes[head.whole()..];
        }
        assert!(bytes.is_empty());
        frames
    }

    #[test]
    fn what_is_complete_leaves_as_it_is() {
        let stream = [
            publish(1),
            content_header(1, 5),
            body(1, 5),
            publish(2),
            content_header(2, 0),
            close_ok(1),
            publish(2),
            content_header(2, 7),
            body(2, 4),
            body(2, 3),
            close_ok(2),
        ]
        .concat();
        for step in 1..=stream.len() {
            assert_eq!(written(&stream, step), stream, "{step} at a time");
        }
    }

    #[test]
    fn a_missing_header_is_made_up() {
        let stream = [publish(1), publish(2), close_ok(1), content_header(2, 0), close_ok(2)].concat();
        for step in 1..=stream.len() {
            let seen = frames(&written(&stream, step));
            let expected = [(1, 1, 10), (1, 2, 10), (2, 1, 14), (1, 1, 4), (2, 2, 14), (1, 2, 4)];
            assert_eq!(seen, expected, "{step} at a time");
        }
    }

    #[test]
    fn a_missing_body_is_filled_up() {
        let stream = [publish(3), content_header(3, 10_010), body(3, 10), close_ok(3), publish(3), content_header(3, 0)].concat();
        for step in [1, 7, 100, 5_000, stream.len()] {
            let seen = frames(&written(&stream, step));
            let expected =
                [(1, 3, 10), (2, 3, 14), (3, 3, 10), (3, 3, 4088), (3, 3, 4088), (3, 3, 1824), (1, 3, 4), (1, 3, 10), (2, 3, 14)];
            assert_eq!(seen, expected, "{step} at a time");
        }
    }
}
