use std::fmt;

use carrot_listener::OutgoingItem;

use crate::wire::command::OpenWireCommand;

/// The size of the other parts of an item, in bytes.
const OVERHEAD: usize = 64;

/// Whole frames for the broker.
pub(crate) struct OutgoingFrame(Vec<u8>);

impl OutgoingFrame {
    pub(crate) fn new(command: &OpenWireCommand) -> OutgoingFrame {
        let mut octets = Vec::new();
        command.write_frame(&mut octets);
        OutgoingFrame(octets)
    }

    /// Adds another frame.
    pub(crate) fn and(mut self, command: &OpenWireCommand) -> OutgoingFrame {
        command.write_frame(&mut self.0);
        self
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl OutgoingItem for OutgoingFrame {
    fn size(&self) -> usize {
        OVERHEAD + self.0.len()
    }

    /// The senders bound the items of a client.
    fn end_of_unread(_: usize) -> Option<OutgoingFrame> {
        None
    }
}

/// Shows no octets: they may hold a password.
impl fmt::Debug for OutgoingFrame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OutgoingFrame({} bytes)", self.0.len())
    }
}
