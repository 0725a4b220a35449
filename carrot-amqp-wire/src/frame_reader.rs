use crate::error::WireError;
use crate::frame::{FRAME_END, FRAME_HEAD, FRAME_OVERHEAD, FrameHead, FrameKind, ProtocolHeader};

/// A frame other than a body frame, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "AMQP 0-9-1 defines the fields")]
pub struct Frame<'a> {
    /// The type, which is not [`FrameKind::Body`].
    pub kind: FrameKind,
    /// The channel; 0 for the connection.
    pub channel: u16,
    /// The payload.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Appends the frame as it was read, for a caller that passes frames on.
    ///
    /// # Errors
    /// - [`WireError::FrameTooLarge`]: the payload is larger than 4 GiB.
    pub fn append_to(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        let Frame { kind, channel, payload } = *self;
        let size = payload.len() as u64 + FRAME_OVERHEAD as u64;
        let Ok(length) = u32::try_from(payload.len()) else {
            return Err(WireError::FrameTooLarge { size, limit: u32::MAX });
        };
        out.reserve(payload.len() + FRAME_OVERHEAD);
        out.extend_from_slice(&FrameHead { kind, channel, payload: length }.octets());
        out.extend_from_slice(payload);
        out.push(FRAME_END);
        Ok(())
    }
}

/// A part of the payload of a body frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "AMQP 0-9-1 defines the fields")]
pub struct BodyPart<'a> {
    /// The channel.
    pub channel: u16,
    /// The octets, which follow those of the last part.
    pub octets: &'a [u8],
    /// The number of octets of the payload that are still to be read.
    pub missing: usize,
    /// Whether the frame has ended, and its end octet is correct. A body is complete only after
    /// the end of its last frame.
    pub ends_frame: bool,
}

/// The next item that a [`FrameReader`] has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "AMQP 0-9-1 defines what a peer sends")]
pub enum FramePart<'a> {
    /// A protocol header, which only the first item can be.
    ProtocolHeader(ProtocolHeader),
    /// A method, a content header or a heartbeat.
    Frame(Frame<'a>),
    /// A part of a body.
    Body(BodyPart<'a>),
}

/// Splits octets from a peer into frames.
///
/// The caller reads from a socket into a buffer of its own, and passes the octets in any cut. A
/// frame that lies in one cut is borrowed from the buffer. The start of any other frame is copied
/// once. Bodies are never copied: the caller receives their octets as they arrive.
///
/// A large body can also be read from the socket directly to its place.
/// [`missing_body`](FrameReader::missing_body) returns the room that is needed, and
/// [`skip_body`](FrameReader::skip_body) reports what was read.
///
/// The reader never holds more than one frame of `frame_max` bytes. After an error, each call fails
/// with the same error.
///
/// ```
/// use carrot_amqp_wire::{FramePart, FrameReader, HEARTBEAT};
///
/// let mut reader = FrameReader::for_client(131_072);
/// let mut heartbeats = 0;
/// for mut octets in [&HEARTBEAT[..5], &HEARTBEAT[5..]] {
///     while let Some(FramePart::Frame(_)) = reader.read(&mut octets)? {
///         heartbeats += 1;
///     }
/// }
/// assert_eq!(heartbeats, 1);
/// # Ok::<(), carrot_amqp_wire::WireError>(())
/// ```
#[derive(Debug)]
pub struct FrameReader {
    frame_max: u32,
    state: State,
    /// The octets that were read of a protocol header, a head or a payload with its end octet.
    begun: Vec<u8>,
    /// Whether the last call returned `begun`.
    is_spent: bool,
}

#[derive(Debug, Clone)]
enum State {
    /// Nothing was read.
    Start {
        /// Whether the peer has to send a protocol header.
        is_server: bool,
    },
    /// The first octets of a protocol header may have been read.
    ProtocolHeader,
    /// The first octets of a head may have been read.
    Head,
    /// The head was read.
    Payload(FrameHead),
    /// The head of a body frame was read, and this number of octets is missing in its payload.
    Body {
        channel: u16,
        missing: usize,
    },
    Failed(WireError),
}

impl FrameReader {
    /// Creates a reader of what a broker sends, with frames of at most `frame_max` bytes.
    ///
    /// The broker may send a protocol header first, if it refuses the version of the client. A
    /// `frame_max` of 0 has no special meaning.
    pub fn for_client(frame_max: u32) -> FrameReader {
        FrameReader::new(frame_max, false)
    }

    /// Creates a reader of what a client sends, with frames of at most `frame_max` bytes.
    ///
    /// The client must send a protocol header first. A `frame_max` of 0 has no special meaning.
    pub fn for_server(frame_max: u32) -> FrameReader {
        FrameReader::new(frame_max, true)
    }

    fn new(frame_max: u32, is_server: bool) -> FrameReader {
        FrameReader {
            frame_max,
            state: State::Start { is_server },
            begun: Vec::new(),
            is_spent: false,
        }
    }

    /// Sets the maximum size of a frame, for frames whose head was not read yet.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max;
    }

    /// Takes octets from the front of `input`, and returns the next frame or part of a body.
    ///
    /// Returns `None` if all octets were taken and complete no frame. The caller then reads more
    /// octets, and passes only the new ones.
    ///
    /// # Errors
    /// - [`WireError::FrameKind`], [`WireError::FrameTooLarge`], [`WireError::Heartbeat`]: a head
    ///   is refused.
    /// - [`WireError::FrameEnd`]: the octet after the payload is wrong.
    /// - [`WireError::NoProtocolHeader`]: the peer begins with other octets.
    pub fn read<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<FramePart<'s>>, WireError> {
        if self.is_spent {
            self.is_spent = false;
            self.begun.clear();
        }
        match self.advance(input) {
            Ok(None) => Ok(None),
            Ok(Some(Step::Part(part))) => Ok(Some(part)),
            Ok(Some(Step::Begun(head))) => {
                self.is_spent = true;
                let payload = self.begun.get(..head.payload as usize).unwrap_or_default();
                Ok(Some(FramePart::Frame(Frame {
                    kind: head.kind,
                    channel: head.channel,
                    payload,
                })))
            }
            Err(error) => {
                self.state = State::Failed(error.clone());
                Err(error)
            }
        }
    }

    fn advance<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Step<'i>>, WireError> {
        loop {
            match &self.state {
                State::Start { is_server } => match (is_server, input.first()) {
                    (_, None) => return Ok(None),
                    (true, Some(_)) | (false, Some(b'A')) => self.state = State::ProtocolHeader,
                    (false, Some(_)) => self.state = State::Head,
                },
                State::ProtocolHeader => {
                    let Some(octets) = self.fixed(input) else { return Ok(None) };
                    let header = ProtocolHeader::read(octets)?;
                    self.state = State::Head;
                    return Ok(Some(Step::Part(FramePart::ProtocolHeader(header))));
                }
                State::Head => {
                    let Some(octets) = self.fixed::<FRAME_HEAD>(input) else { return Ok(None) };
                    let head = FrameHead::read(octets, self.frame_max)?;
                    self.state = match head.kind {
                        FrameKind::Body => {
                            State::Body { channel: head.channel, missing: head.payload as usize }
                        }
                        _ => State::Payload(head),
                    };
                }
                State::Payload(head) => return self.payload(*head, input),
                State::Body { channel, missing } => return self.body(*channel, *missing, input),
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }

    /// Takes a fixed number of octets, some of which may have been read before.
    #[inline]
    fn fixed<const LENGTH: usize>(&mut self, input: &mut &[u8]) -> Option<[u8; LENGTH]> {
        if self.begun.is_empty()
            && let Some((octets, rest)) = input.split_first_chunk()
        {
            *input = rest;
            return Some(*octets);
        }
        self.gather(LENGTH, input);
        let octets = self.begun.first_chunk().copied()?;
        self.begun.clear();
        Some(octets)
    }

    fn payload<'i>(
        &mut self,
        head: FrameHead,
        input: &mut &'i [u8],
    ) -> Result<Option<Step<'i>>, WireError> {
        let size = head.payload as usize;
        if self.begun.is_empty()
            && let Some((payload, [end, rest @ ..])) = input.split_at_checked(size)
        {
            check_end(*end)?;
            *input = rest;
            self.state = State::Head;
            let frame = Frame { kind: head.kind, channel: head.channel, payload };
            return Ok(Some(Step::Part(FramePart::Frame(frame))));
        }
        self.gather(size + 1, input);
        let Some(end) = self.begun.get(size) else { return Ok(None) };
        check_end(*end)?;
        self.state = State::Head;
        Ok(Some(Step::Begun(head)))
    }

    fn body<'i>(
        &mut self,
        channel: u16,
        missing: usize,
        input: &mut &'i [u8],
    ) -> Result<Option<Step<'i>>, WireError> {
        let (octets, left, ends_frame) = match input.split_at_checked(missing) {
            Some((octets, [end, rest @ ..])) => {
                check_end(*end)?;
                *input = rest;
                self.state = State::Head;
                (octets, 0, true)
            }
            _ if input.is_empty() => return Ok(None),
            _ => {
                let octets = std::mem::take(input);
                let left = missing - octets.len();
                self.state = State::Body { channel, missing: left };
                (octets, left, false)
            }
        };
        let part = BodyPart { channel, octets, missing: left, ends_frame };
        Ok(Some(Step::Part(FramePart::Body(part))))
    }

    /// Moves octets from `input` until `begun` has this number. Reserves at most as much as is
    /// needed, and at most twice as much as has arrived.
    fn gather(&mut self, wanted: usize, input: &mut &[u8]) {
        let count = wanted.saturating_sub(self.begun.len()).min(input.len());
        let (octets, rest) = input.split_at(count);
        let needed = self.begun.len() + count;
        if needed > self.begun.capacity() {
            let capacity = wanted.min(needed.saturating_mul(2));
            self.begun.reserve_exact(capacity - self.begun.len());
        }
        self.begun.extend_from_slice(octets);
        *input = rest;
    }

    /// Returns the channel of the body frame under way, and the number of octets that are missing
    /// in its payload.
    ///
    /// The octets can be read from the socket to their place, if all octets of earlier reads were
    /// passed to [`read`](FrameReader::read). Returns `None` if the payload is complete.
    pub fn missing_body(&self) -> Option<(u16, usize)> {
        match self.state {
            State::Body { channel, missing } if missing > 0 => Some((channel, missing)),
            _ => None,
        }
    }

    /// Reports that `count` octets of the body frame under way were read to their place.
    ///
    /// # Errors
    /// - [`WireError::BodyOverrun`]: the payload lacks fewer octets.
    pub fn skip_body(&mut self, count: usize) -> Result<(), WireError> {
        let (channel, missing) = self.missing_body().unwrap_or_default();
        match missing.checked_sub(count) {
            Some(_) if count == 0 => Ok(()),
            Some(missing) => {
                self.state = State::Body { channel, missing };
                Ok(())
            }
            None => {
                let error = WireError::BodyOverrun { read: count, missing };
                self.state = State::Failed(error.clone());
                Err(error)
            }
        }
    }
}

/// The result of one step.
enum Step<'i> {
    Part(FramePart<'i>),
    /// The frame with this head is in `begun`.
    Begun(FrameHead),
}

#[inline]
fn check_end(octet: u8) -> Result<(), WireError> {
    match octet {
        FRAME_END => Ok(()),
        octet => Err(WireError::FrameEnd { octet }),
    }
}

#[cfg(test)]
#[path = "frame_reader_tests.rs"]
mod tests;
