use crate::wire::delivery_commands::{
    ConnectionError, ConsumerControl, ExceptionResponse, MessageAck, MessageDispatch, MessagePull,
    WireResponse,
};
use crate::wire::error::OpenWireError;
use crate::wire::message::{MessageKind, WireMessage};
use crate::wire::setup_commands::{
    BrokerInfo, ConnectionInfo, ConsumerInfo, DestinationInfo, ProducerInfo, RemoveInfo,
    SessionInfo, TransactionInfo,
};
use crate::wire::wire_field::WireField;
use crate::wire::wire_format::WireFormat;
use crate::wire::wire_reader::WireReader;

/// The type octets of the commands without fields.
const KEEP_ALIVE: u8 = 10;
const SHUTDOWN: u8 = 11;
const FLUSH: u8 = 15;

/// The number of a command, and whether the peer answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CommandHead {
    /// The number that the answer names.
    pub(crate) id: i32,
    pub(crate) needs_answer: bool,
}

/// A command, with its fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CommandBody {
    Broker(BrokerInfo),
    Connection(ConnectionInfo),
    Session(SessionInfo),
    Consumer(ConsumerInfo),
    Producer(ProducerInfo),
    Transaction(TransactionInfo),
    Destination(DestinationInfo),
    Remove(RemoveInfo),
    Control(ConsumerControl),
    Error(ConnectionError),
    Pull(MessagePull),
    Dispatch(MessageDispatch),
    Ack(MessageAck),
    Response(WireResponse),
    Exception(ExceptionResponse),
    /// Shows that the peer lives.
    KeepAlive,
    /// The peer ends the connection.
    Shutdown,
    /// Does nothing, and is answered.
    Flush,
    /// A command that no client needs. Its fields are skipped.
    Other {
        kind: u8,
    },
}

/// The content of a frame.
#[allow(clippy::large_enum_variant, reason = "a command lives for one call")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OpenWireCommand {
    Format(WireFormat),
    Message(Box<WireMessage>),
    Command(CommandHead, CommandBody),
}

impl OpenWireCommand {
    /// Reads a frame without its size. Octets after the last field are skipped: newer versions of
    /// a command add fields there.
    pub(crate) fn read(frame: &[u8]) -> Result<OpenWireCommand, OpenWireError> {
        let mut reader = WireReader::new(frame, "a command");
        if reader.is_empty() {
            return Err(OpenWireError::EmptyFrame);
        }
        let kind = reader.u8("type")?;
        if kind == WireFormat::KIND {
            let mut reader = reader.named("WireFormatInfo");
            return WireFormat::read(&mut reader).map(OpenWireCommand::Format);
        }
        if let Some(kind) = MessageKind::of_octet(kind) {
            let message = WireMessage::read(kind, &mut reader)?;
            return Ok(OpenWireCommand::Message(Box::new(message)));
        }
        let head = CommandHead {
            id: reader.i32("commandId")?,
            needs_answer: reader.bool("responseRequired")?,
        };
        let body = CommandBody::read(kind, &mut reader)?;
        Ok(OpenWireCommand::Command(head, body))
    }

    /// Appends the frame, with its size.
    pub(crate) fn write_frame(&self, out: &mut Vec<u8>) {
        framed(out, |out| match self {
            OpenWireCommand::Format(format) => {
                out.push(WireFormat::KIND);
                format.write(out);
            }
            OpenWireCommand::Message(message) => {
                out.push(message.kind.octet());
                message.write(out);
            }
            OpenWireCommand::Command(head, body) => body.write(*head, out),
        });
    }
}

/// Appends a size of four octets, and what `write` appends.
fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    write(out);
    let size = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(prefix) = out.get_mut(start..start + 4) {
        prefix.copy_from_slice(&size.to_be_bytes());
    }
}

macro_rules! bodies {
    ($($variant:ident($body:ident))*) => {
        impl CommandBody {
            fn read(kind: u8, reader: &mut WireReader<'_>) -> Result<CommandBody, OpenWireError> {
                match kind {
                    $($body::KIND => $body::read(reader).map(CommandBody::$variant),)*
                    KEEP_ALIVE => Ok(CommandBody::KeepAlive),
                    SHUTDOWN => Ok(CommandBody::Shutdown),
                    FLUSH => Ok(CommandBody::Flush),
                    kind => Ok(CommandBody::Other { kind }),
                }
            }

            fn write(&self, head: CommandHead, out: &mut Vec<u8>) {
                out.push(match self {
                    $(CommandBody::$variant(_) => $body::KIND,)*
                    CommandBody::KeepAlive => KEEP_ALIVE,
                    CommandBody::Shutdown => SHUTDOWN,
                    CommandBody::Flush => FLUSH,
                    CommandBody::Other { kind } => *kind,
                });
                head.id.write_field(out);
                head.needs_answer.write_field(out);
                match self {
                    $(CommandBody::$variant(body) => body.write(out),)*
                    _ => {}
                }
            }
        }
    };
}

bodies! {
    Broker(BrokerInfo)
    Connection(ConnectionInfo)
    Session(SessionInfo)
    Consumer(ConsumerInfo)
    Producer(ProducerInfo)
    Transaction(TransactionInfo)
    Destination(DestinationInfo)
    Remove(RemoveInfo)
    Control(ConsumerControl)
    Error(ConnectionError)
    Pull(MessagePull)
    Dispatch(MessageDispatch)
    Ack(MessageAck)
    Response(WireResponse)
    Exception(ExceptionResponse)
}
