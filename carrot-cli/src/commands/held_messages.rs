//! Messages that a move holds until its end, because a requeued one would come again at once.

use carrot::Message;

use crate::exit::Result;

/// The bytes that a message takes in addition to its octets.
const OF_MESSAGE: usize = 256;

/// The held messages, in their order, and a limit for the memory that they take.
pub(super) struct HeldMessages {
    messages: Vec<Message>,
    bytes: usize,
    limit: usize,
}

impl HeldMessages {
    pub(super) fn new(limit: usize) -> HeldMessages {
        HeldMessages { messages: Vec::new(), bytes: 0, limit }
    }

    pub(super) fn hold(&mut self, message: Message) {
        self.count_bytes(bytes_of(&message));
        self.messages.push(message);
    }

    /// Counts bytes that a message takes elsewhere.
    pub(super) fn count_bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether the messages take as much memory as they may. The last one can exceed the limit.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.limit
    }

    /// Requeues all messages in their order, and calls `each` after each of them.
    pub(super) fn requeue(self, each: impl Fn()) -> Result<()> {
        for message in self.messages {
            message.requeue()?;
            each();
        }
        Ok(())
    }
}

fn bytes_of(message: &Message) -> usize {
    let names = message.exchange().len() + message.routing_key().len();
    // As text, properties take about as much as in memory.
    let properties = serde_json::to_vec(message.properties()).map_or(0, |text| text.len());
    OF_MESSAGE + names + properties + message.body().len()
}
