use crate::wire::error::OpenWireError;
use crate::wire::wire_field::{WireField, WireObject};
use crate::wire::wire_reader::WireReader;

/// The kind of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DestinationKind {
    Queue,
    Topic,
    TemporaryQueue,
    TemporaryTopic,
}

impl DestinationKind {
    const ALL: [DestinationKind; 4] = [
        DestinationKind::Queue,
        DestinationKind::Topic,
        DestinationKind::TemporaryQueue,
        DestinationKind::TemporaryTopic,
    ];

    /// Returns the octet of the type.
    fn octet(self) -> u8 {
        match self {
            DestinationKind::Queue => 100,
            DestinationKind::Topic => 101,
            DestinationKind::TemporaryQueue => 102,
            DestinationKind::TemporaryTopic => 103,
        }
    }
}

/// A queue or a topic of the broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct WireDestination {
    pub(crate) kind: DestinationKind,
    /// The name as the broker knows it.
    pub(crate) name: String,
}

impl WireDestination {
    pub(crate) fn queue(name: impl Into<String>) -> WireDestination {
        WireDestination { kind: DestinationKind::Queue, name: name.into() }
    }

    /// Returns whether the destination is several queues. No name of a queue has a comma.
    pub(crate) fn is_composite(&self) -> bool {
        self.kind == DestinationKind::Queue && self.name.contains(',')
    }

    pub(crate) fn topic(name: impl Into<String>) -> WireDestination {
        WireDestination { kind: DestinationKind::Topic, name: name.into() }
    }

    pub(crate) fn temporary_queue(name: impl Into<String>) -> WireDestination {
        WireDestination { kind: DestinationKind::TemporaryQueue, name: name.into() }
    }

    pub(crate) fn temporary_topic(name: impl Into<String>) -> WireDestination {
        WireDestination { kind: DestinationKind::TemporaryTopic, name: name.into() }
    }
}

impl WireObject for WireDestination {
    fn read_object(
        kind: u8,
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<WireDestination, OpenWireError> {
        let within = reader.within();
        let known = DestinationKind::ALL.into_iter().find(|known| known.octet() == kind);
        let Some(kind) = known else {
            return Err(OpenWireError::ObjectKind { within, field, kind });
        };
        let name = Option::<String>::read_field(reader, field)?.unwrap_or_default();
        Ok(WireDestination { kind, name })
    }

    fn write_object(&self, out: &mut Vec<u8>) {
        out.push(self.kind.octet());
        Some(self.name.clone()).write_field(out);
    }
}
