//! The messages of a host: answers to calls, and events.

use std::time::Duration;

use carrot_core::backend::{Capabilities, Outcome, ShortString};
use carrot_core::{Error, QueueInfo};

use crate::calls::error_code::{put_error, read_error};
use crate::calls::fields::{CallError, FieldReader, MessageStart, put_long, put_short, put_start};
use crate::calls::request::{SessionId, VERSION};

const REDELIVERED: u8 = 1;

/// The kinds of messages of a host.
pub(crate) mod kind {
    pub(crate) const WELCOME: u8 = 65;
    pub(crate) const DONE: u8 = 66;
    pub(crate) const FAILED: u8 = 67;
    pub(crate) const DELIVERED: u8 = 68;
    pub(crate) const FETCHED: u8 = 69;
    pub(crate) const CONFIRMED: u8 = 70;
    pub(crate) const CANCELLED: u8 = 71;
    pub(crate) const CHANNEL_CLOSED: u8 = 72;
    pub(crate) const BLOCKED: u8 = 73;
    pub(crate) const UNBLOCKED: u8 = 74;
    pub(crate) const END: u8 = 75;
}

/// The features and limits of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostTraits {
    pub(crate) capabilities: Capabilities,
    /// The largest body of a message, in bytes.
    pub(crate) max_body: u64,
}

/// A message of a host. The start of the message has the channel, and the call or the consumer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HostEvent<'a> {
    Welcome {
        session: SessionId,
        traits: HostTraits,
    },
    /// The answer to a call, whose fields depend on the call.
    Done(FieldReaderOctets<'a>),
    Failed(FailedWith),
    Delivered(DeliveredHead<'a>),
    Fetched(DeliveredHead<'a>),
    Confirmed {
        first: u64,
        last: u64,
        outcome: Outcome,
    },
    Cancelled,
    ChannelClosed(FailedWith),
    Blocked {
        reason: &'a str,
    },
    Unblocked,
    End(FailedWith),
}

/// The octets of an answer.
pub(crate) type FieldReaderOctets<'a> = &'a [u8];

/// An error in a message. Errors are compared by their texts.
#[derive(Debug, Clone)]
pub(crate) struct FailedWith(pub(crate) Error);

impl PartialEq for FailedWith {
    fn eq(&self, other: &FailedWith) -> bool {
        format!("{:?}", self.0) == format!("{:?}", other.0)
    }
}

/// A delivery without its body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeliveredHead<'a> {
    pub(crate) tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    /// The properties as octets of AMQP 0-9-1.
    pub(crate) properties: &'a [u8],
}

impl<'a> HostEvent<'a> {
    /// Reads a message, after its start.
    pub(crate) fn read(
        start: MessageStart,
        mut fields: FieldReader<'a>,
    ) -> Result<HostEvent<'a>, CallError> {
        let event = HostEvent::read_fields(start.kind, &mut fields)?;
        fields.finish()?;
        Ok(event)
    }

    fn read_fields(kind: u8, fields: &mut FieldReader<'a>) -> Result<HostEvent<'a>, CallError> {
        Ok(match kind {
            kind::DELIVERED => HostEvent::Delivered(DeliveredHead::read(fields)?),
            kind::CONFIRMED => {
                let (first, last) = (fields.u64("first tag")?, fields.u64("last tag")?);
                let outcome = match fields.u8("outcome")? {
                    0 => Outcome::Accepted,
                    1 => Outcome::Refused,
                    2 => Outcome::Returned {
                        code: fields.u16("reply code")?,
                        text: fields.text("reply text")?.into(),
                    },
                    _ => return Err(CallError { field: "outcome", problem: "is unknown" }),
                };
                HostEvent::Confirmed { first, last, outcome }
            }
            kind::DONE => HostEvent::Done(fields.rest()),
            kind::FAILED => HostEvent::Failed(FailedWith(read_error(fields)?)),
            kind::FETCHED => HostEvent::Fetched(DeliveredHead::read(fields)?),
            kind::CANCELLED => HostEvent::Cancelled,
            kind::CHANNEL_CLOSED => HostEvent::ChannelClosed(FailedWith(read_error(fields)?)),
            kind::BLOCKED => HostEvent::Blocked { reason: fields.long_text("reason")? },
            kind::UNBLOCKED => HostEvent::Unblocked,
            kind::END => HostEvent::End(FailedWith(read_error(fields)?)),
            kind::WELCOME => {
                if fields.u8("version")? != VERSION {
                    return Err(CallError { field: "version", problem: "is not that of the call" });
                }
                HostEvent::Welcome {
                    session: fields.octets("session")?,
                    traits: HostTraits::read(fields)?,
                }
            }
            _ => return Err(CallError { field: "kind", problem: "is of no message of a host" }),
        })
    }
}

impl<'a> DeliveredHead<'a> {
    fn read(fields: &mut FieldReader<'a>) -> Result<DeliveredHead<'a>, CallError> {
        Ok(DeliveredHead {
            tag: fields.u64("tag")?,
            redelivered: fields.flags(REDELIVERED)? != 0,
            exchange: fields.short_string("exchange")?,
            routing_key: fields.short_string("routing key")?,
            properties: fields.rest(),
        })
    }
}

impl HostTraits {
    fn read(fields: &mut FieldReader<'_>) -> Result<HostTraits, CallError> {
        // Bits of later versions are left out.
        let bits = fields.u16("capabilities")?;
        let mut capabilities = Capabilities::default();
        for (bit, capability) in capability_bits(&mut capabilities) {
            *capability = bits & bit != 0;
        }
        let millis = fields.u32("durable after")?;
        capabilities.queue_durable_after = Duration::from_millis(millis.into());
        Ok(HostTraits { capabilities, max_body: fields.u64("largest body")? })
    }
}

/// Returns the bit of each capability that is true or false.
fn capability_bits(capabilities: &mut Capabilities) -> [(u16, &mut bool); 7] {
    [
        (1, &mut capabilities.delayed_publish),
        (2, &mut capabilities.secret_updates),
        (4, &mut capabilities.waiting_queues),
        (8, &mut capabilities.quorum_queues),
        (16, &mut capabilities.default_delivery_limit),
        (32, &mut capabilities.delayed_retry),
        (64, &mut capabilities.direct_reply_to),
    ]
}

fn start(out: &mut Vec<u8>, kind: u8, channel: u32, number: u32) {
    put_start(out, MessageStart { kind, channel, number });
}

pub(crate) fn put_welcome(
    out: &mut Vec<u8>,
    call: u32,
    session: &SessionId,
    mut traits: HostTraits,
) {
    start(out, kind::WELCOME, 0, call);
    out.push(VERSION);
    out.extend_from_slice(session);
    let bits = capability_bits(&mut traits.capabilities);
    let bits = bits.iter().fold(0, |all, (bit, has)| if **has { all | bit } else { all });
    out.extend_from_slice(&u16::to_be_bytes(bits));
    let millis = traits.capabilities.queue_durable_after.as_millis();
    out.extend_from_slice(&u32::try_from(millis).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&traits.max_body.to_be_bytes());
}

/// Appends an answer without fields, or the start of one with fields.
pub(crate) fn put_done(out: &mut Vec<u8>, channel: u32, call: u32) {
    start(out, kind::DONE, channel, call);
}

/// Appends the fields of an answer about a queue.
pub(crate) fn put_queue_info(out: &mut Vec<u8>, info: &QueueInfo) {
    put_short(out, info.name.as_bytes());
    out.extend_from_slice(&info.message_count.to_be_bytes());
    out.extend_from_slice(&info.consumer_count.to_be_bytes());
}

pub(crate) fn read_queue_info(octets: &[u8]) -> Result<QueueInfo, CallError> {
    let mut fields = FieldReader::new(octets);
    let name = fields.text("queue")?;
    let info = QueueInfo::new(name, fields.u32("messages")?, fields.u32("consumers")?);
    fields.finish()?;
    Ok(info)
}

pub(crate) fn put_failed(out: &mut Vec<u8>, channel: u32, call: u32, error: &Error) {
    start(out, kind::FAILED, channel, call);
    put_error(out, error);
}

/// Appends a delivery without its properties, which are the rest of the message.
pub(crate) fn put_delivered(
    out: &mut Vec<u8>,
    start: MessageStart,
    tag: u64,
    redelivered: bool,
    exchange: &ShortString,
    routing_key: &ShortString,
) {
    put_start(out, start);
    out.extend_from_slice(&tag.to_be_bytes());
    out.push(if redelivered { REDELIVERED } else { 0 });
    put_short(out, exchange.as_bytes());
    put_short(out, routing_key.as_bytes());
}

pub(crate) fn put_confirmed(
    out: &mut Vec<u8>,
    channel: u32,
    first: u64,
    last: u64,
    outcome: &Outcome,
) {
    start(out, kind::CONFIRMED, channel, 0);
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&last.to_be_bytes());
    match outcome {
        Outcome::Accepted => out.push(0),
        Outcome::Returned { code, text } => {
            out.push(2);
            out.extend_from_slice(&code.to_be_bytes());
            put_short(out, text.as_bytes());
        }
        _ => out.push(1),
    }
}

pub(crate) fn put_cancelled(out: &mut Vec<u8>, channel: u32, consumer: u32) {
    start(out, kind::CANCELLED, channel, consumer);
}

pub(crate) fn put_channel_closed(out: &mut Vec<u8>, channel: u32, error: &Error) {
    start(out, kind::CHANNEL_CLOSED, channel, 0);
    put_error(out, error);
}

pub(crate) fn put_blocked(out: &mut Vec<u8>, reason: &str) {
    start(out, kind::BLOCKED, 0, 0);
    put_long(out, reason);
}

pub(crate) fn put_unblocked(out: &mut Vec<u8>) {
    start(out, kind::UNBLOCKED, 0, 0);
}

pub(crate) fn put_end(out: &mut Vec<u8>, error: &Error) {
    start(out, kind::END, 0, 0);
    put_error(out, error);
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test may fail by panicking"
    )]

    use super::*;

    fn read<'o>(octets: &'o mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> HostEvent<'o> {
        write(octets);
        let mut fields = FieldReader::new(octets);
        let start = fields.start().unwrap();
        HostEvent::read(start, fields).unwrap()
    }

    #[test]
    fn written_events_are_read_again() {
        let mut capabilities = Capabilities::default();
        capabilities.waiting_queues = true;
        capabilities.direct_reply_to = true;
        capabilities.queue_durable_after = Duration::from_millis(250);
        let traits = HostTraits { capabilities, max_body: 16 << 20 };
        assert_eq!(
            read(&mut Vec::new(), |out| put_welcome(out, 1, &[7; 16], traits)),
            HostEvent::Welcome { session: [7; 16], traits }
        );
        for outcome in [
            Outcome::Accepted,
            Outcome::Refused,
            Outcome::Returned { code: 312, text: "NO_ROUTE".into() },
        ] {
            assert_eq!(
                read(&mut Vec::new(), |out| put_confirmed(out, 1, 4, 9, &outcome)),
                HostEvent::Confirmed { first: 4, last: 9, outcome: outcome.clone() }
            );
        }
        let error = Error::closed("channel");
        assert_eq!(
            read(&mut Vec::new(), |out| put_failed(out, 1, 2, &error)),
            HostEvent::Failed(FailedWith(error.clone()))
        );
        assert_eq!(
            read(&mut Vec::new(), |out| put_end(out, &error)),
            HostEvent::End(FailedWith(error))
        );
        assert_eq!(
            read(&mut Vec::new(), |out| put_blocked(out, "low on memory")),
            HostEvent::Blocked { reason: "low on memory" }
        );
        assert_eq!(read(&mut Vec::new(), put_unblocked), HostEvent::Unblocked);
    }

    #[test]
    fn queue_info_is_read_again() {
        let info = QueueInfo::new("jobs", 7, 2);
        let mut octets = Vec::new();
        put_queue_info(&mut octets, &info);
        assert_eq!(read_queue_info(&octets).unwrap(), info);
        assert!(read_queue_info(&octets[1..]).is_err());
    }
}
