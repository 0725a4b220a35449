//! The scripts of the peers.

use std::thread;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    Arguments, BasicAck, BasicCancel, BasicReturn, ChannelFlow, ConnectionBlocked, ConnectionClose,
    ConnectionTune, HEARTBEAT, Method, PropertiesRef,
};

use super::WITHIN;
use super::program::{LAST, PREFETCH};
use crate::FRAME_MAX;
use crate::client::{content, deliver, message, raw_content, raw_frame};
use crate::peer::{Peer, Scripted, frame, start, tune};

/// The octets of a flood: several times what a client may pay.
const FLOOD: usize = 192 << 20;
/// The frames of a flood.
const FRAMES_OF_FLOOD: usize = 500_000;
/// The number of connections that the broker closes while channels open.
const ROUNDS: u64 = 300;
/// The messages of the tests of waiting messages.
const LARGE: u64 = 1_000;

/// Scripts, each with its name, and with a part of what the client reports in the end.
pub(super) type Scripts<F, const N: usize> = [(&'static str, &'static str, F); N];

/// Serves a client up to its consumer, whose tag it returns.
pub(super) fn consuming(scripted: &Scripted) -> (Peer, String) {
    let mut peer = scripted.accept_open();
    peer.open_channel(false);
    let tag = peer.start_consumer();
    (peer, tag)
}

/// Answers the end of a client.
pub(super) fn see_off(peer: &mut Peer) {
    while let Some((channel, payload)) = peer.next_method() {
        match Method::read(&payload).unwrap() {
            Method::ChannelClose(_) => peer.send(channel, &Method::ChannelCloseOk),
            Method::ConnectionClose(_) => peer.send(0, &Method::ConnectionCloseOk),
            _ => {}
        }
    }
}

pub(super) fn deliver_well(peer: &mut Peer, tag: &str) {
    for number in 1..500 {
        peer.send_octets(&message(tag, number, &[7; 10_000]));
    }
    end_well(peer, tag, 500);
}

/// Delivers the last message, and answers the end of the client.
fn end_well(peer: &mut Peer, tag: &str, number: u64) {
    if peer.try_send_octets(&message(tag, number, LAST)).is_ok() {
        see_off(peer);
    }
}

fn flood(peer: &mut Peer, octets: &[u8]) {
    peer.flood(octets, (FLOOD / octets.len()).min(FRAMES_OF_FLOOD));
}

/// Asks until the client gives up. How many of its answers the sockets hold before that depends on
/// the machine.
fn flood_until_cut(peer: &mut Peer, octets: &[u8]) {
    peer.flood_until_cut(octets, Instant::now() + WITHIN);
}

/// Handshakes that go wrong, after that of TLS.
pub(super) const HANDSHAKES: Scripts<fn(&mut Peer), 9> = [
    ("a first frame of 2^32-1 octets", "exceeds frame_max", |peer| {
        let _ = peer.try_send_octets(&[1, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        flood(peer, &[0; 1 << 16]);
    }),
    ("a first frame of 600 MB", "exceeds frame_max", |peer| {
        let size = 600_000_000_u32.to_be_bytes();
        let _ = peer.try_send_octets(&[&[1, 0, 0][..], &size].concat());
        flood(peer, &[0; 1 << 16]);
    }),
    ("endless connection.start", "sent connection.start during the handshake", |peer| {
        let properties = [&b"\x01aS"[..], &120_000_u32.to_be_bytes(), &[b'x'; 120_000]].concat();
        let properties = carrot_amqp_wire::TableRef::new(&properties).unwrap();
        flood(peer, &frame(0, &start(Arguments::Wire(properties))));
    }),
    (
        "server properties longer than their frame",
        "ends within the field server_properties",
        |peer| {
            let table = [&[0, 10, 0, 10, 0, 9][..], &[0xff; 4], b"\x01at\x01"].concat();
            let _ = peer.try_send_octets(&raw_frame(1, 0, &table));
            see_off(peer);
        },
    ),
    ("server properties 10,000 deep", "more than 128 levels", |peer| {
        let table = nested(10_000);
        let size = (table.len() as u32).to_be_bytes();
        let payload = [&[0, 10, 0, 10, 0, 9][..], &size, &table, b"\0\0\0\x05PLAIN\0\0\0\0"];
        let _ = peer.try_send_octets(&raw_frame(1, 0, &payload.concat()));
        see_off(peer);
    }),
    ("endless octets without a frame", "does not speak AMQP", |peer| flood(peer, &[0xff; 1 << 16])),
    ("endless heartbeats before connection.start", "does not speak AMQP", |peer| {
        flood(peer, &HEARTBEAT)
    }),
    ("frame_max of 2^32-1", "exceeds frame_max, which is 131072", |peer| {
        tuned(peer, ConnectionTune { channel_max: 0, frame_max: u32::MAX, heartbeat: 0 });
    }),
    ("frame_max of 4096, and larger frames", "exceeds frame_max, which is 4096", |peer| {
        peer.greet();
        peer.receive("connection.start-ok", |_| ());
        peer.tune(ConnectionTune { channel_max: 1, frame_max: 4096, heartbeat: 0 });
        peer.open_channel(false);
        let tag = peer.start_consumer();
        flood(peer, &message(&tag, 1, &[7; 100_000]));
    }),
];

fn tuned(peer: &mut Peer, tune: ConnectionTune) {
    peer.greet();
    peer.receive("connection.start-ok", |_| ());
    peer.tune(tune);
    peer.open_channel(false);
    let tag = peer.start_consumer();
    let _ = peer.try_send_octets(&[3, 0, 1, 0xff, 0xff, 0xff, 0xff]);
    flood(peer, &message(&tag, 1, &[7; 100_000]));
}

/// Returns a table with this number of tables in it.
fn nested(depth: usize) -> Vec<u8> {
    let mut table = Vec::new();
    for _ in 0..depth {
        let size = table.len() as u32;
        table = [&b"\x01aF"[..], &size.to_be_bytes(), &table].concat();
    }
    table
}

/// Frames that are malformed, or lie about their size.
pub(super) const FRAMES: Scripts<fn(&mut Peer, &str), 8> = [
    ("a frame of 2^32-1 octets", "exceeds frame_max", |peer, _| {
        let _ = peer.try_send_octets(&[3, 0, 1, 0xff, 0xff, 0xff, 0xff]);
        flood(peer, &[0; 1 << 16]);
    }),
    ("a frame over frame_max", "a frame of 131080 bytes exceeds frame_max", |peer, _| {
        let frame = raw_frame(2, 1, &[0; FRAME_MAX as usize]);
        flood(peer, &frame);
    }),
    ("a wrong end octet", "ends with the octet 0xcd", |peer, tag| {
        let mut octets = message(tag, 1, &[7; 1_000]);
        *octets.last_mut().unwrap() = 0xcd;
        flood(peer, &octets);
    }),
    ("a body of 2^63 octets", "a body of 9223372036854775808 bytes", |peer, tag| {
        let _ = peer.try_send_octets(&raw_content(&deliver(tag, 1), &[0, 0], 1 << 63));
        flood(peer, &raw_frame(3, 1, &[7; 100_000]));
    }),
    ("a body larger than announced", "a body larger than its content header says", |peer, tag| {
        let _ = peer.try_send_octets(&raw_content(&deliver(tag, 1), &[0, 0], 10));
        flood(peer, &raw_frame(3, 1, &[7; 100_000]));
    }),
    ("headers 10,000 deep", "received 2, then the last", |peer, tag| {
        let table = nested(10_000);
        let list = [&[0x20, 0][..], &(table.len() as u32).to_be_bytes(), &table].concat();
        let _ = peer.try_send_octets(&raw_content(&deliver(tag, 1), &list, 0));
        end_well(peer, tag, 2);
    }),
    ("headers longer than their frame", "received 501, then the last", |peer, tag| {
        let list = [&[0x20, 0][..], &[0xff; 4], b"\x01at\x01"].concat();
        for number in 1..=500 {
            let _ = peer.try_send_octets(&raw_content(&deliver(tag, number), &list, 0));
        }
        end_well(peer, tag, 501);
    }),
    (
        "a short string longer than its frame",
        "basic.deliver ends within the field consumer_tag",
        |peer, _| {
            flood(peer, &raw_frame(1, 1, b"\0\x3c\0\x3c\xffcarrot"));
        },
    ),
];

/// Frames that the protocol allows, in a number that it does not intend.
pub(super) const FLOODS: Scripts<fn(&mut Peer, &str), 8> = [
    ("endless heartbeats", "received 1, then the last", |peer, tag| {
        flood(peer, &HEARTBEAT);
        end_well(peer, tag, 1);
    }),
    ("endless alarms", "received 1, then the last", |peer, tag| {
        let reasons = [[b'a'; 255], [b'b'; 255]];
        let alarms = reasons.map(|reason| {
            let reason = std::str::from_utf8(&reason).unwrap();
            frame(0, &ConnectionBlocked { reason: reason.into() }.into())
        });
        peer.flood(&alarms.concat(), 20_000);
        end_well(peer, tag, 1);
    }),
    ("endless connection.close", "the broker closed the connection: 320", |peer, _| {
        let close = ConnectionClose { reply_code: 320, ..ConnectionClose::default() };
        flood(peer, &frame(0, &close.into()));
    }),
    (
        "endless channel.flow without reading the answers",
        "the broker reads no answers",
        |peer, _| {
            flood_until_cut(peer, &frame(1, &ChannelFlow { active: true }.into()));
        },
    ),
    (
        "endless basic.cancel without reading the answers",
        "the broker reads no answers",
        |peer, _| {
            let tag = "t".repeat(255);
            flood_until_cut(
                peer,
                &frame(1, &BasicCancel { consumer_tag: (&tag).into(), no_wait: false }.into()),
            );
        },
    ),
    (
        "endless frames of a channel that was never opened",
        "received 1, then the last",
        |peer, tag| {
            let mut octets = message(tag, 1, &[7; 60_000]);
            // The channel of each of the three frames.
            let mut at = 0;
            while at < octets.len() {
                octets[at + 1..at + 3].copy_from_slice(&[0x77, 0x77]);
                let size = u32::from_be_bytes(octets[at + 3..at + 7].try_into().unwrap());
                at += size as usize + 8;
            }
            flood(peer, &octets);
            end_well(peer, tag, 1);
        },
    ),
    (
        "a body without an end on a channel that was never opened",
        "received 1, then the last",
        |peer, tag| {
            peer.flood(&raw_frame(3, 0x7777, &[7; 100_000]), 2_000);
            end_well(peer, tag, 1);
        },
    ),
    ("endless channel.close", "NotFound", |peer, _| {
        let close = carrot_amqp_wire::ChannelClose { reply_code: 404, ..Default::default() };
        flood(peer, &frame(1, &close.into()));
    }),
];

/// Deliveries that no consumer asked for.
pub(super) const DELIVERIES: Scripts<fn(&mut Peer, &str), 2> = [
    ("deliveries of an unknown consumer", "received 1, then the last", |peer, tag| {
        flood(peer, &message("unknown", 1, &[7; 60_000]));
        end_well(peer, tag, 1);
    }),
    ("a delivery of 200 MB of an unknown consumer", "received 1, then the last", |peer, tag| {
        let size = 2_000 * 100_000;
        let _ = peer.try_send_octets(&raw_content(&deliver("unknown", 1), &[0, 0], size));
        peer.flood(&raw_frame(3, 1, &[7; 100_000]), 2_000);
        end_well(peer, tag, 1);
    }),
];

/// Delivers while the consumer has not acknowledged anything.
pub(super) fn flood_deliveries(peer: &mut Peer, tag: &str, size: usize) {
    for number in 1..=(FLOOD / size).min(FRAMES_OF_FLOOD) {
        if peer.try_send_octets(&message(tag, number as u64, &vec![7; size])).is_err() {
            return;
        }
    }
}

/// Answers to publications that were not made, or were answered.
pub(super) const ANSWERS: Scripts<fn(&mut Peer), 3> = [
    ("100,000 returns", "accepted 100, then None", |peer| {
        let returned = BasicReturn {
            reply_code: 312,
            reply_text: "NO_ROUTE".into(),
            routing_key: "q".into(),
            ..BasicReturn::default()
        };
        let octets = content(&returned.into(), &PropertiesRef::default(), &[9; 500]);
        peer.flood(&octets, 100_000);
        accept_all(peer);
    }),
    ("1,000,000 confirms of unknown tags", "accepted 100, then None", |peer| {
        let mut octets = Vec::new();
        for tag in 1_000_000..1_000_500_u64 {
            octets.extend(frame(1, &BasicAck { delivery_tag: tag, multiple: false }.into()));
        }
        peer.flood(&octets, 2_000);
        accept_all(peer);
    }),
    ("1,000,000 confirms of tags with gaps", "accepted 100, then None", |peer| {
        let mut octets = Vec::new();
        for tag in (2..1_000_u64).step_by(2) {
            octets.extend(frame(1, &BasicAck { delivery_tag: tag, multiple: false }.into()));
        }
        peer.flood(&octets, 2_000);
        accept_all(peer);
    }),
];

fn accept_all(peer: &mut Peer) {
    let all = BasicAck { delivery_tag: 0, multiple: true };
    if peer.try_send_octets(&frame(1, &all.into())).is_ok() {
        see_off(peer);
    }
}

/// Delivers messages with large bodies.
pub(super) fn large_bodies(peer: &mut Peer, tag: &str) {
    deliver_large(peer, tag, |tag, number| message(tag, number, &[7; 130_000]))
}

/// Delivers messages with headers of the same size, in as many fields as possible.
pub(super) fn tiny_fields(peer: &mut Peer, tag: &str) {
    let mut table = Vec::new();
    for field in 0..32_500_u16 {
        table.extend([&[2][..], &field.to_be_bytes(), b"V"].concat());
    }
    let list = [&[0x20, 0][..], &(table.len() as u32).to_be_bytes(), &table].concat();
    deliver_large(peer, tag, |tag, number| raw_content(&deliver(tag, number), &list, 0))
}

fn deliver_large(peer: &mut Peer, tag: &str, octets: impl Fn(&str, u64) -> Vec<u8>) {
    assert!(LARGE <= PREFETCH.into());
    for number in 1..=LARGE {
        peer.send_octets(&octets(tag, number));
    }
    // The client answers when it has read all of them.
    peer.send(1, &ChannelFlow { active: true }.into());
    peer.receive("channel.flow-ok", |_| ());
}

/// Serves connections, and closes each of them after a few channels.
pub(super) fn close_while_channels_open(scripted: &Scripted) {
    thread::scope(|scope| {
        for round in 0..ROUNDS {
            let mut peer = scripted.accept_with(tune(0, 0));
            scope.spawn(move || {
                for _ in 0..round % 8 {
                    if answer(&mut peer).is_none() {
                        return;
                    }
                }
                let close = ConnectionClose { reply_code: 320, ..ConnectionClose::default() };
                thread::sleep(Duration::from_micros(round % 5 * 50));
                if peer.try_send_octets(&frame(0, &close.into())).is_ok() {
                    peer.receive_close_ok();
                }
            });
        }
    });
}

/// Answers a call of the client.
fn answer(peer: &mut Peer) -> Option<()> {
    let (channel, payload) = peer.next_method()?;
    let answer: Method<'_> = match Method::read(&payload).unwrap() {
        Method::ChannelOpen(_) => carrot_amqp_wire::ChannelOpenOk {}.into(),
        Method::ConfirmSelect(_) => Method::ConfirmSelectOk,
        Method::BasicQos(_) => Method::BasicQosOk,
        Method::BasicConsume(consume) => {
            carrot_amqp_wire::BasicConsumeOk { consumer_tag: consume.consumer_tag }.into()
        }
        Method::ChannelClose(_) => Method::ChannelCloseOk,
        _ => return Some(()),
    };
    peer.try_send_octets(&frame(channel, &answer)).ok()
}
