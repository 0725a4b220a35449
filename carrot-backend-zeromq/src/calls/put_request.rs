//! Writes the messages of a client.

use carrot_core::backend::{
    Acknowledgement, ConsumeOptions, DeleteIf, Rejection, Role, ShortString,
};
use carrot_core::{Binding, Exchange, Queue};

use crate::calls::entity::{put_binding, put_deletion, put_exchange, put_queue};
use crate::calls::fields::{MessageStart, put_long, put_short, put_start, put_table};
use crate::calls::request::{
    AUTOMATIC, EXCLUSIVE, FOR_PUBLISHING, MAGIC, MANDATORY, SessionId, SettleKind, TagRange,
    VERSION, WITH_CONFIRMS, kind,
};

fn start(out: &mut Vec<u8>, kind: u8, channel: u32, number: u32) {
    put_start(out, MessageStart { kind, channel, number });
}

pub(crate) fn put_hello(out: &mut Vec<u8>, call: u32, session: &SessionId, name: &str) {
    start(out, kind::HELLO, 0, call);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(session);
    put_short(out, name.as_bytes());
}

pub(crate) fn put_open(
    out: &mut Vec<u8>,
    channel: u32,
    call: u32,
    role: Role,
    confirms: bool,
    max_waiting: u64,
) {
    start(out, kind::OPEN, channel, call);
    let role = if role == Role::Publish { FOR_PUBLISHING } else { 0 };
    out.push(role | if confirms { WITH_CONFIRMS } else { 0 });
    out.extend_from_slice(&max_waiting.to_be_bytes());
}

/// Appends a call without fields.
pub(crate) fn put_bare(out: &mut Vec<u8>, kind: u8, channel: u32, call: u32) {
    start(out, kind, channel, call);
}

pub(crate) fn put_declare_exchange(
    out: &mut Vec<u8>,
    channel: u32,
    call: u32,
    exchange: &Exchange,
) {
    start(out, kind::DECLARE_EXCHANGE, channel, call);
    put_exchange(out, exchange);
}

pub(crate) fn put_declare_queue(out: &mut Vec<u8>, channel: u32, call: u32, queue: &Queue) {
    start(out, kind::DECLARE_QUEUE, channel, call);
    put_queue(out, queue);
}

/// Appends a call about a binding, of this kind.
pub(crate) fn put_of_binding(
    out: &mut Vec<u8>,
    kind: u8,
    channel: u32,
    call: u32,
    binding: &Binding,
) {
    start(out, kind, channel, call);
    put_binding(out, binding);
}

/// Appends the deletion of an exchange or a queue, of this kind.
pub(crate) fn put_delete(
    out: &mut Vec<u8>,
    kind: u8,
    channel: u32,
    call: u32,
    name: &str,
    condition: DeleteIf,
) {
    start(out, kind, channel, call);
    put_deletion(out, name, condition);
}

pub(crate) fn put_purge(out: &mut Vec<u8>, channel: u32, call: u32, queue: &str) {
    start(out, kind::PURGE, channel, call);
    put_short(out, queue.as_bytes());
}

/// Appends a publication without its properties, which are the rest of the message.
pub(crate) fn put_publish(
    out: &mut Vec<u8>,
    channel: u32,
    mandatory: bool,
    exchange: &ShortString,
    routing_key: &ShortString,
) {
    start(out, kind::PUBLISH, channel, 0);
    out.push(if mandatory { MANDATORY } else { 0 });
    put_short(out, exchange.as_bytes());
    put_short(out, routing_key.as_bytes());
}

pub(crate) fn put_get(
    out: &mut Vec<u8>,
    channel: u32,
    call: u32,
    queue: &str,
    acknowledgement: Acknowledgement,
) {
    start(out, kind::GET, channel, call);
    out.push(if acknowledgement == Acknowledgement::Automatic { AUTOMATIC } else { 0 });
    put_short(out, queue.as_bytes());
}

pub(crate) fn put_consume(
    out: &mut Vec<u8>,
    channel: u32,
    call: u32,
    consumer: u32,
    queue: &str,
    options: &ConsumeOptions,
) {
    start(out, kind::CONSUME, channel, call);
    out.extend_from_slice(&consumer.to_be_bytes());
    let automatic = options.acknowledgement == Acknowledgement::Automatic;
    out.push(if automatic { AUTOMATIC } else { 0 } | if options.exclusive { EXCLUSIVE } else { 0 });
    out.extend_from_slice(&options.prefetch.to_be_bytes());
    put_short(out, queue.as_bytes());
    put_table(out, &options.arguments);
}

pub(crate) fn put_cancel(out: &mut Vec<u8>, channel: u32, call: u32, consumer: u32) {
    start(out, kind::CANCEL, channel, call);
    out.extend_from_slice(&consumer.to_be_bytes());
}

pub(crate) fn put_settle(
    out: &mut Vec<u8>,
    channel: u32,
    settlement: SettleKind,
    ranges: &[TagRange],
) {
    start(out, kind::SETTLE, channel, 0);
    out.push(match settlement {
        SettleKind::Ack => 0,
        SettleKind::Reject(Rejection::Requeue) => 1,
        SettleKind::Reject(Rejection::RequeueFailed) => 2,
        SettleKind::Reject(Rejection::Discard) => 3,
    });
    put_ranges(out, ranges);
}

pub(crate) fn put_drop_consumer(out: &mut Vec<u8>, channel: u32, consumer: u32, seen: &[TagRange]) {
    start(out, kind::DROP_CONSUMER, channel, 0);
    out.extend_from_slice(&consumer.to_be_bytes());
    put_ranges(out, seen);
}

pub(crate) fn put_taken(out: &mut Vec<u8>, channel: u32, bytes: u64) {
    start(out, kind::TAKEN, channel, 0);
    out.extend_from_slice(&bytes.to_be_bytes());
}

pub(crate) fn put_update_secret(out: &mut Vec<u8>, call: u32, secret: &str, reason: &str) {
    start(out, kind::UPDATE_SECRET, 0, call);
    put_long(out, secret);
    put_short(out, reason.as_bytes());
}

fn put_ranges(out: &mut Vec<u8>, ranges: &[TagRange]) {
    for TagRange { first, last } in ranges {
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&last.to_be_bytes());
    }
}
