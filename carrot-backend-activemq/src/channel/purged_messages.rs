use crate::wire::ids::MessageId;
use crate::wire::message::WireMessage;

/// The most messages that a purge has received, and not acknowledged.
pub(crate) const PURGE_PREFETCH: u16 = 1000;

/// The messages that a purge has received, and not acknowledged: a range in the order of their
/// arrival, without their bodies.
#[derive(Debug, Default)]
pub(crate) struct PurgedMessages {
    range: Option<(MessageId, MessageId)>,
    count: u16,
}

impl PurgedMessages {
    /// Adds a message. Returns `false` if the broker has exceeded the prefetch.
    pub(crate) fn add(&mut self, message: WireMessage) -> bool {
        let Some(id) = message.id else { return true };
        let first = self.range.take().map_or_else(|| id.clone(), |(first, _)| first);
        self.range = Some((first, id));
        self.count = self.count.saturating_add(1);
        self.count <= PURGE_PREFETCH
    }

    pub(crate) fn count(&self) -> u32 {
        self.count.into()
    }

    /// Returns the first and the last message.
    pub(crate) fn into_range(self) -> Option<(MessageId, MessageId)> {
        self.range
    }
}
