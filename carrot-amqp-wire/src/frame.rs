//! The parts of frames that are equal for all types (AMQP 0-9-1 4.2.3).

use crate::error::WireError;

/// The number of octets before the payload of a frame: type, channel and size.
pub const FRAME_HEAD: usize = 7;
/// The number of octets around the payload of a frame: the head and the end octet.
pub const FRAME_OVERHEAD: usize = carrot_core::backend::frame_limits::FRAME_OVERHEAD;
/// The last octet of a frame.
pub const FRAME_END: u8 = 0xCE;
/// A heartbeat frame (AMQP 0-9-1 4.2.7).
pub const HEARTBEAT: [u8; FRAME_OVERHEAD] = [8, 0, 0, 0, 0, 0, 0, FRAME_END];

/// The type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "AMQP 0-9-1 defines the types of frames")]
pub enum FrameKind {
    /// A method (1).
    Method,
    /// A content header (2).
    Header,
    /// A part of a body (3).
    Body,
    /// A heartbeat (8).
    Heartbeat,
}

impl FrameKind {
    /// Returns the octet that stands for the type.
    pub const fn octet(self) -> u8 {
        match self {
            FrameKind::Method => 1,
            FrameKind::Header => 2,
            FrameKind::Body => 3,
            FrameKind::Heartbeat => 8,
        }
    }
}

/// The head of a frame: type, channel and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "AMQP 0-9-1 defines the fields")]
pub struct FrameHead {
    /// The type.
    pub kind: FrameKind,
    /// The channel; 0 for the connection.
    pub channel: u16,
    /// The size of the payload, in bytes.
    pub payload: u32,
}

impl FrameHead {
    /// Reads a head, and refuses a frame of more than `frame_max` bytes.
    ///
    /// # Errors
    /// - [`WireError::FrameKind`]: the type is unknown.
    /// - [`WireError::FrameTooLarge`]: the frame, with its head and end octet, exceeds `frame_max`.
    /// - [`WireError::Heartbeat`]: a heartbeat has a channel or a payload.
    pub fn read(octets: [u8; FRAME_HEAD], frame_max: u32) -> Result<FrameHead, WireError> {
        let [kind, channel @ .., a, b, c, d] = octets;
        let kind = match kind {
            1 => FrameKind::Method,
            2 => FrameKind::Header,
            3 => FrameKind::Body,
            8 => FrameKind::Heartbeat,
            _ => return Err(WireError::FrameKind { kind }),
        };
        let (channel, payload) = (u16::from_be_bytes(channel), u32::from_be_bytes([a, b, c, d]));
        let size = u64::from(payload) + FRAME_OVERHEAD as u64;
        if size > u64::from(frame_max) {
            return Err(WireError::FrameTooLarge { size, limit: frame_max });
        }
        if kind == FrameKind::Heartbeat && (channel, payload) != (0, 0) {
            return Err(WireError::Heartbeat { channel, size: payload });
        }
        Ok(FrameHead { kind, channel, payload })
    }

    /// Returns the octets of the head.
    pub const fn octets(self) -> [u8; FRAME_HEAD] {
        let [high, low] = self.channel.to_be_bytes();
        let [a, b, c, d] = self.payload.to_be_bytes();
        [self.kind.octet(), high, low, a, b, c, d]
    }
}

/// The octets with which a client begins a connection (AMQP 0-9-1 4.2.2).
///
/// A broker that supports none of these versions answers with the header of a version that it
/// supports, and closes the connection.
///
/// ```
/// use carrot_amqp_wire::ProtocolHeader;
///
/// assert_eq!(ProtocolHeader::AMQP_0_9_1.octets(), *b"AMQP\0\0\x09\x01");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "AMQP 0-9-1 defines the fields")]
pub struct ProtocolHeader {
    /// The protocol id, which is 0 for AMQP itself.
    pub id: u8,
    /// The major version.
    pub major: u8,
    /// The minor version.
    pub minor: u8,
    /// The revision.
    pub revision: u8,
}

impl ProtocolHeader {
    /// The header of AMQP 0-9-1.
    pub const AMQP_0_9_1: ProtocolHeader =
        ProtocolHeader { id: 0, major: 0, minor: 9, revision: 1 };
    /// The number of octets of a header.
    pub const SIZE: usize = 8;

    /// Reads a header, of any version.
    ///
    /// # Errors
    /// - [`WireError::NoProtocolHeader`]: the octets do not begin with `AMQP`.
    pub fn read(octets: [u8; ProtocolHeader::SIZE]) -> Result<ProtocolHeader, WireError> {
        match octets {
            [b'A', b'M', b'Q', b'P', id, major, minor, revision] => {
                Ok(ProtocolHeader { id, major, minor, revision })
            }
            _ => Err(WireError::NoProtocolHeader),
        }
    }

    /// Returns the octets of the header.
    pub const fn octets(self) -> [u8; ProtocolHeader::SIZE] {
        [b'A', b'M', b'Q', b'P', self.id, self.major, self.minor, self.revision]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_the_wire() {
        for kind in [FrameKind::Method, FrameKind::Header, FrameKind::Body] {
            let head = FrameHead { kind, channel: 0x0102, payload: 0x0304 };
            assert_eq!(FrameHead::read(head.octets(), 4096), Ok(head));
        }
        let heartbeat = FrameHead { kind: FrameKind::Heartbeat, channel: 0, payload: 0 };
        assert_eq!(HEARTBEAT.split_last_chunk::<1>(), Some((&heartbeat.octets()[..], &[0xCE])));
        assert_eq!(FrameHead::read(heartbeat.octets(), 4096), Ok(heartbeat));
    }

    #[test]
    fn a_frame_larger_than_the_limit_is_refused_from_its_head() {
        let head = |payload: u32| FrameHead { kind: FrameKind::Body, channel: 1, payload }.octets();
        assert!(FrameHead::read(head(4088), 4096).is_ok());
        assert_eq!(
            FrameHead::read(head(4089), 4096),
            Err(WireError::FrameTooLarge { size: 4097, limit: 4096 })
        );
        assert_eq!(
            FrameHead::read(head(u32::MAX), u32::MAX),
            Err(WireError::FrameTooLarge { size: (1 << 32) + 7, limit: u32::MAX })
        );
    }

    #[test]
    fn an_unknown_type_or_a_heartbeat_with_content_is_refused() {
        for kind in (0..=255).filter(|kind| ![1, 2, 3, 8].contains(kind)) {
            let read = FrameHead::read([kind, 0, 0, 0, 0, 0, 0], 4096);
            assert_eq!(read, Err(WireError::FrameKind { kind }));
        }
        for (channel, size) in [(1, 0), (0, 1)] {
            let head = FrameHead { kind: FrameKind::Heartbeat, channel, payload: size };
            let refused = WireError::Heartbeat { channel, size };
            assert_eq!(FrameHead::read(head.octets(), 4096), Err(refused));
        }
    }

    #[test]
    fn a_protocol_header_of_any_version_is_read() {
        let other = ProtocolHeader { id: 3, major: 1, minor: 0, revision: 0 };
        for header in [ProtocolHeader::AMQP_0_9_1, other] {
            assert_eq!(ProtocolHeader::read(header.octets()), Ok(header));
        }
        assert_eq!(ProtocolHeader::read(*b"HTTP/1.1"), Err(WireError::NoProtocolHeader));
    }
}
