//! The messages of a client.

use carrot_core::backend::{
    Acknowledgement, ConsumeOptions, DeleteIf, Rejection, Role, ShortString,
};
use carrot_core::{Binding, Exchange, Queue};

use crate::calls::entity::{read_binding, read_deletion, read_exchange, read_queue};
use crate::calls::fields::{CallError, FieldReader, MessageStart};

/// The version of the encoding.
pub(crate) const VERSION: u8 = 1;
/// The octets that the first message begins with, after its start.
pub(crate) const MAGIC: &[u8; 6] = b"CARROT";

pub(crate) const FOR_PUBLISHING: u8 = 1;
pub(crate) const WITH_CONFIRMS: u8 = 2;
pub(crate) const MANDATORY: u8 = 1;
pub(crate) const AUTOMATIC: u8 = 1;
pub(crate) const EXCLUSIVE: u8 = 2;

/// The kinds of messages of a client.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 1;
    pub(crate) const OPEN: u8 = 2;
    pub(crate) const CLOSE: u8 = 3;
    pub(crate) const DECLARE_EXCHANGE: u8 = 4;
    pub(crate) const DECLARE_QUEUE: u8 = 5;
    pub(crate) const BIND: u8 = 6;
    pub(crate) const DELETE_EXCHANGE: u8 = 7;
    pub(crate) const DELETE_QUEUE: u8 = 8;
    pub(crate) const UNBIND: u8 = 9;
    pub(crate) const PURGE: u8 = 10;
    pub(crate) const HAS_BINDING: u8 = 11;
    pub(crate) const PUBLISH: u8 = 12;
    pub(crate) const GET: u8 = 13;
    pub(crate) const CONSUME: u8 = 14;
    pub(crate) const CANCEL: u8 = 15;
    pub(crate) const SETTLE: u8 = 16;
    pub(crate) const TAKEN: u8 = 17;
    pub(crate) const UPDATE_SECRET: u8 = 18;
    pub(crate) const GOODBYE: u8 = 19;
    pub(crate) const DROP_CONSUMER: u8 = 20;
}

/// The number of a session, which the client chooses at random.
pub(crate) type SessionId = [u8; 16];

/// The effect of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettleKind {
    Ack,
    Reject(Rejection),
}

/// The first and the last tag of deliveries that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TagRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// The call in a message of a client. The start of the message has the channel and the number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request<'a> {
    Hello {
        version: u8,
        session: SessionId,
        name: &'a str,
    },
    Open {
        role: Role,
        confirms: bool,
        /// The number of bytes that may wait for the program; 0 for no limit.
        max_waiting: u64,
    },
    Close,
    DeclareExchange(Exchange),
    DeclareQueue(Queue),
    Bind(Binding),
    DeleteExchange {
        name: &'a str,
        condition: DeleteIf,
    },
    DeleteQueue {
        name: &'a str,
        condition: DeleteIf,
    },
    Unbind(Binding),
    Purge {
        queue: &'a str,
    },
    HasBinding(Binding),
    Publish(PublishHead<'a>),
    Get {
        queue: &'a str,
        acknowledgement: Acknowledgement,
    },
    Consume {
        consumer: u32,
        queue: &'a str,
        options: ConsumeOptions,
    },
    Cancel {
        consumer: u32,
    },
    /// Cancels a consumer whose program has seen only these of its unacknowledged deliveries.
    DropConsumer {
        consumer: u32,
        seen: Vec<TagRange>,
    },
    Settle {
        kind: SettleKind,
        ranges: Vec<TagRange>,
    },
    Taken {
        bytes: u64,
    },
    UpdateSecret,
    Goodbye,
}

/// A message to publish, without its body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PublishHead<'a> {
    pub(crate) mandatory: bool,
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    /// The properties as octets of AMQP 0-9-1.
    pub(crate) properties: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads a message, after its start.
    pub(crate) fn read(
        start: MessageStart,
        mut fields: FieldReader<'a>,
    ) -> Result<Request<'a>, CallError> {
        let request = Request::read_fields(start.kind, &mut fields)?;
        fields.finish()?;
        Ok(request)
    }

    fn read_fields(kind: u8, fields: &mut FieldReader<'a>) -> Result<Request<'a>, CallError> {
        Ok(match kind {
            kind::PUBLISH => Request::Publish(PublishHead {
                mandatory: fields.flags(MANDATORY)? != 0,
                exchange: fields.short_string("exchange")?,
                routing_key: fields.short_string("routing key")?,
                properties: fields.rest(),
            }),
            kind::SETTLE => {
                let kind = read_settlement_kind(fields)?;
                Request::Settle { kind, ranges: read_ranges(fields)? }
            }
            kind::TAKEN => Request::Taken { bytes: fields.u64("bytes")? },
            kind::HELLO => {
                if fields.octets(MAGIC_FIELD)? != *MAGIC {
                    return Err(CallError { field: MAGIC_FIELD, problem: "is not CARROT" });
                }
                let version = fields.u8("version")?;
                if version != VERSION {
                    // The fields of other versions are unknown.
                    fields.rest();
                    return Ok(Request::Hello { version, session: SessionId::default(), name: "" });
                }
                Request::Hello {
                    version,
                    session: fields.octets("session")?,
                    name: fields.text("name")?,
                }
            }
            kind::OPEN => {
                let flags = fields.flags(FOR_PUBLISHING | WITH_CONFIRMS)?;
                Request::Open {
                    role: match flags & FOR_PUBLISHING {
                        0 => Role::Consume,
                        _ => Role::Publish,
                    },
                    confirms: flags & WITH_CONFIRMS != 0,
                    max_waiting: fields.u64("waiting bytes")?,
                }
            }
            kind::CLOSE => Request::Close,
            kind::DECLARE_EXCHANGE => Request::DeclareExchange(read_exchange(fields)?),
            kind::DECLARE_QUEUE => Request::DeclareQueue(read_queue(fields)?),
            kind::BIND => Request::Bind(read_binding(fields)?),
            kind::DELETE_EXCHANGE => {
                let (name, condition) = read_deletion(fields, "exchange")?;
                Request::DeleteExchange { name, condition }
            }
            kind::DELETE_QUEUE => {
                let (name, condition) = read_deletion(fields, "queue")?;
                Request::DeleteQueue { name, condition }
            }
            kind::UNBIND => Request::Unbind(read_binding(fields)?),
            kind::PURGE => Request::Purge { queue: fields.text("queue")? },
            kind::HAS_BINDING => Request::HasBinding(read_binding(fields)?),
            kind::GET => Request::Get {
                acknowledgement: acknowledgement(fields.flags(AUTOMATIC)?),
                queue: fields.text("queue")?,
            },
            kind::CONSUME => {
                let consumer = fields.u32("consumer")?;
                let flags = fields.flags(AUTOMATIC | EXCLUSIVE)?;
                let mut options = ConsumeOptions::with_prefetch(fields.u16("prefetch")?);
                options.acknowledgement = acknowledgement(flags & AUTOMATIC);
                options.exclusive = flags & EXCLUSIVE != 0;
                let queue = fields.text("queue")?;
                options.arguments = fields.table("consumer arguments")?;
                Request::Consume { consumer, queue, options }
            }
            kind::CANCEL => Request::Cancel { consumer: fields.u32("consumer")? },
            kind::DROP_CONSUMER => Request::DropConsumer {
                consumer: fields.u32("consumer")?,
                seen: read_ranges(fields)?,
            },
            kind::UPDATE_SECRET => {
                fields.long_text("secret")?;
                fields.text("reason")?;
                Request::UpdateSecret
            }
            kind::GOODBYE => Request::Goodbye,
            _ => return Err(CallError { field: "kind", problem: "is of no call of a client" }),
        })
    }
}

const MAGIC_FIELD: &str = "protocol";

fn acknowledgement(automatic: u8) -> Acknowledgement {
    match automatic {
        0 => Acknowledgement::Manual,
        _ => Acknowledgement::Automatic,
    }
}

/// Takes the ranges that are the rest of a message.
fn read_ranges(fields: &mut FieldReader<'_>) -> Result<Vec<TagRange>, CallError> {
    let mut ranges = Vec::new();
    while !fields.is_empty() {
        let (first, last) = (fields.u64("first tag")?, fields.u64("last tag")?);
        ranges.push(TagRange { first, last });
    }
    Ok(ranges)
}

fn read_settlement_kind(fields: &mut FieldReader<'_>) -> Result<SettleKind, CallError> {
    Ok(match fields.u8("settlement")? {
        0 => SettleKind::Ack,
        1 => SettleKind::Reject(Rejection::Requeue),
        2 => SettleKind::Reject(Rejection::RequeueFailed),
        3 => SettleKind::Reject(Rejection::Discard),
        _ => return Err(CallError { field: "settlement", problem: "has an unknown kind" }),
    })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
