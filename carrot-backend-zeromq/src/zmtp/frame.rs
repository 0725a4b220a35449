//! Frames: the parts of messages, and commands.

use std::borrow::Cow;
use std::fmt;

use carrot_core::backend::Printable;

/// Another frame of the same message follows.
const MORE: u8 = 1;
/// The size has eight octets.
const LONG: u8 = 2;
/// The frame is a command.
const COMMAND: u8 = 4;
/// The most frames of a message: its head and its body.
const MOST_FRAMES: u8 = 2;
/// The largest command, in octets.
const LARGEST_COMMAND: u64 = 8 << 10;
/// The most octets before the payload of a frame.
const LONGEST_HEAD: usize = 9;

/// The reason why octets are not ZMTP, or not for this peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ZmtpError {
    /// The first octets are no signature.
    NotZmtp {
        /// The protocol that they look like.
        other: Option<&'static str>,
    },
    /// The peer speaks a version before 3.
    Version { major: u8 },
    /// The peer wants a mechanism that does not exist here.
    Mechanism { named: String },
    /// The flags of a frame have no meaning.
    Flags { flags: u8 },
    /// A frame is larger than permitted.
    TooLarge { part: &'static str, octets: u64, limit: u64 },
    /// A message has too many frames.
    TooManyFrames,
    /// A command is malformed, or not expected.
    Command { problem: &'static str },
}

impl fmt::Display for ZmtpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZmtpError::NotZmtp { other: Some(other) } => {
                write!(formatter, "the peer speaks {other}, and not ZMTP")
            }
            ZmtpError::NotZmtp { other: None } => formatter.write_str("the peer speaks no ZMTP"),
            ZmtpError::Version { major } => {
                write!(formatter, "the peer speaks ZMTP {major}, and 3.0 or later is needed")
            }
            ZmtpError::Mechanism { named } => write!(
                formatter,
                "the peer wants the mechanism {:?}, and there are NULL and PLAIN",
                Printable::new(40, named).to_string()
            ),
            ZmtpError::Flags { flags } => {
                write!(formatter, "a frame has the flags {flags:#04x}, which have no meaning")
            }
            ZmtpError::TooLarge { part, octets, limit } => {
                write!(formatter, "{part} has {octets} octets, and the limit is {limit}")
            }
            ZmtpError::TooManyFrames => {
                write!(formatter, "a message has more than {MOST_FRAMES} frames")
            }
            ZmtpError::Command { problem } => formatter.write_str(problem),
        }
    }
}

impl std::error::Error for ZmtpError {}

/// One frame of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ZmtpFrame<'a> {
    /// A command, with its name.
    Command(Cow<'a, [u8]>),
    /// The first frame of a message.
    Head { octets: Cow<'a, [u8]>, has_body: bool },
    /// The second and last frame of a message.
    Body(Cow<'a, [u8]>),
}

/// The most octets of the frames of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageLimits {
    pub(crate) head: u64,
    pub(crate) body: u64,
}

/// Splits octets into frames, in any cut.
///
/// Memory is taken for octets that have arrived, never for a size that a peer announces.
#[derive(Debug)]
pub(crate) struct ZmtpFrameReader {
    limits: MessageLimits,
    /// The octets before the payload of a frame that has not arrived completely.
    start: Vec<u8>,
    /// The part of the payload that has arrived.
    payload: Vec<u8>,
    /// Whether the body of a message comes next.
    awaits_body: bool,
}

/// The octets before the payload of a frame.
#[derive(Debug, Clone, Copy)]
struct ZmtpFrameStart {
    flags: u8,
    length: usize,
    size: u64,
}

impl ZmtpFrameStart {
    /// Reads the octets before a payload. Returns `None` if some are missing.
    fn read(octets: &[u8]) -> Result<Option<ZmtpFrameStart>, ZmtpError> {
        let Some((flags, rest)) = octets.split_first() else { return Ok(None) };
        let flags = *flags;
        if flags & !(MORE | LONG | COMMAND) != 0 || flags & (MORE | COMMAND) == MORE | COMMAND {
            return Err(ZmtpError::Flags { flags });
        }
        let start = match flags & LONG {
            0 => rest.first().map(|size| (2, u64::from(*size))),
            _ => rest.first_chunk().map(|size| (LONGEST_HEAD, u64::from_be_bytes(*size))),
        };
        Ok(start.map(|(length, size)| ZmtpFrameStart { flags, length, size }))
    }
}

impl ZmtpFrameReader {
    pub(crate) fn new(limits: MessageLimits) -> ZmtpFrameReader {
        ZmtpFrameReader { limits, start: Vec::new(), payload: Vec::new(), awaits_body: false }
    }

    /// Changes the limits of the frames that follow.
    pub(crate) fn set_limits(&mut self, limits: MessageLimits) {
        self.limits = limits;
    }

    /// Returns the memory of the frame that has not arrived completely, in octets.
    pub(crate) fn unfinished_bytes(&self) -> usize {
        self.payload.capacity()
    }

    /// Returns whether the octets have ended with a whole message.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_idle(&self) -> bool {
        self.start.is_empty() && !self.awaits_body
    }

    /// Takes octets of the peer. Returns a frame, or `None` once all octets are taken.
    ///
    /// # Errors
    /// The octets are no frame, or the frame exceeds a limit.
    pub(crate) fn read<'o>(
        &mut self,
        octets: &mut &'o [u8],
    ) -> Result<Option<ZmtpFrame<'o>>, ZmtpError> {
        if self.start.is_empty() {
            let Some(start) = ZmtpFrameStart::read(octets)? else {
                self.start.extend_from_slice(octets);
                *octets = &[];
                return Ok(None);
            };
            let size = self.check(start)?;
            let (head, rest) = octets.split_at(start.length);
            // Most frames arrive in one part, and are not copied.
            if let Some((payload, rest)) = rest.split_at_checked(size) {
                *octets = rest;
                return self.frame(start, Cow::Borrowed(payload)).map(Some);
            }
            self.start.extend_from_slice(head);
            *octets = rest;
        }
        let start = loop {
            if let Some(start) = ZmtpFrameStart::read(&self.start)? {
                break start;
            }
            let Some((octet, rest)) = octets.split_first() else { return Ok(None) };
            self.start.push(*octet);
            *octets = rest;
        };
        let size = self.check(start)?;
        let missing = (size - self.payload.len()).min(octets.len());
        let (part, rest) = octets.split_at(missing);
        self.append(part, size);
        *octets = rest;
        if self.payload.len() < size {
            return Ok(None);
        }
        self.start.clear();
        let payload = std::mem::take(&mut self.payload);
        self.frame(start, Cow::Owned(payload)).map(Some)
    }

    /// Compares the announced size with the limit.
    fn check(&self, start: ZmtpFrameStart) -> Result<usize, ZmtpError> {
        let (part, limit) = match (start.flags & COMMAND != 0, self.awaits_body) {
            (true, _) => ("a command", LARGEST_COMMAND),
            (false, false) => ("the head of a message", self.limits.head),
            (false, true) => ("the body of a message", self.limits.body),
        };
        let too_large = ZmtpError::TooLarge { part, octets: start.size, limit };
        if start.size > limit {
            return Err(too_large);
        }
        usize::try_from(start.size).map_err(|_| too_large)
    }

    /// Adds octets to the payload. The memory grows with them, up to the announced size.
    fn append(&mut self, octets: &[u8], size: usize) {
        let needed = self.payload.len() + octets.len();
        if needed > self.payload.capacity() {
            let capacity = needed.saturating_mul(2).min(size);
            self.payload.reserve_exact(capacity - self.payload.len());
        }
        self.payload.extend_from_slice(octets);
    }

    fn frame<'o>(
        &mut self,
        start: ZmtpFrameStart,
        octets: Cow<'o, [u8]>,
    ) -> Result<ZmtpFrame<'o>, ZmtpError> {
        let has_more = start.flags & MORE != 0;
        if start.flags & COMMAND != 0 {
            return Ok(ZmtpFrame::Command(octets));
        }
        match (std::mem::replace(&mut self.awaits_body, false), has_more) {
            (true, true) => Err(ZmtpError::TooManyFrames),
            (true, false) => Ok(ZmtpFrame::Body(octets)),
            (false, has_body) => {
                self.awaits_body = has_body;
                Ok(ZmtpFrame::Head { octets, has_body })
            }
        }
    }
}

/// Appends the octets before the payload of a command of this size.
pub(crate) fn start_command(out: &mut Vec<u8>, size: usize) {
    start_frame(out, COMMAND, size);
}

/// Appends the octets before a frame of a message of this size.
pub(crate) fn start_message(out: &mut Vec<u8>, size: usize, has_more: bool) {
    start_frame(out, if has_more { MORE } else { 0 }, size);
}

fn start_frame(out: &mut Vec<u8>, flags: u8, size: usize) {
    match u8::try_from(size) {
        Ok(size) => out.extend_from_slice(&[flags, size]),
        Err(_) => {
            out.push(flags | LONG);
            out.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
}

/// Appends a message whose head is written by `write`, without a body.
pub(crate) fn message(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    framed(out, false, write);
}

/// Appends the head of a message that is written by `write`, and announces a body if there is one.
pub(crate) fn framed(out: &mut Vec<u8>, has_more: bool, write: impl FnOnce(&mut Vec<u8>)) {
    // The size is known once the head is written. Most heads are small.
    let start = out.len();
    out.extend_from_slice(&[if has_more { MORE } else { 0 }, 0]);
    write(out);
    let size = out.len() - start - 2;
    match u8::try_from(size) {
        Ok(size) => {
            if let Some(place) = out.get_mut(start + 1) {
                *place = size;
            }
        }
        Err(_) => {
            let head = out.split_off(start + 2);
            out.truncate(start);
            start_message(out, size, has_more);
            out.extend_from_slice(&head);
        }
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
