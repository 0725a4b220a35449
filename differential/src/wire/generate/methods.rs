//! Random methods.

use carrot_amqp_wire::{
    AccessRequest, Arguments, BasicAck, BasicCancel, BasicConsume, BasicGet, BasicNack, BasicQos,
    BasicRecover, BasicRecoverAsync, BasicReject, ChannelFlow, ConfirmSelect, ExchangeBind,
    ExchangeDeclare, ExchangeDelete, ExchangeUnbind, Method, QueueBind, QueueDeclare, QueueDelete,
    QueuePurge, QueueUnbind, TableRef,
};

use super::tables;
use crate::wire::frames;
use crate::wire::random::Random;

/// The names of queues. The first ones are used most.
pub(crate) const QUEUES: &[&str] = &["q0", "q1", "q2", "q3", "", "amq.reserved", "nope"];
/// The names of exchanges.
pub(crate) const EXCHANGES: &[&str] = &[
    "x0",
    "x1",
    "x2",
    "amq.fanout",
    "amq.topic",
    "amq.direct",
    "amq.headers",
    "",
    "amq.nope",
    "nope",
];
/// The types of exchanges.
pub(super) const KINDS: &[&str] = &["fanout", "topic", "direct", "headers", "nope"];
const TAGS: &[&str] = &["t0", "t1", "t2", ""];
const KEYS: &[&str] = &["q0", "q1", "", "a.b", "#", "*.b"];

/// Returns one of the names, the first ones in most cases.
pub(super) fn name(random: &mut Random, names: &[&'static str]) -> &'static str {
    match random.percent(85) {
        true => random.pick(&names[..3]),
        false => random.pick(names),
    }
}

/// Returns a frame with a method.
pub(super) fn method(random: &mut Random, channel: u16) -> Vec<u8> {
    let table = arguments(random);
    let table = match TableRef::new(&table) {
        Ok(table) => Arguments::from(table),
        Err(_) => Arguments::default(),
    };
    let queue = name(random, QUEUES).into();
    let exchange = name(random, EXCHANGES).into();
    let routing_key = (random.pick(KEYS)).into();
    let no_wait = random.percent(15);
    let multiple = random.percent(30);
    let requeue = random.percent(60);
    let delivery_tag = match random.below(12) {
        0 => 0,
        1 => random.pick(&[99, u64::MAX, 1 << 63]),
        _ => 1 + random.below(5) as u64,
    };
    let method: Method<'_> = match random.below(64) {
        0..=8 => BasicGet { queue, no_ack: random.percent(35) }.into(),
        9..=15 => BasicConsume {
            queue,
            consumer_tag: (random.pick(TAGS)).into(),
            no_local: random.percent(10),
            no_ack: random.percent(35),
            exclusive: random.percent(10),
            no_wait,
            arguments: if random.percent(90) { Arguments::default() } else { table },
        }
        .into(),
        16..=18 => BasicCancel { consumer_tag: (random.pick(TAGS)).into(), no_wait }.into(),
        19..=25 => BasicAck { delivery_tag, multiple }.into(),
        26..=29 => BasicNack { delivery_tag, multiple, requeue }.into(),
        30..=33 => BasicReject { delivery_tag, requeue }.into(),
        34 => BasicRecoverAsync { requeue: random.percent(95) }.into(),
        35..=36 => BasicRecover { requeue: random.percent(95) }.into(),
        37..=39 => BasicQos {
            prefetch_size: 0,
            prefetch_count: random.pick(&[0, 1, 2, 3]),
            global: random.percent(40),
        }
        .into(),
        40..=43 => QueueDeclare {
            queue,
            passive: random.percent(40),
            durable: random.percent(60),
            exclusive: random.percent(15),
            auto_delete: random.percent(10),
            no_wait,
            arguments: table,
        }
        .into(),
        44 => QueueDelete {
            queue,
            if_unused: random.percent(30),
            if_empty: random.percent(30),
            no_wait,
        }
        .into(),
        45..=46 => QueuePurge { queue, no_wait }.into(),
        47..=48 => QueueBind { queue, exchange, routing_key, no_wait, arguments: table }.into(),
        49 => QueueUnbind { queue, exchange, routing_key, arguments: table }.into(),
        50..=51 => ExchangeDeclare {
            exchange,
            kind: (random.pick(KINDS)).into(),
            passive: random.percent(30),
            durable: random.percent(70),
            auto_delete: random.percent(15),
            internal: random.percent(15),
            no_wait,
            arguments: if random.percent(80) { Arguments::default() } else { table },
        }
        .into(),
        52 => ExchangeDelete { exchange, if_unused: random.percent(40), no_wait }.into(),
        53 | 54 => {
            let source = name(random, EXCHANGES).into();
            let destination = exchange;
            match random.percent(70) {
                true => {
                    ExchangeBind { destination, source, routing_key, no_wait, arguments: table }
                        .into()
                }
                false => {
                    ExchangeUnbind { destination, source, routing_key, no_wait, arguments: table }
                        .into()
                }
            }
        }
        55..=56 => ConfirmSelect { no_wait }.into(),
        57 => Method::TxSelect,
        58..=60 => Method::TxCommit,
        61..=62 => Method::TxRollback,
        _ => match random.percent(50) {
            true => ChannelFlow { active: true }.into(),
            false => AccessRequest::default().into(),
        },
    };
    frames::method(channel, method)
}

/// Returns the arguments of a declaration or a binding: none in most cases.
fn arguments(random: &mut Random) -> Vec<u8> {
    if random.percent(80) {
        return Vec::new();
    }
    let number = |number: i32| [b"I", &number.to_be_bytes()[..]].concat();
    let text = |text: &str| [b"S", &tables::long(text.as_bytes())[..]].concat();
    let (name, value) = match random.below(12) {
        0 => ("x-max-length", number(2)),
        1 => ("x-max-length", number(-1)),
        2 => ("x-max-length", text("2")),
        3 => ("x-message-ttl", text("x")),
        4 => ("x-expires", number(0)),
        5 => ("x-max-priority", number(3)),
        6 => ("x-queue-type", text("nope")),
        7 => ("x-queue-type", text("classic")),
        8 => ("x-match", text("any")),
        9 => ("x-priority", number(2)),
        10 => ("x-overflow", text("reject-publish")),
        _ => return tables::table(random, 2),
    };
    tables::entry(name.as_bytes(), &value)
}

/// Returns a method of which an octet was changed, removed or added.
pub(super) fn damaged(random: &mut Random, channel: u16) -> Vec<u8> {
    const HEAD: usize = 7;
    let octets = method(random, channel);
    let mut payload = octets[HEAD..octets.len() - 1].to_vec();
    let at = random.below(payload.len());
    match random.below(4) {
        0 => payload[at] ^= 1 << random.below(8),
        1 => payload.truncate(at),
        2 => payload.insert(at, 0),
        _ => payload.push(7),
    }
    frames::frame(1, channel, &payload)
}
