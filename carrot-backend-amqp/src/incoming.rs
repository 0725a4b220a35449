//! What the broker sends, less what amiquip is not up to, and what is not for it.

use std::mem;
use std::sync::Arc;

use carrot_core::backend::BufferPool;

use crate::collected::Collected;
use crate::confirms::{Answer, Confirm};
use crate::connection_close::ConnectionClose;
use crate::frame::{
    self, BASIC_ACK, BASIC_NACK, BASIC_RETURN, CHANNEL_CLOSE, CHANNEL_CLOSE_OK, CHANNEL_OPEN_OK,
    CONNECTION_CLOSE, CONTENT_BODY, CONTENT_HEADER, Head,
};
use crate::inspector::{self, Refused};
use crate::large_bodies::{Around, LARGE, Ticket, Tickets};

/// The payload of an answer to publications: class and number, tag, flags.
const ANSWER: usize = 4 + 8 + 1;
const MULTIPLE: u8 = 1;
/// From how many bytes on it pays to read to where they belong.
const WORTH_A_READ: usize = 16 << 10;
/// How much is read behind a large body: enough to see whether another one follows, and little of it.
const FIRST_LOOK: usize = 2 << 10;

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
    large: Vec<(u16, Collected)>,
    buffers: Arc<BufferPool>,
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

/// What has come that concerns others than amiquip.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Large bodies with their channels. To be put away before amiquip gets what came with them.
    pub(crate) bodies: Vec<(u16, Ticket, Around)>,
    /// Answers to publications, with their channels, in the order in which they came. To be told once amiquip has done with what came
    /// before.
    pub(crate) answers: Vec<(u16, Answer)>,
    /// Channels that are closed, by whichever side. As the answers.
    pub(crate) ended: Vec<u16>,
    /// Why the broker closes the connection. To be told before amiquip gets it.
    pub(crate) connection_close: Option<ConnectionClose>,
}

impl News {
    pub(crate) fn concerns_publishers(&self) -> bool {
        !self.answers.is_empty() || !self.ended.is_empty()
    }

    /// Whether a message has come back, which amiquip hands over before its answer may be told.
    pub(crate) fn has_returns(&self) -> bool {
        self.answers.iter().any(|(_, answer)| *answer == Answer::Return)
    }
}

/// A place to read to.
pub(crate) enum Destination<'a> {
    /// Straight to where it belongs. What was read is then told to [`Incoming::read`].
    Body(&'a mut [u8]),
    /// Anywhere, but no more than so many bytes. What was read is then given to [`Incoming::pass`].
    Buffer(usize),
}

impl Incoming {
    /// What has come since this was asked for last.
    pub(crate) fn news(&mut self) -> &mut News {
        &mut self.news
    }

    /// Where to read to next.
    pub(crate) fn destination(&mut self) -> Destination<'_> {
        if self.way != Way::Collect || self.head.is_none_or(|head| head.payload < WORTH_A_READ) {
            return Destination::Buffer(usize::MAX);
        }
        let remaining = self.remaining;
        let payload = remaining.saturating_sub(1);
        match self.collected() {
            Some(large) if payload >= WORTH_A_READ => Destination::Body(large.room(payload)),
            // Once it is known what frame comes next, its payload can be read to where it belongs.
            Some(large) if large.missing() > payload as u64 => {
                Destination::Buffer(remaining + frame::PREFIX)
            }
            // What follows a large body is often another.
            _ => Destination::Buffer(remaining + FIRST_LOOK),
        }
    }

    /// The large body of which the frame under way is part.
    fn collected(&mut self) -> Option<&mut Collected> {
        let head = self.head.filter(|_| self.way == Way::Collect)?;
        self.large.iter_mut().find(|(channel, _)| *channel == head.channel).map(|(_, large)| large)
    }

    /// Takes note that so many bytes were read to where they belong.
    pub(crate) fn read(&mut self, count: usize) {
        if let Some(large) = self.collected() {
            large.put(count);
            self.remaining -= count;
        }
    }

    /// Takes what was read, and appends to `out` what may pass.
    pub(crate) fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        while !bytes.is_empty() {
            if self.remaining == 0 {
                match Head::parse(bytes).filter(|_| self.begun.is_empty()) {
                    Some(head) => self.begin(head)?,
                    None => {
                        let Some(head) = self.next_head(&mut bytes) else { break };
                        self.begin(head)?;
                        let begun = mem::take(&mut self.begun);
                        self.take(&begun, out)?;
                    }
                }
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

    fn begin(&mut self, head: Head) -> Result<(), Refused> {
        self.remaining = head.whole();
        if head.method == Some(CHANNEL_OPEN_OK) {
            self.closed.retain(|channel| *channel != head.channel);
        }
        let large = self.large.iter().find(|(channel, _)| *channel == head.channel);
        self.way = match head.method {
            _ if self.closed.contains(&head.channel) => Way::Drop,
            Some(BASIC_ACK | BASIC_NACK) if head.payload == ANSWER => Way::Gather,
            Some(CHANNEL_CLOSE | CHANNEL_CLOSE_OK) => Way::Gather,
            _ if inspector::is_suspect(head.kind, head.channel) => Way::Gather,
            _ if head.kind == CONTENT_BODY && large.is_some() => Way::Collect,
            _ => Way::Pass,
        };
        if self.way == Way::Collect
            && large.is_some_and(|(_, large)| head.payload as u64 > large.missing())
        {
            return Err(Refused::Overlong);
        }
        match head.method {
            _ if self.way == Way::Drop => {}
            Some(CHANNEL_CLOSE) => self.closed.push(head.channel),
            Some(BASIC_RETURN) => self.news.answers.push((head.channel, Answer::Return)),
            _ => {}
        }
        self.head = Some(head);
        Ok(())
    }

    /// Takes part of the frame under way.
    fn take(&mut self, part: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let Some(head) = self.head else { return Ok(()) };
        let is_complete = part.len() == head.whole();
        match self.way {
            Way::Pass => out.extend_from_slice(part),
            Way::Gather if is_complete => {}
            Way::Gather => self.gathered.extend_from_slice(part),
            Way::Collect => {
                let payload = head.payload_in(head.whole() - self.remaining, part);
                if let Some(large) = self.collected() {
                    large.add(payload);
                }
            }
            Way::Drop => {}
        }
        self.remaining -= part.len();
        if self.remaining > 0 {
            return Ok(());
        }
        match self.way {
            Way::Gather if is_complete => self.look_at(&head, part, out),
            Way::Gather => {
                let frame = mem::take(&mut self.gathered);
                let result = self.look_at(&head, &frame, out);
                self.gathered = frame;
                self.gathered.clear();
                result
            }
            Way::Collect => {
                self.complete(head.channel, out);
                Ok(())
            }
            Way::Pass | Way::Drop => Ok(()),
        }
    }

    /// Looks at a whole frame.
    fn look_at(&mut self, head: &Head, frame: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let payload = head.payload_of(frame);
        match (head.method, payload) {
            (Some(method @ (BASIC_ACK | BASIC_NACK)), [_, _, _, _, tag @ .., flags]) => {
                let tag = tag.try_into().map_or(0, u64::from_be_bytes);
                let confirm =
                    Confirm { tag, multiple: flags & MULTIPLE != 0, refused: method == BASIC_NACK };
                self.news.answers.push((head.channel, Answer::Confirm(confirm)));
                return Ok(());
            }
            (Some(CHANNEL_CLOSE | CHANNEL_CLOSE_OK), _) => {
                self.large.retain(|(channel, _)| *channel != head.channel);
                self.news.ended.push(head.channel);
            }
            (Some(CONNECTION_CLOSE), _) if head.channel == 0 => {
                self.news.connection_close = ConnectionClose::parse(payload)
            }
            _ => inspector::check(head.kind, payload)?,
        }
        let size = if head.kind == CONTENT_HEADER { frame::body_size(payload) } else { None };
        match size.map(|size| (size, inspector::is_complete(payload))) {
            Some((size, is_complete)) if size >= LARGE || !is_complete => {
                self.large.retain(|(channel, _)| *channel != head.channel);
                self.large.push((
                    head.channel,
                    Collected::new(frame.to_vec(), size, is_complete, &self.buffers),
                ));
                if size == 0 {
                    self.complete(head.channel, out);
                }
            }
            _ => out.extend_from_slice(frame),
        }
        Ok(())
    }

    /// Gives amiquip a ticket in place of a large body, once that is there.
    fn complete(&mut self, channel: u16, out: &mut Vec<u8>) {
        let is_complete = |(of, large): &(u16, Collected)| *of == channel && large.missing() == 0;
        let Some(position) = self.large.iter().position(is_complete) else { return };
        let (mut header, body) = self.large.swap_remove(position).1.finish(&self.buffers);
        let ticket = self.tickets.next();
        frame::set_body_size(&mut header, ticket.bytes().len());
        out.extend_from_slice(&header);
        frame::begin(out, CONTENT_BODY, channel, |out| out.extend_from_slice(ticket.bytes()));
        self.news.bodies.push((channel, ticket, body));
    }
}

#[cfg(test)]
#[path = "incoming_tests.rs"]
mod tests;
