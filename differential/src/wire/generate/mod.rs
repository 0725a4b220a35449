//! Generates random programs of raw frames.
//!
//! Every frame is drawn from small pools of names, tags and arguments, and depends on no earlier
//! frame. Every part of a program is therefore a program.

mod content;
mod handshake;
mod malformed;
mod methods;
mod tables;

use carrot_amqp_wire::{
    BasicGet, BasicPublish, ChannelClose, ChannelOpen, ConnectionClose, ExchangeDeclare, HEARTBEAT,
    Method, QueueBind, QueueDeclare,
};

pub use self::malformed::MALFORMED;
use self::methods::KINDS;
pub(crate) use self::methods::{EXCHANGES, QUEUES};
use crate::wire::frames;
use crate::wire::program::{WireProgram, WireStep};
use crate::wire::random::Random;

/// Returns the program of a number in the series of a seed.
pub fn program(seed: u64, number: u64) -> WireProgram {
    let mut random = Random::new(seed, number);
    if random.percent(4) {
        return handshake::program(&mut random);
    }
    let mut steps = Vec::new();
    for (connection, channel) in [(0, 1), (0, 2), (1, 1)] {
        if connection == 0 || random.percent(60) {
            steps.push(WireStep::new(
                connection,
                0,
                frames::method(channel, ChannelOpen::default()),
            ));
        }
    }
    for queue in &QUEUES[..3] {
        if random.percent(90) {
            let durable = random.percent(70);
            let declare = QueueDeclare { queue: (*queue).into(), durable, ..<_>::default() };
            steps.push(WireStep::new(0, 1, frames::method(1, declare)));
        }
    }
    for (exchange, kind) in EXCHANGES.iter().zip(KINDS).take(2) {
        if random.percent(60) {
            let declare = ExchangeDeclare {
                exchange: (*exchange).into(),
                kind: (*kind).into(),
                durable: true,
                ..<_>::default()
            };
            let queue = random.pick(&QUEUES[..3]);
            let bind =
                QueueBind { queue: queue.into(), exchange: (*exchange).into(), ..<_>::default() };
            let octets = [frames::method(1, declare), frames::method(1, bind)].concat();
            steps.push(WireStep::new(0, 1, octets));
        }
    }
    for _ in 0..10 + random.below(35) {
        steps.extend(random_steps(&mut random));
    }
    WireProgram { from_start: false, steps }
}

/// Returns a program that sends malformed frames to an open channel, and then fetches a message.
pub fn malformed_program(octets: fn(u16) -> Vec<u8>) -> WireProgram {
    let declare = QueueDeclare { queue: "q0".into(), durable: true, ..<_>::default() };
    let get = BasicGet { queue: "q0".into(), no_ack: true };
    let steps = vec![
        WireStep::new(0, 0, frames::method(1, ChannelOpen::default())),
        WireStep::new(0, 1, frames::method(1, declare)),
        WireStep::new(0, 0, octets(1)),
        WireStep::new(0, 1, frames::method(1, get)),
    ];
    WireProgram { from_start: false, steps }
}

/// Returns the frames of one operation. Some operations take several steps.
fn random_steps(random: &mut Random) -> Vec<WireStep> {
    let connection = u8::from(random.percent(15));
    let channel = match random.below(20) {
        0..=12 => 1,
        13..=18 => 2 - u16::from(connection),
        _ => 3,
    };
    let one = |octets| vec![WireStep::new(connection, channel, octets)];
    match random.below(100) {
        0..=24 => {
            let mut octets = content::publication(random, channel);
            while random.percent(20) {
                octets.extend(content::publication(random, channel));
            }
            one(octets)
        }
        25..=84 => {
            let mut octets = methods::method(random, channel);
            while random.percent(12) {
                octets.extend(methods::method(random, channel));
            }
            one(octets)
        }
        85..=87 => {
            let other = methods::method(random, 3 - channel.min(2));
            let mut parts = content::parts(random, channel);
            let after = random.below(parts.len());
            let (last, mut steps) = (parts.split_off(after).concat(), Vec::new());
            steps.push(WireStep::new(connection, 0, parts.concat()));
            steps.push(WireStep::new(connection, 3 - channel.min(2), other));
            steps.push(WireStep::new(connection, channel, last));
            steps
        }
        88..=91 => {
            let close = frames::method(channel, ChannelClose::default());
            let open = frames::method(channel, ChannelOpen::default());
            match random.below(4) {
                0 => vec![WireStep::new(connection, 0, close)],
                1 => one(open),
                _ => vec![
                    WireStep::new(connection, 0, close),
                    WireStep::new(connection, channel, open),
                ],
            }
        }
        92 => one(frames::method(channel, Method::ChannelCloseOk)),
        93 => one(HEARTBEAT.to_vec()),
        94 => vec![WireStep::new(connection, 0, content_out_of_place(random, channel))],
        95 => {
            let close = ConnectionClose { reply_code: 200, ..<_>::default() };
            match random.percent(30) {
                true => vec![WireStep::new(connection, 0, frames::method(0, close))],
                false => Vec::new(),
            }
        }
        96..=97 => {
            let (_, malformed) = random.pick(MALFORMED);
            vec![WireStep::new(connection, 0, malformed(channel))]
        }
        _ => vec![WireStep::new(connection, 0, methods::damaged(random, channel))],
    }
}

/// Returns frames of a message, of which one is missing, repeated, or of another channel.
fn content_out_of_place(random: &mut Random, channel: u16) -> Vec<u8> {
    let mut parts = content::parts(random, channel);
    let at = random.below(parts.len());
    match random.below(4) {
        0 => drop(parts.remove(at)),
        1 => parts.insert(at, parts[at].clone()),
        2 => parts.insert(at, frames::method(channel, BasicPublish::default())),
        _ => parts.swap(0, at),
    }
    parts.concat()
}
