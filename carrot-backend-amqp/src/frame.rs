//! The head of an AMQP frame, and the methods that open and close channels.

use std::ops::Range;

/// The octets before the payload: type, channel, size.
pub(crate) const PREFIX: usize = 7;
/// The prefix, and class and number of a method.
pub(crate) const HEAD: usize = PREFIX + 4;
/// What a frame takes beside its payload.
pub(crate) const OVERHEAD: usize = PREFIX + 1;
pub(crate) const END: u8 = 0xCE;

/// A whole heartbeat.
pub(crate) const HEARTBEAT: [u8; OVERHEAD] = [8, 0, 0, 0, 0, 0, 0, END];

pub(crate) const METHOD: u8 = 1;
pub(crate) const CONTENT_HEADER: u8 = 2;
pub(crate) const CONTENT_BODY: u8 = 3;

/// Class and number.
pub(crate) type Method = (u16, u16);

pub(crate) const CONNECTION_CLOSE: Method = (10, 50);
pub(crate) const CONNECTION_CLOSE_OK: Method = (10, 51);
pub(crate) const CHANNEL_OPEN: Method = (20, 10);
pub(crate) const CHANNEL_OPEN_OK: Method = (20, 11);
pub(crate) const CHANNEL_CLOSE: Method = (20, 40);
pub(crate) const CHANNEL_CLOSE_OK: Method = (20, 41);
pub(crate) const BASIC_PUBLISH: Method = (60, 40);
pub(crate) const BASIC_RETURN: Method = (60, 50);
pub(crate) const BASIC_ACK: Method = (60, 80);
pub(crate) const BASIC_REJECT: Method = (60, 90);
pub(crate) const BASIC_NACK: Method = (60, 120);

/// What the first octets of a frame say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    /// Without head and end.
    pub(crate) payload: usize,
    /// Class and number, if it is a method.
    pub(crate) method: Option<Method>,
}

impl Head {
    /// The head of the frame that `bytes` begin with; `None` until enough of it is there.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Head> {
        let number = |at: usize| {
            bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes)
        };
        let size =
            bytes.get(3..PREFIX).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes)?;
        let head =
            Head { kind: bytes[0], channel: number(1)?, payload: size as usize, method: None };
        if head.kind != METHOD || head.payload < HEAD - PREFIX {
            return Some(head);
        }
        Some(Head { method: Some((number(PREFIX)?, number(PREFIX + 2)?)), ..head })
    }

    /// With head and end.
    pub(crate) fn whole(&self) -> usize {
        PREFIX + self.payload + 1
    }

    /// The payload of a whole frame with this head.
    pub(crate) fn payload_of<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(PREFIX..PREFIX + self.payload).unwrap_or_default()
    }

    /// What of the payload is in a part of the frame that begins at `at`.
    pub(crate) fn payload_in<'a>(&self, at: usize, part: &'a [u8]) -> &'a [u8] {
        let begin = PREFIX.saturating_sub(at);
        let end = (PREFIX + self.payload).saturating_sub(at).min(part.len());
        part.get(begin..end).unwrap_or_default()
    }
}

/// Where the payload of a content header says how large the body is.
const BODY_SIZE: Range<usize> = 4..12;

/// How large a body is, as the payload of its header says.
pub(crate) fn body_size(header: &[u8]) -> Option<u64> {
    header.get(BODY_SIZE).and_then(|size| size.try_into().ok()).map(u64::from_be_bytes)
}

/// Makes a content header, a whole frame, say that the body is of this size.
pub(crate) fn set_body_size(frame: &mut [u8], size: usize) {
    if let Some(field) = frame.get_mut(PREFIX + BODY_SIZE.start..PREFIX + BODY_SIZE.end) {
        field.copy_from_slice(&(size as u64).to_be_bytes());
    }
}

/// Appends a frame whose payload is appended by `payload`.
pub(crate) fn begin(out: &mut Vec<u8>, kind: u8, channel: u16, payload: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    prefix(out, kind, channel, 0);
    payload(out);
    let size = (out.len() - at - PREFIX) as u32;
    out[at + 3..at + PREFIX].copy_from_slice(&size.to_be_bytes());
    out.push(END);
}

/// Appends what comes before a payload of so many bytes.
pub(crate) fn prefix(out: &mut Vec<u8>, kind: u8, channel: u16, size: usize) {
    out.push(kind);
    out.extend(channel.to_be_bytes());
    out.extend((size as u32).to_be_bytes());
}

/// A frame with a method.
#[cfg(test)]
pub(crate) fn method(channel: u16, (class, number): (u16, u16), arguments: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes()[..], &number.to_be_bytes(), arguments].concat();
    whole(METHOD, channel, &payload)
}

/// A frame.
#[cfg(test)]
pub(crate) fn whole(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    begin(&mut frame, kind, channel, |out| out.extend_from_slice(payload));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_there() {
        let close = method(7, CHANNEL_CLOSE, b"words");
        let head = Head { kind: METHOD, channel: 7, payload: 9, method: Some(CHANNEL_CLOSE) };
        assert_eq!(Head::parse(&close), Some(head));
        assert_eq!(Head::parse(&close[..HEAD]), Some(head));
        assert!((0..HEAD).all(|length| Head::parse(&close[..length]).is_none()));
        assert_eq!(head.whole(), close.len());
    }

    #[test]
    fn the_payload_is_found_in_parts() {
        let frame = whole(CONTENT_BODY, 1, b"payload");
        let head = Head::parse(&frame);
        for piece in 1..=frame.len() {
            let parts = frame.chunks(piece).enumerate();
            let payload = parts
                .flat_map(|(index, part)| head.map(|head| head.payload_in(index * piece, part)));
            assert_eq!(payload.collect::<Vec<_>>().concat(), b"payload", "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_method_needs_the_prefix_only() {
        let heartbeat = [8, 0, 0, 0, 0, 0, 0, END];
        assert_eq!(
            Head::parse(&heartbeat[..PREFIX]),
            Some(Head { kind: 8, channel: 0, payload: 0, method: None })
        );
    }
}
