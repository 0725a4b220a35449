//! Exchanges, queues and bindings in messages.

use carrot_core::backend::DeleteIf;
use carrot_core::{Binding, Destination, Exchange, ExchangeKind, Queue};

use crate::calls::fields::{CallError, FieldReader, put_short, put_table};

const PASSIVE: u8 = 1;
const DURABLE: u8 = 2;
const AUTO_DELETE: u8 = 4;
const INTERNAL: u8 = 8;
const EXCLUSIVE: u8 = 8;
const IF_UNUSED: u8 = 1;
const IF_EMPTY: u8 = 2;
const TO_EXCHANGE: u8 = 1;

/// Returns the bits whose condition holds.
fn bits(conditions: &[(u8, bool)]) -> u8 {
    conditions.iter().fold(0, |bits, (bit, holds)| if *holds { bits | bit } else { bits })
}

pub(crate) fn put_exchange(out: &mut Vec<u8>, exchange: &Exchange) {
    out.push(bits(&[
        (PASSIVE, exchange.passive),
        (DURABLE, exchange.durable),
        (AUTO_DELETE, exchange.auto_delete),
        (INTERNAL, exchange.internal),
    ]));
    put_short(out, exchange.name.as_bytes());
    put_short(out, exchange.kind.as_str().as_bytes());
    put_table(out, &exchange.arguments);
}

pub(crate) fn read_exchange(fields: &mut FieldReader<'_>) -> Result<Exchange, CallError> {
    let flags = fields.flags(PASSIVE | DURABLE | AUTO_DELETE | INTERNAL)?;
    let name = fields.text("exchange")?;
    let mut exchange = Exchange::new(name, ExchangeKind::from(fields.text("exchange type")?));
    exchange.passive = flags & PASSIVE != 0;
    exchange.durable = flags & DURABLE != 0;
    exchange.auto_delete = flags & AUTO_DELETE != 0;
    exchange.internal = flags & INTERNAL != 0;
    exchange.arguments = fields.table("exchange arguments")?;
    Ok(exchange)
}

pub(crate) fn put_queue(out: &mut Vec<u8>, queue: &Queue) {
    out.push(bits(&[
        (PASSIVE, queue.passive),
        (DURABLE, queue.durable),
        (AUTO_DELETE, queue.auto_delete),
        (EXCLUSIVE, queue.exclusive),
    ]));
    put_short(out, queue.name.as_bytes());
    put_table(out, &queue.arguments);
}

pub(crate) fn read_queue(fields: &mut FieldReader<'_>) -> Result<Queue, CallError> {
    let flags = fields.flags(PASSIVE | DURABLE | AUTO_DELETE | EXCLUSIVE)?;
    let mut queue = Queue::new(fields.text("queue")?);
    queue.passive = flags & PASSIVE != 0;
    queue.durable = flags & DURABLE != 0;
    queue.auto_delete = flags & AUTO_DELETE != 0;
    queue.exclusive = flags & EXCLUSIVE != 0;
    queue.arguments = fields.table("queue arguments")?;
    Ok(queue)
}

pub(crate) fn put_binding(out: &mut Vec<u8>, binding: &Binding) {
    let (flags, destination) = match &binding.destination {
        Destination::Queue(name) => (0, name),
        Destination::Exchange(name) => (TO_EXCHANGE, name),
    };
    out.push(flags);
    put_short(out, binding.source.as_bytes());
    put_short(out, destination.as_bytes());
    put_short(out, binding.routing_key.as_bytes());
    put_table(out, &binding.arguments);
}

pub(crate) fn read_binding(fields: &mut FieldReader<'_>) -> Result<Binding, CallError> {
    let flags = fields.flags(TO_EXCHANGE)?;
    let source = fields.text("exchange")?;
    let destination = fields.text("destination")?;
    let routing_key = fields.text("routing key")?;
    let mut binding = match flags {
        0 => Binding::queue(source, destination, routing_key),
        _ => Binding::exchange(source, destination, routing_key),
    };
    binding.arguments = fields.table("binding arguments")?;
    Ok(binding)
}

pub(crate) fn put_deletion(out: &mut Vec<u8>, name: &str, condition: DeleteIf) {
    out.push(bits(&[(IF_UNUSED, condition.if_unused), (IF_EMPTY, condition.if_empty)]));
    put_short(out, name.as_bytes());
}

pub(crate) fn read_deletion<'a>(
    fields: &mut FieldReader<'a>,
    field: &'static str,
) -> Result<(&'a str, DeleteIf), CallError> {
    let condition = match fields.flags(IF_UNUSED | IF_EMPTY)? {
        0 => DeleteIf::ALWAYS,
        IF_UNUSED => DeleteIf::UNUSED,
        IF_EMPTY => DeleteIf::EMPTY,
        _ => DeleteIf::UNUSED_AND_EMPTY,
    };
    Ok((fields.text(field)?, condition))
}
