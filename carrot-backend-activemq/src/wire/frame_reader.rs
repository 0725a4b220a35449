use crate::wire::error::OpenWireError;

/// The size of a size prefix, in bytes.
const PREFIX: usize = 4;

/// Cuts a stream of octets into frames.
///
/// Memory is taken for octets that have arrived, never for an announced size.
#[derive(Debug)]
pub(crate) struct OpenWireFrames {
    /// The largest frame, in bytes, without its size prefix.
    limit: usize,
    /// The octets of the frame that has not arrived completely, with its prefix.
    unfinished: Vec<u8>,
}

impl OpenWireFrames {
    pub(crate) fn new(limit: usize) -> OpenWireFrames {
        OpenWireFrames { limit, unfinished: Vec::new() }
    }

    /// Takes octets up to the end of the next frame, and passes the frame to `read`. Returns `None`
    /// once all octets are taken, and no frame is complete.
    pub(crate) fn next<T>(
        &mut self,
        octets: &mut &[u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, OpenWireError> {
        if !self.take_until(PREFIX, octets) {
            return Ok(None);
        }
        let size = self.announced()?;
        if !self.take_until(PREFIX + size, octets) {
            return Ok(None);
        }
        let result = read(self.unfinished.get(PREFIX..).unwrap_or_default());
        self.unfinished.clear();
        // A large frame does not keep its memory.
        self.unfinished.shrink_to(64 << 10);
        Ok(Some(result))
    }

    /// Returns the size of the frame, whose prefix has arrived.
    fn announced(&self) -> Result<usize, OpenWireError> {
        let prefix = self.unfinished.first_chunk::<PREFIX>().copied().unwrap_or_default();
        let size = u32::from_be_bytes(prefix);
        if size == 0 {
            return Err(OpenWireError::EmptyFrame);
        }
        let limit = self.limit;
        let fits = usize::try_from(size).ok().filter(|size| *size <= limit);
        fits.ok_or(OpenWireError::FrameTooLarge { size: size.into(), limit })
    }

    /// Takes octets until the frame has this length. Returns whether it has.
    fn take_until(&mut self, length: usize, octets: &mut &[u8]) -> bool {
        let missing = length.saturating_sub(self.unfinished.len());
        let (taken, rest) = octets.split_at(missing.min(octets.len()));
        self.unfinished.extend_from_slice(taken);
        *octets = rest;
        self.unfinished.len() >= length
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn frames_are_cut_wherever_octets_arrive() {
        let stream = [0, 0, 0, 2, b'a', b'b', 0, 0, 0, 1, b'c'];
        for split in 0..stream.len() {
            let mut frames = OpenWireFrames::new(10);
            let mut seen = Vec::new();
            let (first, second) = stream.split_at(split);
            for mut part in [first, second] {
                while let Some(frame) = frames.next(&mut part, <[u8]>::to_vec).unwrap() {
                    seen.push(frame);
                }
            }
            assert_eq!(seen, [&b"ab"[..], b"c"], "split at {split}");
        }
    }

    #[test]
    fn announced_size_beyond_the_limit_takes_no_memory() {
        let mut frames = OpenWireFrames::new(10);
        let mut octets = &[0, 0, 0, 11, 1][..];
        let refused = OpenWireError::FrameTooLarge { size: 11, limit: 10 };
        assert_eq!(frames.next(&mut octets, <[u8]>::len), Err(refused));
        let mut frames = OpenWireFrames::new(1 << 30);
        let mut octets = &[0x3f, 0xff, 0xff, 0xff, 1][..];
        assert_eq!(frames.next(&mut octets, <[u8]>::len), Ok(None));
        assert!(frames.unfinished.capacity() < 1024);
    }

    #[test]
    fn frame_without_a_type_is_refused() {
        let mut octets = &[0, 0, 0, 0][..];
        assert_eq!(
            OpenWireFrames::new(9).next(&mut octets, <[u8]>::len),
            Err(OpenWireError::EmptyFrame)
        );
    }
}
