use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Reuses memory for large bodies, because allocating and freeing it for each message costs more
/// than copying the body.
///
/// A backend has one pool for each connection, and each publisher has its own. Memory in a
/// [`Body::in_buffer`](crate::backend::Body::in_buffer) returns to the pool when the body is
/// dropped.
///
/// The pool keeps at most [`MAX_UNUSED_BYTES`](BufferPool::MAX_UNUSED_BYTES) unused bytes, and no
/// buffer smaller than [`MIN_BUFFER_BYTES`](BufferPool::MIN_BUFFER_BYTES), because allocators handle
/// those well. No method blocks.
///
/// ```
/// use std::sync::Arc;
/// use carrot::backend::{Body, BufferPool};
///
/// let buffers = Arc::new(BufferPool::new());
/// let mut buffer = buffers.take(10_000);
/// let address = buffer.as_ptr();
/// buffer.resize(10_000, 7);
/// drop(Body::in_buffer(buffer, &buffers));
/// assert_eq!(buffers.take(9_000).as_ptr(), address);
/// ```
#[derive(Default)]
pub struct BufferPool(Mutex<Kept>);

/// The unused buffers, the latest last.
#[derive(Default)]
struct Kept {
    buffers: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// The number of latest buffers that are checked for one that fits.
const CHECKED_BUFFERS: usize = 8;

impl BufferPool {
    /// The smallest buffer that is kept, in bytes.
    pub const MIN_BUFFER_BYTES: usize = 4 << 10;
    /// The maximum of unused bytes that are kept.
    pub const MAX_UNUSED_BYTES: usize = 8 << 20;

    /// Creates an empty pool.
    pub fn new() -> BufferPool {
        BufferPool::default()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a buffer with room for `size` bytes, and for at most about twice as many. The buffer
    /// still holds up to `size` bytes of its last content, which the caller must overwrite or
    /// clear.
    pub fn take(&self, size: usize) -> Vec<u8> {
        self.take_unused(size).unwrap_or_else(|| Vec::with_capacity(size))
    }

    /// Returns an unused buffer of the pool as [`take`](BufferPool::take) does, or `None` if none
    /// fits. Takes no new memory, so `size` may be what a peer has announced.
    pub fn take_unused(&self, size: usize) -> Option<Vec<u8>> {
        if size < BufferPool::MIN_BUFFER_BYTES {
            return None;
        }
        let mut kept = self.lock();
        let latest = kept.buffers.len().saturating_sub(CHECKED_BUFFERS);
        let fits = |buffer: &Vec<u8>| buffer.capacity() >= size && buffer.capacity() / 2 <= size;
        let position = kept.buffers.range(latest..).rposition(fits)?;
        let mut buffer = kept.buffers.remove(latest + position)?;
        kept.bytes -= buffer.capacity();
        drop(kept);
        buffer.truncate(size);
        Some(buffer)
    }

    /// Takes a buffer back. Frees the oldest buffers beyond the maximum.
    pub fn put_back(&self, buffer: Vec<u8>) {
        let size = buffer.capacity();
        if !(BufferPool::MIN_BUFFER_BYTES..=BufferPool::MAX_UNUSED_BYTES).contains(&size) {
            return;
        }
        let mut too_many = Vec::new();
        let mut kept = self.lock();
        kept.bytes += size;
        kept.buffers.push_back(buffer);
        while kept.bytes > BufferPool::MAX_UNUSED_BYTES {
            let Some(oldest) = kept.buffers.pop_front() else { break };
            kept.bytes -= oldest.capacity();
            too_many.push(oldest);
        }
        drop(kept);
        drop(too_many);
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.lock();
        formatter
            .debug_struct("BufferPool")
            .field("count", &kept.buffers.len())
            .field("bytes", &kept.bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(buffers: &BufferPool) -> (usize, usize) {
        let kept = buffers.lock();
        assert_eq!(kept.bytes, kept.buffers.iter().map(Vec::capacity).sum::<usize>());
        (kept.buffers.len(), kept.bytes)
    }

    #[test]
    fn a_buffer_that_fits_is_reused() {
        let buffers = BufferPool::new();
        for size in [5_000, 50_000, 500_000] {
            buffers.put_back(vec![1; size]);
        }
        assert_eq!(buffers.take(30_000), [1; 30_000]);
        assert_eq!(buffers.take(30_000), [0; 0], "there is no other");
        assert_eq!(buffers.take(6_000), [0; 0], "none is too small");
        assert_eq!(buffers.take(200_000), [0; 0], "none is much too large");
        assert_eq!(buffers.take(5_000).len(), 5_000);
        assert_eq!(count(&buffers), (1, 500_000));
        assert_eq!(buffers.take_unused(5_000), None);
        assert_eq!(buffers.take_unused(400_000).map(|buffer| buffer.len()), Some(400_000));
        assert_eq!(buffers.take(10).capacity(), 10);
    }

    #[test]
    fn unused_buffers_beyond_the_maximum_are_freed() {
        let buffers = BufferPool::new();
        buffers.put_back(vec![1; 10_000]);
        for _ in 0..20 {
            buffers.put_back(vec![1; 1 << 20]);
        }
        assert_eq!(count(&buffers), (8, BufferPool::MAX_UNUSED_BYTES));
        buffers.put_back(vec![1; BufferPool::MAX_UNUSED_BYTES + 1]);
        buffers.put_back(vec![1; BufferPool::MIN_BUFFER_BYTES - 1]);
        assert_eq!(count(&buffers), (8, BufferPool::MAX_UNUSED_BYTES));
        assert_eq!(buffers.take(10).capacity(), 10);
    }
}
