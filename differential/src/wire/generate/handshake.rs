//! Random handshakes.

use carrot_amqp_wire::{
    ChannelOpen, ConnectionClose, ConnectionOpen, ConnectionTuneOk, HEARTBEAT, Method, QueueDeclare,
};

use super::malformed::MALFORMED;
use crate::wire::frames;
use crate::wire::program::{WireProgram, WireStep};
use crate::wire::random::Random;
use crate::wire::socket::start_ok;

/// Returns a handshake, in which some frames are wrong, missing or out of order.
pub(super) fn program(random: &mut Random) -> WireProgram {
    let open = |vhost: &str| frames::method(0, ConnectionOpen { virtual_host: vhost.into() });
    let mut parts = vec![protocol(random), credentials(random), tune(random)];
    parts.push(open(random.pick(&["/", "/", "/", "/", "nope", ""])));
    parts.push(frames::method(1, ChannelOpen::default()));
    if random.percent(50) {
        let at = 1 + random.below(4);
        let other = match random.below(9) {
            0 => frames::method(0, ConnectionClose { reply_code: 200, ..<_>::default() }),
            1 => HEARTBEAT.to_vec(),
            2 => frames::method(1, QueueDeclare::default()),
            3 => frames::method(0, QueueDeclare::default()),
            4 => frames::body(1, b"x"),
            5 => frames::method(0, Method::ConnectionCloseOk),
            6 => frames::header(0, 0, &[0, 0]),
            7 => random.pick(MALFORMED).1(0),
            _ => parts[random.below(4)].clone(),
        };
        match random.percent(60) {
            true => parts.insert(at, other),
            false => parts[at] = other,
        }
    }
    let steps = parts.into_iter().map(|octets| WireStep::new(0, 0, octets)).collect();
    WireProgram { from_start: true, steps }
}

fn protocol(random: &mut Random) -> Vec<u8> {
    let headers: [&[u8]; 5] = [
        b"AMQP\0\0\x09\x01",
        b"AMQP\x01\x01\0\x09",
        b"AMQP\0\0\x09\0",
        b"AMQP\x09\x09\x09\x09",
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    headers[if random.percent(85) { 0 } else { random.below(5) }].to_vec()
}

fn credentials(random: &mut Random) -> Vec<u8> {
    let amqplain = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest";
    match random.below(12) {
        0 => start_ok("PLAIN", b"\0guest\0wrong"),
        1 => start_ok("PLAIN", b"guest"),
        2 => start_ok("NOPE", b""),
        3 => start_ok("AMQPLAIN", b"\x05LOGINS\0\0\0\x05guest"),
        4 => start_ok("PLAIN", b"other\0guest\0guest"),
        5..=6 => start_ok("AMQPLAIN", amqplain),
        _ => start_ok("PLAIN", b"\0guest\0guest"),
    }
}

fn tune(random: &mut Random) -> Vec<u8> {
    let (channel_max, frame_max, heartbeat) = match random.below(12) {
        0 => (0, 8192, 0),
        1 => (2048, 8192, 0),
        2 => (8, 0, 0),
        3 => (8, 131_073, 0),
        4 => (8, 4095, 0),
        5 => (8, 4096, 0),
        6 => (8, 8191, 0),
        7 => (0, 0, 60),
        _ => (8, 131_072, 600),
    };
    frames::method(0, ConnectionTuneOk { channel_max, frame_max, heartbeat })
}
