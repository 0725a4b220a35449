//! A large body on its way in.

use std::sync::Arc;

use carrot_core::backend::{Body, BufferPool};

use crate::large_bodies::Around;

/// As much memory as is set aside for a body because its header says so.
const TRUSTED: u64 = 32 << 20;
/// How much room is made at once to read to.
const ROOM: usize = 128 << 10;

/// As much as there is of a large body.
#[derive(Debug)]
pub(crate) struct Collected {
    /// The frame that announced it.
    header: Vec<u8>,
    size: u64,
    /// Whether amiquip can read all that the header says.
    is_complete: bool,
    /// Longer than what is there, if it was used before.
    buffer: Vec<u8>,
    filled: usize,
}

impl Collected {
    /// Nothing yet, of a body of so many bytes.
    pub(crate) fn new(
        header: Vec<u8>,
        size: u64,
        is_complete: bool,
        buffers: &BufferPool,
    ) -> Collected {
        Collected {
            header,
            size,
            is_complete,
            buffer: buffers.take(size.min(TRUSTED) as usize),
            filled: 0,
        }
    }

    /// How much is to come.
    pub(crate) fn missing(&self) -> u64 {
        self.size - self.filled as u64
    }

    /// Adds bytes, which are not more than are missing.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let (over, behind) = bytes.split_at(bytes.len().min(self.buffer.len() - self.filled));
        self.buffer[self.filled..self.filled + over.len()].copy_from_slice(over);
        self.buffer.extend_from_slice(behind);
        self.filled += bytes.len();
    }

    /// Where the next bytes may be put, of which at most so many come.
    pub(crate) fn room(&mut self, most: usize) -> &mut [u8] {
        let end = self.filled + most.min(ROOM);
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.filled..end]
    }

    /// Counts bytes that were put into the room that there was.
    pub(crate) fn put(&mut self, count: usize) {
        self.filled += count;
    }

    /// The frame that announced it, and the body, once nothing is missing.
    pub(crate) fn finish(self, buffers: &Arc<BufferPool>) -> (Vec<u8>, Around) {
        (
            self.header,
            Around { body: Body::in_buffer(self.buffer, buffers), is_complete: self.is_complete },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_came_whatever_was_in_its_buffer() {
        let bytes: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8).collect();
        let buffers = Arc::new(BufferPool::new());
        for used in [0, 1, 200_000, 300_000, 400_000] {
            buffers.put_back(vec![255; used]);
            let mut collected = Collected::new(vec![1], bytes.len() as u64, true, &buffers);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (added, behind) = rest.split_at(rest.len().min(50_000));
                collected.add(added);
                assert_eq!(collected.missing(), behind.len() as u64);
                let room = collected.room(behind.len().min(170_000));
                let count = room.len();
                room.copy_from_slice(&behind[..count]);
                collected.put(count);
                rest = &behind[count..];
            }
            let (header, Around { body, .. }) = collected.finish(&buffers);
            assert_eq!(header, [1]);
            assert!(body == bytes, "{used} bytes used before");
        }
    }

    #[test]
    fn a_size_is_not_trusted_without_limit() {
        let buffers = BufferPool::new();
        let mut collected = Collected::new(Vec::new(), 1 << 40, true, &buffers);
        assert!(collected.buffer.capacity() <= 64 << 20);
        assert_eq!(collected.room(1 << 30).len(), ROOM);
    }
}
