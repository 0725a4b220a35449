//! Random messages.

use carrot_amqp_wire::BasicPublish;

use super::methods::{EXCHANGES, QUEUES, name};
use super::tables;
use crate::wire::frames;
use crate::wire::program::FRAME_MAX;
use crate::wire::random::Random;

/// Returns all frames of a message.
pub(super) fn publication(random: &mut Random, channel: u16) -> Vec<u8> {
    parts(random, channel).concat()
}

/// Returns the frames of a message, at least two.
pub(super) fn parts(random: &mut Random, channel: u16) -> Vec<Vec<u8>> {
    let exchange = match random.percent(60) {
        true => "",
        false => name(random, EXCHANGES),
    };
    let publish = BasicPublish {
        exchange: exchange.into(),
        routing_key: name(random, QUEUES).into(),
        mandatory: random.percent(25),
        immediate: random.below(300) == 0,
    };
    let most = FRAME_MAX as usize - 8;
    let size = random.pick(&[0, 0, 1, 5, 5, 5, 100, most - 1, most, most + 1, 20_000]);
    let octets = random.octets(size);
    let cut = match random.below(4) {
        0 => random.pick(&[4, 100, 3000]),
        _ => most,
    };
    let mut parts = vec![
        frames::method(channel, publish),
        frames::header(channel, size as u64, &tables::properties(random)),
    ];
    for octets in octets.chunks(cut.max(size / 20)) {
        if random.percent(1) {
            parts.push(frames::body(channel, b""));
        }
        parts.push(frames::body(channel, octets));
    }
    parts
}
