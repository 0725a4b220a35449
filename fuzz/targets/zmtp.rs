//! Reads any octets as those of a peer, on either side: the greeting, the handshake, frames and
//! commands. Octets in cuts are understood as those in one piece, and take little memory.
#![no_main]

use carrot_backend_zeromq::fuzzing::{ZmtpRole, ZmtpTranscript, zmtp_transcript};
use libfuzzer_sys::fuzz_target;

/// The greeting and the handshake of a peer for each role.
const STARTS: [(ZmtpRole, &[u8]); 3] = [
    (ZmtpRole::Host, b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"),
    (ZmtpRole::HostWithUsers, b"\x04\x0f\x05HELLO\x03ann\x04hush\x04\x1f\x08INITIATE\x0bSocket-Type\0\0\0\x06DEALER"),
    (ZmtpRole::Client, b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER"),
];

fuzz_target!(|data: &[u8]| {
    let [choice, count, rest @ ..] = data else { return };
    let (role, commands) = STARTS[usize::from(choice & 3) % STARTS.len()];
    let (cuts, octets) = rest.split_at(rest.len().min(usize::from(*count)));
    let mut all = Vec::new();
    if choice & 4 != 0 {
        all.extend_from_slice(b"\xff\0\0\0\0\0\0\0\0\x7f\x03\x01");
        all.extend_from_slice(if role == ZmtpRole::HostWithUsers { b"PLAIN" } else { b"NULL\0" });
        all.resize(64, 0);
    }
    if choice & 12 == 12 {
        all.extend_from_slice(commands);
    }
    all.extend_from_slice(octets);

    let whole = zmtp_transcript(role, [&all[..]]);
    assert!(choice & 12 != 12 || whole.is_open, "{whole:?}");
    let parts = zmtp_transcript(role, parts(&all, cuts));
    assert!(parts.most_unfinished <= 2 * all.len(), "{parts:?}");
    let ZmtpTranscript { most_unfinished, .. } = whole;
    assert_eq!(ZmtpTranscript { most_unfinished, ..parts }, whole);
});

/// Returns octets in parts of these sizes, and the rest.
fn parts<'o>(mut octets: &'o [u8], cuts: &[u8]) -> Vec<&'o [u8]> {
    let mut parts = Vec::new();
    for cut in cuts {
        let (part, rest) = octets.split_at(octets.len().min(usize::from(*cut)));
        parts.push(part);
        octets = rest;
    }
    parts.push(octets);
    parts
}
