use crate::content_header::BASIC;
use crate::error::WireError;
use crate::frame::{FRAME_END, FRAME_HEAD, FRAME_OVERHEAD, FrameHead, FrameKind};
use crate::methods::Method;
use crate::properties::PropertiesRef;

/// Appends frames of one channel to a buffer of the caller.
///
/// A call that fails appends nothing.
///
/// ```
/// use carrot_amqp_wire::{BasicPublish, FrameWriter, PropertiesRef};
///
/// let mut octets = Vec::new();
/// let publish = BasicPublish { routing_key: "jobs".into(), ..BasicPublish::default() };
/// FrameWriter::new(&mut octets, 1, 131_072).content(
///     &publish.into(),
///     &PropertiesRef { delivery_mode: Some(2), ..PropertiesRef::default() },
///     b"body",
/// )?;
/// assert_eq!(octets.len(), 21 + 23 + 12);
/// # Ok::<(), carrot_amqp_wire::WireError>(())
/// ```
#[derive(Debug)]
pub struct FrameWriter<'o> {
    out: &'o mut Vec<u8>,
    channel: u16,
    frame_max: u32,
}

impl<'o> FrameWriter<'o> {
    /// Creates a writer of frames of at most `frame_max` bytes. A `frame_max` of 0 has no special
    /// meaning.
    pub fn new(out: &'o mut Vec<u8>, channel: u16, frame_max: u32) -> FrameWriter<'o> {
        FrameWriter { out, channel, frame_max }
    }

    /// Appends a method frame.
    ///
    /// # Errors
    /// - [`WireError::TooLong`]: a string is longer than AMQP allows.
    /// - [`WireError::TooDeep`]: a table has more than [`MAX_DEPTH`](crate::MAX_DEPTH) levels.
    /// - [`WireError::FrameTooLarge`]: the frame exceeds `frame_max`.
    pub fn method(&mut self, method: &Method<'_>) -> Result<(), WireError> {
        self.whole(|writer| writer.frame(FrameKind::Method, |out| method.write(out)))
    }

    /// Appends a message: a method, a content header, and the body in as many frames as needed.
    ///
    /// # Errors
    /// - [`WireError::NoContent`]: the method carries no content.
    /// - As [`method`](FrameWriter::method), for the method and the properties.
    pub fn content(
        &mut self,
        method: &Method<'_>,
        properties: &PropertiesRef<'_>,
        body: &[u8],
    ) -> Result<(), WireError> {
        const SMALL_HEADS: usize = 128;
        let frames = body.len().div_ceil(self.max_payload());
        self.out.reserve(SMALL_HEADS + body.len() + frames * FRAME_OVERHEAD);
        self.content_heads(method, properties, body.len() as u64)?;
        self.body(body);
        Ok(())
    }

    /// Appends the method and the content header of a message. The body has to follow, in frames
    /// that [`body_head`](FrameWriter::body_head) begins.
    ///
    /// # Errors
    /// As [`content`](FrameWriter::content).
    pub fn content_heads(
        &mut self,
        method: &Method<'_>,
        properties: &PropertiesRef<'_>,
        body_size: u64,
    ) -> Result<(), WireError> {
        self.heads(method, body_size, |out| properties.write(out))
    }

    /// Appends the method and the content header of a message, with the octets of a property list.
    ///
    /// # Errors
    /// As [`content`](FrameWriter::content).
    pub fn content_heads_of(
        &mut self,
        method: &Method<'_>,
        property_list: &[u8],
        body_size: u64,
    ) -> Result<(), WireError> {
        self.heads(method, body_size, |out| {
            out.extend_from_slice(property_list);
            Ok(())
        })
    }

    fn heads(
        &mut self,
        method: &Method<'_>,
        body_size: u64,
        properties: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if !method.has_content() {
            return Err(WireError::NoContent { method: method.name() });
        }
        self.whole(|writer| {
            writer.frame(FrameKind::Method, |out| method.write(out))?;
            writer.frame(FrameKind::Header, |out| {
                out.extend_from_slice(&BASIC.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
                out.extend_from_slice(&body_size.to_be_bytes());
                properties(out)
            })
        })
    }

    /// Appends body frames. An empty body has no frame.
    pub fn body(&mut self, body: &[u8]) {
        for part in body.chunks(self.max_payload()) {
            let head = self.body_head(part.len() as u32);
            self.out.extend_from_slice(&head.octets());
            self.out.extend_from_slice(part);
            self.out.push(FRAME_END);
        }
    }

    /// Returns the head of a body frame, for a caller that sends the body from its place.
    ///
    /// The payload and [`FRAME_END`] have to follow. A payload of more than
    /// [`max_payload`](FrameWriter::max_payload) bytes needs several frames.
    pub fn body_head(&self, payload: u32) -> FrameHead {
        FrameHead { kind: FrameKind::Body, channel: self.channel, payload }
    }

    /// Returns the maximum payload of a body frame, in bytes.
    pub fn max_payload(&self) -> usize {
        (self.frame_max as usize).saturating_sub(FRAME_OVERHEAD).max(1)
    }

    /// Removes the octets of a call that fails.
    #[inline]
    fn whole(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let start = self.out.len();
        write(self).inspect_err(|_| self.out.truncate(start))
    }

    /// Appends a frame around a payload.
    #[inline]
    fn frame(
        &mut self,
        kind: FrameKind,
        payload: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; FRAME_HEAD]);
        payload(self.out)?;
        self.out.push(FRAME_END);
        let size = self.out.len() - start;
        if size > self.frame_max as usize {
            return Err(WireError::FrameTooLarge { size: size as u64, limit: self.frame_max });
        }
        let payload = (size - FRAME_OVERHEAD) as u32;
        if let Some(head) = self.out.get_mut(start..start + FRAME_HEAD) {
            head.copy_from_slice(&FrameHead { kind, channel: self.channel, payload }.octets());
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "frame_writer_tests.rs"]
mod tests;
