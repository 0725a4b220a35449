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
/// The most advisories that are not acknowledged. The broker first sends one for each queue, and
/// reads acknowledgements only then. The policy that a broker comes with drops advisories that wait
/// for acknowledgements. So all queues have to fit, and as many changes again.
pub(crate) const MOST_UNACKNOWLEDGED: i32 = 2 * (MOST_BYTES / SIZE_BESIDE_NAME) as i32;

/// All queues, also temporary ones. The broker first sends all queues, and then each change.
#[derive(Debug, Default)]
pub(crate) struct QueueDirectory {
    queues: HashSet<WireDestination>,
    /// The bytes of the names.
    bytes: usize,
    /// Whether an advisory has arrived.
    is_told: bool,
    /// The first advisory that is not acknowledged.
    first: Option<MessageId>,
    /// The number of advisories that are not acknowledged.
    unacknowledged: i32,
}

/// An acknowledgement of advisories.
#[derive(Debug, PartialEq)]
pub(crate) struct AdvisoryAck {
    pub(crate) first: MessageId,
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

    /// Returns whether no advisory has arrived.
    pub(crate) fn is_silent(&self) -> bool {
        !self.is_told
    }

    /// Notes an advisory. Returns an acknowledgement to send once enough have gathered.
    pub(crate) fn note(&mut self, advisory: WireMessage) -> Option<AdvisoryAck> {
        if let Some(DataStructure::Destination(info)) = advisory.data {
            self.apply(info);
        }
        self.is_told = true;
        if self.first.is_none() {
            self.first.clone_from(&advisory.id);
        }
        self.unacknowledged += 1;
        if self.unacknowledged < ACKNOWLEDGED {
            return None;
        }
        let count = std::mem::take(&mut self.unacknowledged);
        let first = self.first.take()?;
        advisory.id.map(|last| AdvisoryAck { first, last, count })
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
        let note = |number| {
            let id = MessageId { producer_sequence: number, ..MessageId::default() };
            let advisory = advisory("a", DestinationInfo::ADD);
            directory.note(WireMessage { id: Some(id), ..advisory })
        };
        let acks = (1..=2 * i64::from(ACKNOWLEDGED)).filter_map(note);
        let acks: Vec<_> = acks
            .map(|ack| (ack.first.producer_sequence, ack.last.producer_sequence, ack.count))
            .collect();
        assert_eq!(acks, [(1, 500, ACKNOWLEDGED), (501, 1000, ACKNOWLEDGED)]);
    }

    #[test]
    fn all_queues_that_fit_may_be_told_at_once() {
        let most_queues = MOST_BYTES / (SIZE_BESIDE_NAME + 1);
        assert!(usize::try_from(MOST_UNACKNOWLEDGED).is_ok_and(|most| most > most_queues));
    }

    #[test]
    fn directory_is_silent_until_the_first_advisory() {
        let mut directory = QueueDirectory::default();
        assert!(directory.is_silent());
        directory.note(advisory("a", DestinationInfo::REMOVE));
        assert!(!directory.is_silent());
    }
}
