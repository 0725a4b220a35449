use crate::wire::destination::WireDestination;
use crate::wire::error::OpenWireError;
use crate::wire::ids::{BrokerId, ConsumerId, MessageId, ProducerId, TransactionId};
use crate::wire::setup_commands::DestinationInfo;
use crate::wire::wire_field::{WireField, WireObject};
use crate::wire::wire_reader::WireReader;

/// The property with the delay of a message, in milliseconds. Only a scheduler reads it.
pub(crate) const SCHEDULED_DELAY: &str = "AMQ_SCHEDULED_DELAY";

/// The kind of a message, which determines the form of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MessageKind {
    /// A message without content.
    Plain,
    /// Octets.
    #[default]
    Bytes,
    /// A property map.
    Map,
    /// A serialized object of Java.
    Object,
    /// A sequence of typed values.
    Stream,
    /// A text behind its length.
    Text,
    /// The address of a file.
    Blob,
}

impl MessageKind {
    const ALL: [MessageKind; 7] = [
        MessageKind::Plain,
        MessageKind::Bytes,
        MessageKind::Map,
        MessageKind::Object,
        MessageKind::Stream,
        MessageKind::Text,
        MessageKind::Blob,
    ];

    /// Returns the octet of the type.
    pub(crate) fn octet(self) -> u8 {
        match self {
            MessageKind::Plain => 23,
            MessageKind::Bytes => 24,
            MessageKind::Map => 25,
            MessageKind::Object => 26,
            MessageKind::Stream => 27,
            MessageKind::Text => 28,
            MessageKind::Blob => 29,
        }
    }

    pub(crate) fn of_octet(octet: u8) -> Option<MessageKind> {
        MessageKind::ALL.into_iter().find(|kind| kind.octet() == octet)
    }
}

/// The object in a message of the broker itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DataStructure {
    /// A queue or topic was added or removed.
    Destination(DestinationInfo),
    /// An object of another type. Its size is not known, and what follows it is not read.
    Unread { kind: u8 },
}

macro_rules! message_fields {
    (
        first { $($(#[$first_doc:meta])* $first:ident: $first_type:ty = $first_text:literal,)* }
        last { $($(#[$last_doc:meta])* $last:ident: $last_type:ty = $last_text:literal,)* }
    ) => {
        /// A message. Fields in the order of the wire, with the data structure in between.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub(crate) struct WireMessage {
            pub(crate) kind: MessageKind,
            /// The number of the command that brought the message.
            pub(crate) command: i32,
            pub(crate) needs_answer: bool,
            $($(#[$first_doc])* pub(crate) $first: $first_type,)*
            pub(crate) data: Option<DataStructure>,
            $($(#[$last_doc])* pub(crate) $last: $last_type,)*
        }

        impl WireMessage {
            /// Reads the fields behind the type octet.
            pub(crate) fn read(
                kind: MessageKind,
                reader: &mut WireReader<'_>,
            ) -> Result<WireMessage, OpenWireError> {
                let mut inner = reader.clone().named("a message");
                let mut message = WireMessage {
                    kind,
                    command: inner.i32("commandId")?,
                    needs_answer: inner.bool("responseRequired")?,
                    ..WireMessage::default()
                };
                $(message.$first = WireField::read_field(&mut inner, $first_text)?;)*
                message.data = WireField::read_field(&mut inner, "dataStructure")?;
                if matches!(message.data, Some(DataStructure::Unread { .. })) {
                    inner.skip_rest();
                } else {
                    $(message.$last = WireField::read_field(&mut inner, $last_text)?;)*
                }
                *reader = inner.named(reader.within());
                Ok(message)
            }

            /// Appends the fields, without the type octet.
            pub(crate) fn write(&self, out: &mut Vec<u8>) {
                self.command.write_field(out);
                self.needs_answer.write_field(out);
                $(self.$first.write_field(out);)*
                self.data.write_field(out);
                $(self.$last.write_field(out);)*
            }
        }
    };
}

message_fields! {
    first {
        producer: Option<ProducerId> = "producerId",
        destination: Option<WireDestination> = "destination",
        transaction: Option<TransactionId> = "transactionId",
        original_destination: Option<WireDestination> = "originalDestination",
        id: Option<MessageId> = "messageId",
        original_transaction: Option<TransactionId> = "originalTransactionId",
        group: Option<String> = "groupID",
        group_sequence: i32 = "groupSequence",
        correlation_id: Option<String> = "correlationId",
        is_persistent: bool = "persistent",
        /// The time at which the message expires, in milliseconds since the Unix epoch; 0 for
        /// never.
        expiration: i64 = "expiration",
        priority: u8 = "priority",
        reply_to: Option<WireDestination> = "replyTo",
        /// The time of sending, in milliseconds since the Unix epoch.
        timestamp: i64 = "timestamp",
        type_name: Option<String> = "type",
        content: Option<Vec<u8>> = "content",
        properties: Option<Vec<u8>> = "marshalledProperties",
    }
    last {
        target: Option<ConsumerId> = "targetConsumerId",
        is_compressed: bool = "compressed",
        redeliveries: i32 = "redeliveryCounter",
        broker_path: Vec<BrokerId> = "brokerPath",
        arrival: i64 = "arrival",
        user: Option<String> = "userID",
        is_bridged: bool = "recievedByDFBridge",
        is_droppable: bool = "droppable",
        cluster: Vec<BrokerId> = "cluster",
        broker_in: i64 = "brokerInTime",
        broker_out: i64 = "brokerOutTime",
        is_first_of_group: bool = "JMSXGroupFirstForConsumer",
    }
}

impl WireObject for WireMessage {
    fn read_object(
        kind: u8,
        reader: &mut WireReader<'_>,
        field: &'static str,
    ) -> Result<WireMessage, OpenWireError> {
        let within = reader.within();
        let known = MessageKind::of_octet(kind);
        let known = known.ok_or(OpenWireError::ObjectKind { within, field, kind })?;
        WireMessage::read(known, reader)
    }

    fn write_object(&self, out: &mut Vec<u8>) {
        out.push(self.kind.octet());
        self.write(out);
    }
}

impl WireObject for DataStructure {
    fn read_object(
        kind: u8,
        reader: &mut WireReader<'_>,
        _: &'static str,
    ) -> Result<DataStructure, OpenWireError> {
        if kind != DestinationInfo::KIND {
            return Ok(DataStructure::Unread { kind });
        }
        // The object is a command, with a number of its own.
        reader.i32("commandId")?;
        reader.bool("responseRequired")?;
        DestinationInfo::read(reader).map(DataStructure::Destination)
    }

    fn write_object(&self, out: &mut Vec<u8>) {
        match self {
            DataStructure::Destination(info) => {
                out.push(DestinationInfo::KIND);
                0_i32.write_field(out);
                false.write_field(out);
                info.write(out);
            }
            DataStructure::Unread { kind } => out.push(*kind),
        }
    }
}
