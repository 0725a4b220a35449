use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::backend::buffer_pool::BufferPool;
use crate::escaping::Shown;

/// The maximum length of a body stored inline, in bytes. Such a message is one allocation, which
/// matters most if one thread allocates it and another frees it.
const INLINE: usize = 110;

/// The body of a message. Dereferences to its bytes.
///
/// Owned bytes are taken without a copy if they are longer than 110 bytes; all others are copied.
/// `==` compares the bytes with any type that holds bytes. Dropping a body frees its memory or
/// returns it to its [`BufferPool`], and never blocks.
///
/// ```
/// use carrot::backend::Body;
///
/// let body = Body::from("hello");
/// assert_eq!(body, b"hello");
/// assert_eq!(body.len(), 5);
/// assert_eq!(body.into_vec(), b"hello");
/// ```
pub struct Body(Bytes);

enum Bytes {
    Inline { length: u8, bytes: [u8; INLINE] },
    Heap(Heap),
}

struct Heap {
    bytes: Vec<u8>,
    /// The pool that its memory returns to, if any.
    pool: Option<Arc<BufferPool>>,
}

impl Body {
    /// Creates a body whose memory returns to `pool` when the body is dropped.
    pub fn in_buffer(bytes: Vec<u8>, pool: &Arc<BufferPool>) -> Body {
        Body(Bytes::Heap(Heap { bytes, pool: Some(Arc::clone(pool)) }))
    }

    /// Copies bytes into a body. Large bodies use memory of `pool`.
    pub fn copied(bytes: &[u8], pool: &Arc<BufferPool>) -> Body {
        if bytes.len() < BufferPool::MIN_BUFFER_BYTES {
            return Body::from(bytes);
        }
        let mut buffer = pool.take(bytes.len());
        buffer.clear();
        buffer.extend_from_slice(bytes);
        Body::in_buffer(buffer, pool)
    }

    /// Returns an inline body, if the bytes fit.
    fn inline(bytes: &[u8]) -> Option<Body> {
        let mut inline = [0; INLINE];
        inline.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Body(Bytes::Inline { length: bytes.len() as u8, bytes: inline }))
    }

    fn on_heap(bytes: Vec<u8>) -> Body {
        Body(Bytes::Heap(Heap { bytes, pool: None }))
    }

    /// Returns the bytes. Copies them if they are at most 110. Memory of a [`BufferPool`] does not
    /// return to the pool.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Bytes::Inline { .. } => self.to_vec(),
            Bytes::Heap(mut heap) => mem::take(&mut heap.bytes),
        }
    }
}

impl Default for Body {
    fn default() -> Body {
        Body(Bytes::Inline { length: 0, bytes: [0; INLINE] })
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.put_back(mem::take(&mut self.bytes));
        }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Inline { length, bytes } => {
                bytes.get(..usize::from(*length)).unwrap_or_default()
            }
            Bytes::Heap(heap) => &heap.bytes,
        }
    }
}

impl DerefMut for Body {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Bytes::Inline { length, bytes } => {
                bytes.get_mut(..usize::from(*length)).unwrap_or_default()
            }
            Bytes::Heap(heap) => &mut heap.bytes,
        }
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Clone for Body {
    fn clone(&self) -> Body {
        match &self.0 {
            Bytes::Heap(Heap { pool: Some(pool), .. }) => Body::copied(self, pool),
            _ => Body::from(&**self),
        }
    }
}

/// Displays the text, or the bytes in hexadecimal digits, cut to one line. A cut body also displays
/// its length.
impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self).fmt(formatter)
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Body {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl Eq for Body {}

impl Hash for Body {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl From<Body> for Vec<u8> {
    fn from(body: Body) -> Vec<u8> {
        body.into_vec()
    }
}

/// The types that [`MessageBuilder::send_bytes`](crate::MessageBuilder::send_bytes) accepts: bytes
/// or text, owned or borrowed.
///
/// Owned types (`Vec<u8>`, `String`, `Box<[u8]>`, [`Body`], an owned [`Cow`]) are sent without a
/// copy if they are longer than 110 bytes. Borrowed types (`&[u8]`, `&str`, references to arrays
/// and to the owned types) and `Arc<[u8]>` are copied once, into memory that the publisher reuses.
/// Pass any other type that dereferences to bytes as `&*bytes`.
///
/// ```
/// use std::sync::Arc;
/// use carrot::{backend::BufferPool, publish::IntoBody};
///
/// let buffers = Arc::new(BufferPool::new());
/// assert_eq!("text".into_body(&buffers), b"text");
/// assert_eq!(vec![1, 2].into_body(&buffers), [1, 2]);
/// ```
pub trait IntoBody: sealed::Sealed {
    /// Converts the value to a body. Copies of large bodies use memory of `buffers`.
    #[doc(hidden)]
    fn into_body(self, buffers: &Arc<BufferPool>) -> Body;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for Body {}

impl IntoBody for Body {
    fn into_body(self, _: &Arc<BufferPool>) -> Body {
        self
    }
}

/// Frees the memory that a large body does not fill, because limits on buffered messages count the
/// bytes of bodies. An encoder may have reserved twice as much.
fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= BufferPool::MIN_BUFFER_BYTES
        && bytes.capacity() - bytes.len() > bytes.len() / 4
    {
        bytes.shrink_to_fit();
    }
    bytes
}

macro_rules! owned {
    ($($type:ty),*) => {$(
        impl From<$type> for Body {
            fn from(bytes: $type) -> Body {
                let bytes: Vec<u8> = bytes.into();
                Body::inline(&bytes).unwrap_or_else(|| Body::on_heap(trimmed(bytes)))
            }
        }

        impl sealed::Sealed for $type {}

        impl IntoBody for $type {
            fn into_body(self, _: &Arc<BufferPool>) -> Body {
                self.into()
            }
        }
    )*};
}

macro_rules! copied {
    ($([$($generic:tt)*] $type:ty),*) => {$(
        impl<$($generic)*> From<$type> for Body {
            fn from(bytes: $type) -> Body {
                let bytes: &[u8] = bytes.as_ref();
                Body::inline(bytes).unwrap_or_else(|| Body::on_heap(bytes.to_vec()))
            }
        }

        impl<$($generic)*> sealed::Sealed for $type {}

        impl<$($generic)*> IntoBody for $type {
            fn into_body(self, buffers: &Arc<BufferPool>) -> Body {
                Body::copied(self.as_ref(), buffers)
            }
        }
    )*};
}

owned!(Vec<u8>, String, Box<[u8]>);
copied!([] &[u8], [] &mut [u8], [] &str, [] &Body);
copied!([] &Vec<u8>, [] &String, [] &Box<[u8]>, [] &Arc<[u8]>, [] Arc<[u8]>);
copied!([const N: usize] &[u8; N], [const N: usize] [u8; N]);

macro_rules! either {
    ($($type:ty),*) => {$(
        impl From<Cow<'_, $type>> for Body {
            fn from(bytes: Cow<'_, $type>) -> Body {
                match bytes {
                    Cow::Borrowed(bytes) => bytes.into(),
                    Cow::Owned(bytes) => bytes.into(),
                }
            }
        }

        impl sealed::Sealed for Cow<'_, $type> {}

        impl IntoBody for Cow<'_, $type> {
            fn into_body(self, buffers: &Arc<BufferPool>) -> Body {
                match self {
                    Cow::Borrowed(bytes) => bytes.into_body(buffers),
                    Cow::Owned(bytes) => bytes.into_body(buffers),
                }
            }
        }
    )*};
}

either!([u8], str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_bytes_are_not_copied() {
        let buffers = Arc::new(BufferPool::new());
        let bytes = vec![7; 10_000];
        let address = bytes.as_ptr();
        let body = bytes.into_body(&buffers);
        assert_eq!(body.as_ptr(), address);
        let body = body.into_body(&buffers);
        let bytes = body.into_vec();
        assert_eq!(bytes.as_ptr(), address);
        assert_eq!(Cow::<[u8]>::Owned(vec![1, 2]).into_body(&buffers), [1, 2]);
        assert_eq!(String::from("text").into_body(&buffers), "text");
        assert_eq!(Body::from(Cow::Borrowed("text")), "text");
        assert_eq!(format!("{buffers:?}"), "BufferPool { count: 0, bytes: 0 }");
    }

    #[test]
    fn a_large_body_keeps_at_most_a_quarter_more_memory_than_it_fills() {
        for (length, capacity, kept) in
            [(40_000, 80_000, 50_000), (40_000, 41_000, 41_000), (200, 1_000, 1_000)]
        {
            let mut bytes = Vec::with_capacity(capacity);
            bytes.resize(length, 7);
            let bytes = Body::from(bytes).into_vec();
            assert!(bytes.capacity() <= kept, "{} of {length} in {capacity}", bytes.capacity());
            assert_eq!(bytes, vec![7; length]);
        }
    }

    #[test]
    fn borrowed_bytes_are_copied_to_pooled_memory() {
        let buffers = Arc::new(BufferPool::new());
        let bytes = vec![7; 10_000];
        let first = (&bytes).into_body(&buffers);
        let address = first.as_ptr();
        drop(first);
        let second = [8; 9_999].into_body(&buffers);
        assert_eq!((second.as_ptr(), second.len()), (address, 9_999));
        assert_eq!(second, [8; 9_999]);
        let copy = second.clone();
        assert_eq!(copy, second);
        drop((second, copy));
        assert_eq!(format!("{buffers:?}"), "BufferPool { count: 2, bytes: 19999 }");
    }

    #[test]
    fn small_bodies_use_no_pooled_memory() {
        let buffers = Arc::new(BufferPool::new());
        drop("small".into_body(&buffers));
        drop([0; 100].into_body(&buffers));
        drop(Cow::Borrowed("small").into_body(&buffers));
        let shared: Arc<[u8]> = Arc::from([1, 2]);
        for body in [
            (&shared).into_body(&buffers),
            shared.into_body(&buffers),
            [1, 2].as_mut_slice().into_body(&buffers),
        ] {
            assert_eq!((&body).into_body(&buffers), body);
        }
        assert_eq!(format!("{buffers:?}"), "BufferPool { count: 0, bytes: 0 }");
    }

    #[test]
    fn memory_taken_by_into_vec_does_not_return_to_the_pool() {
        let buffers = Arc::new(BufferPool::new());
        let bytes = Body::copied(&[7; 10_000], &buffers).into_vec();
        assert_eq!(bytes.len(), 10_000);
        assert_eq!(format!("{buffers:?}"), "BufferPool { count: 0, bytes: 0 }");
    }
}
