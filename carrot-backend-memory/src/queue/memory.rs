//! The memory of the messages that a broker holds.

use std::fmt;
use std::mem::size_of;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, Weak};

use carrot_core::backend::{Content, ShortString};
use carrot_core::{Headers, Properties, Value};

use crate::sync::{read, write};

/// The size of a message without octets, in bytes.
const MESSAGE: usize = size_of::<Content>() + size_of::<HeldBytes>() + 4 * size_of::<usize>();
/// The size of a header without octets, in bytes.
const HEADER: usize = size_of::<(ShortString, Value)>();

/// Counts the memory of the messages of one broker.
///
/// Nothing is counted before the first limit is added, so that a broker without a limit costs
/// nothing.
#[derive(Debug, Default)]
pub(crate) struct MessageMemory {
    is_counted: AtomicBool,
    bytes: AtomicU64,
    limits: RwLock<Vec<Weak<dyn MessageLimit>>>,
    /// The number of the limits that are exceeded.
    exceeded: AtomicUsize,
}

/// A limit on the memory of messages.
pub(crate) trait MessageLimit: fmt::Debug + Send + Sync {
    /// Whether the messages exceed the limit, and publishers are not blocked yet.
    fn is_due(&self) -> bool;

    /// Blocks the publishers. The caller holds no lock.
    fn block(&self);

    /// Notes that messages have left. The caller may hold any lock.
    fn note_release(&self);
}

/// The memory of one message, until the message has left its last queue.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    memory: Arc<MessageMemory>,
    bytes: u64,
}

impl MessageMemory {
    /// Adds a limit. Messages count from now on.
    pub(crate) fn add_limit(&self, limit: Weak<dyn MessageLimit>) {
        let mut limits = write(&self.limits);
        limits.retain(|other| other.strong_count() > 0);
        limits.push(limit);
        drop(limits);
        self.is_counted.store(true, Ordering::SeqCst);
    }

    /// Returns the memory of all messages that count, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Counts a message, with the bytes of its records. Returns `None` if nothing is counted.
    pub(crate) fn hold(
        self: &Arc<MessageMemory>,
        content: &Content,
        records: usize,
    ) -> Option<Arc<HeldBytes>> {
        if !self.is_counted.load(Ordering::Relaxed) {
            return None;
        }
        let bytes = (size_of_content(content) + records) as u64;
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        Some(Arc::new(HeldBytes { memory: Arc::clone(self), bytes }))
    }

    /// Blocks the publishers, if a limit is exceeded. The caller holds no lock.
    pub(crate) fn enforce_limits(&self) {
        if !self.is_counted.load(Ordering::Relaxed) {
            return;
        }
        let due: Vec<_> = read(&self.limits)
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|limit| limit.is_due())
            .collect();
        due.iter().for_each(|limit| limit.block());
    }

    /// Notes that one more limit is exceeded.
    pub(crate) fn begin_excess(&self) {
        self.exceeded.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that one limit is not exceeded any more.
    pub(crate) fn end_excess(&self) {
        self.exceeded.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        let memory = &self.memory;
        memory.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        if memory.exceeded.load(Ordering::SeqCst) > 0 {
            let limits: Vec<_> = read(&memory.limits).iter().filter_map(Weak::upgrade).collect();
            limits.iter().for_each(|limit| limit.note_release());
        }
    }
}

fn size_of_content(content: &Content) -> usize {
    let Content { exchange, routing_key, properties, body } = content;
    MESSAGE + exchange.len() + routing_key.len() + size_of_properties(properties) + body.len()
}

/// Returns the memory of the strings and headers of properties, in bytes, for limits of a server.
pub fn size_of_properties(properties: &Properties) -> usize {
    let strings = [
        properties.content_type(),
        properties.content_encoding(),
        properties.message_id(),
        properties.correlation_id(),
        properties.reply_to(),
        properties.expiration(),
        properties.kind(),
        properties.user_id(),
        properties.app_id(),
        properties.cluster_id(),
    ];
    let strings = strings.into_iter().flatten();
    // A string has a place of its own only if it is set.
    let strings: usize = strings.map(|text| size_of::<ShortString>() + text.len()).sum();
    let octets = properties.wire_octets().map_or(0, <[u8]>::len);
    strings + octets + properties.headers().map_or(0, size_of_headers)
}

fn size_of_headers(headers: &Headers) -> usize {
    headers.iter().map(|(name, value)| HEADER + name.len() + size_of_octets(value)).sum()
}

/// Returns the size of the parts of a value that stand outside of it.
fn size_of_octets(value: &Value) -> usize {
    match value {
        Value::Table(headers) => size_of_headers(headers),
        Value::Array(values) => {
            values.iter().map(|value| size_of::<Value>() + size_of_octets(value)).sum()
        }
        value => value.as_bytes().map(<[u8]>::len).or(value.as_str().map(str::len)).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct NoLimit;

    impl MessageLimit for NoLimit {
        fn is_due(&self) -> bool {
            false
        }

        fn block(&self) {}

        fn note_release(&self) {}
    }

    fn counted() -> Arc<MessageMemory> {
        let memory = Arc::new(MessageMemory::default());
        memory.add_limit(Weak::<NoLimit>::new());
        memory
    }

    #[test]
    fn memory_without_a_limit_counts_nothing() {
        let memory = Arc::new(MessageMemory::default());
        assert!(memory.hold(&Content::new("", "q", "hello"), 0).is_none());
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn octets_that_a_message_keeps_of_its_properties_count() {
        let memory = counted();
        let properties = Properties::new().with_wire_octets(vec![0; 5000]);
        let held = memory.hold(&Content::new("", "q", "m").with_properties(properties), 0);
        assert!((5000..6000).contains(&memory.bytes()), "{}", memory.bytes());
        drop(held);
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn message_counts_until_its_last_copy_is_dropped() {
        let memory = counted();
        let held = memory.hold(&Content::new("", "q", vec![0; 1000]), 300);
        let size = memory.bytes();
        assert!((1000..3000).contains(&size), "{size}");
        let copy = held.clone();
        drop(held);
        assert_eq!(memory.bytes(), size);
        drop(copy);
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn every_part_of_a_message_counts() {
        let size = |content: Content| counted().hold(&content, 0).map_or(0, |held| held.bytes);
        let plain = size(Content::new("", "", ""));
        let long = "x".repeat(200);
        let properties = |properties| Content::new("", "", "").with_properties(properties);
        let nested = Value::Array(vec![Value::from("x".repeat(5000)), Value::from(1)]);
        for (content, least) in [
            (Content::new(&*long, "", ""), 200),
            (Content::new("", &*long, ""), 200),
            (Content::new("", "", "x".repeat(5000)), 5000),
            (properties(Properties::new().with_message_id(&*long)), 200),
            (properties(Properties::new().with_app_id(&*long)), 200),
            (properties(Properties::new().with_header(&*long, 1)), 200),
            (properties(Properties::new().with_header("h", nested)), 5000),
            (properties(Properties::new().with_header("h", vec![Value::from(1); 100])), 1600),
        ] {
            let more = size(content) - plain;
            assert!(more >= least, "{more} of {least}");
        }
        assert!(plain > 0, "an empty message has a size");
    }
}
