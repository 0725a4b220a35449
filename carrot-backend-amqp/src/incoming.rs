//! What the broker sends, less what amiquip is not up to, and what is not for it.

use std::collections::HashMap;
use std::mem;

use crate::confirms::{Answer, Confirm};
use crate::frame::{
    self, BASIC_ACK, BASIC_NACK, BASIC_RETURN, CHANNEL_CLOSE, CHANNEL_CLOSE_OK, CHANNEL_OPEN_OK, CONTENT_BODY, CONTENT_HEADER, Head,
};
use crate::inspector::{self, Refused};
use crate::large_bodies::{LARGE, Ticket, Tickets};

/// The payload of an answer to publications: class and number, tag, flags.
const ANSWER: usize = 4 + 8 + 1;
const MULTIPLE: u8 = 1;
/// As much memory as is set aside for a body because its header says so.
const TRUSTED: u64 = 32 << 20;

/// Takes out of the stream what comes on a channel after the broker has closed it: the broker's threads are not that strict, and amiquip
/// would end the connection over it. Refuses what amiquip would not survive. Keeps the answers to publications for whom they concern, which
/// amiquip would hand over to yet another thread, and large bodies, which it would copy twice.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// Closed by the broker, and not opened again.
    closed: Vec<u16>,
    /// The beginning of a frame, as long as it does not say what the frame is.
    begun: Vec<u8>,
    head: Option<Head>,
    way: Way,
    /// How much of the frame under way is still to come.
    remaining: usize,
    /// As much as there is of a frame that has to be looked at as a whole.
    gathered: Vec<u8>,
    /// The large bodies under way, by channel.
    large: HashMap<u16, Large>,
    tickets: Tickets,
    news: News,
}

/// What becomes of a frame.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Way {
    #[default]
    Pass,
    Gather,
    /// It is part of a large body.
    Collect,
    Drop,
}

/// A large body under way.
#[derive(Debug)]
struct Large {
    /// The frame that announced it.
    header: Vec<u8>,
    size: u64,
    body: Vec<u8>,
}

/// What has come that concerns others than amiquip.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Large bodies with their channels. To be put away before amiquip gets what came with them.
    pub(crate) bodies: Vec<(u16, Ticket, Vec<u8>)>,
    /// Answers to publications, with their channels, in the order in which they came. To be told once amiquip has done with what came
    /// before.
    pub(crate) answers: Vec<(u16, Answer)>,
    /// Channels that are closed, by whichever side. As the answers.
    pub(crate) ended: Vec<u16>,
}

impl News {
    pub(crate) fn concerns_publishers(&self) -> bool {
        !self.answers.is_empty() || !self.ended.is_empty()
    }
}

impl Incoming {
    /// What has come since this was asked for last.
    pub(crate) fn news(&mut self) -> &mut News {
        &mut self.news
    }

    /// Takes what was read, and appends to `out` what may pass.
    pub(crate) fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        while !bytes.is_empty() {
            if self.remaining == 0 {
                let Some(head) = self.next_head(&mut bytes) else { break };
                self.begin(head);
                let begun = mem::take(&mut self.begun);
                self.take(&begun, out)?;
            }
            let (part, rest) = bytes.split_at(self.remaining.min(bytes.len()));
            self.take(part, out)?;
            bytes = rest;
        }
        Ok(())
    }

    /// Moves the head of a frame from `bytes` to what was begun before; `None` if it is not all there.
    fn next_head(&mut self, bytes: &mut &[u8]) -> Option<Head> {
        loop {
            let wanted = if self.begun.len() < frame::PREFIX { frame::PREFIX } else { frame::HEAD };
            let (part, rest) = bytes.split_at((wanted - self.begun.len()).min(bytes.len()));
            self.begun.extend_from_slice(part);
            *bytes = rest;
            let head = Head::parse(&self.begun);
            if head.is_some() || part.is_empty() {
                return head;
            }
        }
    }

    fn begin(&mut self, head: Head) {
        self.remaining = head.whole();
        if head.method == Some(CHANNEL_OPEN_OK) {
            self.closed.retain(|channel| *channel != head.channel);
        }
        self.way = match head.method {
            _ if self.closed.contains(&head.channel) => Way::Drop,
            Some(BASIC_ACK | BASIC_NACK) if head.payload == ANSWER => Way::Gather,
            Some(CHANNEL_CLOSE | CHANNEL_CLOSE_OK) => Way::Gather,
            _ if inspector::is_suspect(head.kind, head.channel) => Way::Gather,
            _ if head.kind == CONTENT_BODY && self.large.contains_key(&head.channel) => Way::Collect,
            _ => Way::Pass,
        };
        match head.method {
            _ if self.way == Way::Drop => {}
            Some(CHANNEL_CLOSE) => self.closed.push(head.channel),
            Some(BASIC_RETURN) => self.news.answers.push((head.channel, Answer::Return)),
            _ => {}
        }
        self.head = Some(head);
    }

    /// Takes part of the frame under way.
    fn take(&mut self, part: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let Some(head) = self.head else { return Ok(()) };
        match self.way {
            Way::Pass => out.extend_from_slice(part),
            Way::Gather => self.gathered.extend_from_slice(part),
            Way::Collect => {
                if let Some(large) = self.large.get_mut(&head.channel) {
                    large.body.extend_from_slice(head.payload_in(head.whole() - self.remaining, part));
                }
            }
            Way::Drop => {}
        }
        self.remaining -= part.len();
        if self.remaining > 0 {
            return Ok(());
        }
        match self.way {
            Way::Gather => {
                let frame = mem::take(&mut self.gathered);
                let result = self.look_at(&head, &frame, out);
                self.gathered = frame;
                self.gathered.clear();
                result
            }
            Way::Collect => self.complete(head.channel, out),
            Way::Pass | Way::Drop => Ok(()),
        }
    }

    /// Looks at a whole frame.
    fn look_at(&mut self, head: &Head, frame: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let payload = head.payload_of(frame);
        match (head.method, payload) {
            (Some(method @ (BASIC_ACK | BASIC_NACK)), [_, _, _, _, tag @ .., flags]) => {
                let tag = tag.try_into().map_or(0, u64::from_be_bytes);
                let confirm = Confirm { tag, multiple: flags & MULTIPLE != 0, refused: method == BASIC_NACK };
                self.news.answers.push((head.channel, Answer::Confirm(confirm)));
                return Ok(());
            }
            (Some(CHANNEL_CLOSE | CHANNEL_CLOSE_OK), _) => {
                self.large.remove(&head.channel);
                self.news.ended.push(head.channel);
            }
            _ => inspector::check(head.kind, payload)?,
        }
        let size = if head.kind == CONTENT_HEADER { frame::body_size(payload) } else { None };
        match size {
            Some(size @ LARGE..) => {
                let large = Large { header: frame.to_vec(), size, body: Vec::with_capacity(size.min(TRUSTED) as usize) };
                self.large.insert(head.channel, large);
            }
            _ => out.extend_from_slice(frame),
        }
        Ok(())
    }

    /// Gives amiquip a ticket in place of a large body, once that is there.
    fn complete(&mut self, channel: u16, out: &mut Vec<u8>) -> Result<(), Refused> {
        let Some(large) = self.large.get(&channel) else { return Ok(()) };
        let length = large.body.len() as u64;
        if length < large.size {
            return Ok(());
        }
        if length > large.size {
            return Err(Refused::Overlong);
        }
        if let Some(Large { mut header, body, .. }) = self.large.remove(&channel) {
            let ticket = self.tickets.next();
            frame::set_body_size(&mut header, ticket.bytes().len());
            out.extend_from_slice(&header);
            frame::begin(out, CONTENT_BODY, channel, |out| out.extend_from_slice(ticket.bytes()));
            self.news.bodies.push((channel, ticket, body));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    const DELIVER: (u16, u16) = (60, 60);

    fn body(channel: u16, payload: &[u8]) -> Vec<u8> {
        frame::whole(CONTENT_BODY, channel, payload)
    }

    /// What passes of a stream that arrives in pieces of such a size.
    fn passed(stream: &[u8], piece: usize) -> Result<Vec<u8>, Refused> {
        let mut incoming = Incoming::default();
        let mut passed = Vec::new();
        stream.chunks(piece).try_for_each(|piece| incoming.pass(piece, &mut passed))?;
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
        let returned = frame::method(1, BASIC_RETURN, b"words");
        let stream = [
            &answer(1, BASIC_ACK, 1, 0)[..],
            &answer(1, BASIC_ACK, 5, 1),
            &others[0],
            &answer(2, BASIC_NACK, 1 << 40, 3),
            &others[1],
            &returned,
            &others[2],
            &answer(1, BASIC_ACK, 6, 0),
            &frame::method(1, BASIC_RETURN, b"late"),
            &frame::method(2, CHANNEL_CLOSE_OK, b""),
        ]
        .concat();
        let before_the_close = [&others[0][..], &others[1], &returned].concat();
        let passes = [&before_the_close[..], &others[2], &frame::method(2, CHANNEL_CLOSE_OK, b"")].concat();
        let confirm = |tag, multiple, refused| Answer::Confirm(Confirm { tag, multiple, refused });
        for piece in 1..=stream.len() {
            let mut incoming = Incoming::default();
            let mut passed = Vec::new();
            for bytes in stream.chunks(piece) {
                incoming.pass(bytes, &mut passed).unwrap();
                // Nobody hears of an end before amiquip could.
                let by_then = [0, before_the_close.len() + others[2].len(), passes.len()];
                let ended = &incoming.news().ended;
                assert!(ended.iter().all(|channel| passed.len() >= by_then[usize::from(*channel)]), "in pieces of {piece}");
            }
            assert_eq!(passed, passes, "in pieces of {piece}");
            let News { answers, ended, .. } = incoming.news();
            let expected =
                [(1, confirm(1, false, false)), (1, confirm(5, true, false)), (2, confirm(1 << 40, true, true)), (1, Answer::Return)];
            assert_eq!((&answers[..], &ended[..]), (&expected[..], &[1, 2][..]), "in pieces of {piece}");
        }
    }

    #[test]
    fn what_the_client_closes_is_none_of_this() {
        let stream = [frame::method(1, CHANNEL_CLOSE_OK, b""), frame::method(1, DELIVER, b"m1")].concat();
        assert_eq!(passed(&stream, 5).unwrap(), stream);
    }

    #[test]
    fn what_amiquip_would_not_survive_is_refused_however_it_is_cut() {
        let good = [frame::method(1, DELIVER, b"m1"), header(1, 5), body(1, b"hello")].concat();
        let absurd = [good.clone(), header(1, u64::MAX)].concat();
        let late = [frame::method(1, CHANNEL_CLOSE, b""), header(1, u64::MAX), good.clone()].concat();
        for piece in 1..=absurd.len() {
            assert_eq!(passed(&good, piece).unwrap(), good, "in pieces of {piece}");
            assert!(matches!(passed(&absurd, piece), Err(Refused::Large(u64::MAX))), "in pieces of {piece}");
            assert_eq!(passed(&late, piece).unwrap(), frame::method(1, CHANNEL_CLOSE, b""), "nobody reads it");
        }
    }

    /// The header of a message with a content type, and a body of such a size.
    fn header(channel: u16, size: u64) -> Vec<u8> {
        let payload = [&[0, 60, 0, 0][..], &size.to_be_bytes(), &[0x80, 0, 1, b'x']].concat();
        frame::whole(CONTENT_HEADER, channel, &payload)
    }

    #[test]
    fn a_large_body_is_kept_and_a_ticket_passes_however_it_is_cut() {
        let large: Vec<u8> = (0..LARGE).map(|at| at as u8).collect();
        let (first, second) = large.split_at(1_000);
        let small = [frame::method(1, DELIVER, b"m0"), header(1, LARGE - 1), body(1, &large[1..])].concat();
        let deliver = frame::method(1, DELIVER, b"m1");
        // Another channel's frames come in between.
        let other = [frame::method(2, DELIVER, b"m2"), header(2, 3), body(2, b"two")].concat();
        let stream = [&small[..], &deliver, &header(1, LARGE), &body(1, first), &other, &body(1, second), &small].concat();
        for piece in (1..100).chain([1_000, 4_000, stream.len()]) {
            let (mut incoming, mut passed) = (Incoming::default(), Vec::new());
            stream.chunks(piece).for_each(|piece| incoming.pass(piece, &mut passed).unwrap());
            let [(1, ticket, kept)] = &incoming.news().bodies[..] else { panic!("in pieces of {piece}") };
            assert!(*kept == large);
            let ticket = ticket.bytes();
            let replaced = [header(1, ticket.len() as u64), body(1, ticket)].concat();
            assert!(passed == [&small[..], &deliver, &other, &replaced, &small].concat(), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_large_body_that_breaks_off_is_forgotten_with_its_channel() {
        let part = vec![7; 1_000];
        for end in [frame::method(1, CHANNEL_CLOSE, b"\x01\x94 and words"), frame::method(1, CHANNEL_CLOSE_OK, b"")] {
            let (mut incoming, mut passed) = (Incoming::default(), Vec::new());
            let opened = frame::method(1, CHANNEL_OPEN_OK, b"\0\0\0\0");
            let stream = [header(1, LARGE), body(1, &part), end.clone(), opened.clone(), header(1, 1_000), body(1, &part)].concat();
            incoming.pass(&stream, &mut passed).unwrap();
            assert_eq!(passed, [end, opened, header(1, 1_000), body(1, &part)].concat());
            assert!(incoming.news().bodies.is_empty() && incoming.large.is_empty());
        }
    }

    #[test]
    fn a_body_larger_than_announced_is_refused() {
        let stream = [header(1, LARGE), body(1, &vec![7; LARGE as usize + 1])].concat();
        assert!(matches!(passed(&stream, 1_000), Err(Refused::Overlong)));
    }
}
