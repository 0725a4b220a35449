//! The queues of the broker, from its advisories.

use std::collections::HashSet;

use crate::wire::destination::{DestinationKind, WireDestination};
use crate::wire::ids::MessageId;
use crate::wire::message::{DataStructure, WireMessage};
use crate::wire::setup_commands::DestinationInfo;

/// The number of advisories that are acknowledged at once.
const ACKNOWLEDGED: i32 = 500;

/// The most bytes of the names of all queues.
pub(crate) const MOST_BYTES: usize = 64 << 20;
/// The size that a name counts with beside its octets, in bytes.
const SIZE_BESIDE_NAME: usize = 64;

/// All queues, also temporary ones. The broker first sends all queues, and then each change.
#[derive(Debug, Default)]
pub(crate) struct QueueDirectory {
    queues: HashSet<WireDestination>,
    /// The bytes of the names.
    bytes: usize,
    /// The number of advisories that are not acknowledged.
    unacknowledged: i32,
}

/// An acknowledgement of advisories.
#[derive(Debug, PartialEq)]
pub(crate) struct AdvisoryAck {
    pub(crate) last: MessageId,
    pub(crate) count: i32,
}

impl QueueDirectory {
    /// Returns the topics of the advisories about queues, as one destination.
    pub(crate) fn topic() -> WireDestination {
        WireDestination::topic("ActiveMQ.Advisory.Queue,ActiveMQ.Advisory.TempQueue")
    }

    pub(crate) fn contains(&self, queue: &WireDestination) -> bool {
        self.queues.contains(queue)
    }

    /// Returns whether the names exceed their limit. Connections to such a broker end.
    pub(crate) fn is_too_large(&self) -> bool {
        self.bytes > MOST_BYTES
    }

    /// Notes an advisory. Returns an acknowledgement to send once enough have gathered.
    pub(crate) fn note(&mut self, advisory: WireMessage) -> Option<AdvisoryAck> {
        if let Some(DataStructure::Destination(info)) = advisory.data {
            self.apply(info);
        }
        self.unacknowledged += 1;
        if self.unacknowledged < ACKNOWLEDGED {
            return None;
        }
        let count = std::mem::take(&mut self.unacknowledged);
        advisory.id.map(|last| AdvisoryAck { last, count })
    }

    fn apply(&mut self, info: DestinationInfo) {
        let is_queue = |queue: &WireDestination| {
            matches!(queue.kind, DestinationKind::Queue | DestinationKind::TemporaryQueue)
        };
        let Some(queue) = info.destination.filter(is_queue) else { return };
        let size = queue.name.len() + SIZE_BESIDE_NAME;
        if info.operation == DestinationInfo::REMOVE {
            if self.queues.remove(&queue) {
                self.bytes -= size;
            }
        } else if self.queues.insert(queue) {
            self.bytes += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advisory(name: &str, operation: u8) -> WireMessage {
        let destination = Some(WireDestination::queue(name));
        let info = DestinationInfo { destination, operation, ..DestinationInfo::default() };
        WireMessage {
            id: Some(MessageId::default()),
            data: Some(DataStructure::Destination(info)),
            ..WireMessage::default()
        }
    }

    #[test]
    fn queues_come_and_go() {
        let mut directory = QueueDirectory::default();
        directory.note(advisory("a", DestinationInfo::ADD));
        directory.note(advisory("b", DestinationInfo::ADD));
        directory.note(advisory("a", DestinationInfo::REMOVE));
        let contains = |name| directory.contains(&WireDestination::queue(name));
        assert!(!contains("a") && contains("b"));
    }

    #[test]
    fn every_advisory_is_acknowledged_in_the_end() {
        let mut directory = QueueDirectory::default();
        let acks: Vec<i32> = (0..2 * ACKNOWLEDGED)
            .filter_map(|_| directory.note(advisory("a", DestinationInfo::ADD)))
            .map(|ack| ack.count)
            .collect();
        assert_eq!(acks, [ACKNOWLEDGED, ACKNOWLEDGED]);
    }
}
