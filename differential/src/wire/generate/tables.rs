//! Random tables and properties.

use crate::wire::random::Random;

/// The type octets of values, except `U` and `L`.
const TYPES: &[u8] = b"SIlFAVTdfbBsuiDxt";

/// Returns the octets of a table, without its length.
pub(super) fn table(random: &mut Random, depth: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    for _ in 0..random.below(4) {
        let name = random.pick(&[&b"a"[..], b"b", b"x-key", b"", b"a\xff"]);
        octets.extend(entry(name, &value(random, depth)));
    }
    octets
}

/// Returns a name with a value that begins with its type.
pub(super) fn entry(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[name.len() as u8][..], name, value].concat()
}

/// Returns octets after their length.
pub(super) fn long(octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u32).to_be_bytes()[..], octets].concat()
}

/// Returns a short string.
pub(super) fn short(octets: &[u8]) -> Vec<u8> {
    [&[octets.len() as u8][..], octets].concat()
}

fn value(random: &mut Random, depth: usize) -> Vec<u8> {
    let kind = random.pick(TYPES);
    let value = match kind {
        b'F' if depth > 0 => long(&table(random, depth - 1)),
        b'A' if depth > 0 => {
            let values =
                (0..random.below(3)).flat_map(|_| value(random, depth - 1)).collect::<Vec<_>>();
            long(&values)
        }
        b'F' | b'A' => long(b""),
        b'S' => long(random.pick(&[&b""[..], b"text", b"\xe9t\xe9", "\u{e4}".as_bytes()])),
        b'x' => long(&random.octets(3)),
        // RabbitMQ 4 forwards any other octet as 1.
        b't' => vec![random.pick(&[0, 1])],
        b'b' | b'B' => random.octets(1),
        b's' | b'u' => random.octets(2),
        b'I' | b'i' => random.octets(4),
        b'f' => 1.5_f32.to_be_bytes().to_vec(),
        b'd' => (-2.25_f64).to_be_bytes().to_vec(),
        b'D' => random.octets(5),
        b'l' => random.octets(8),
        b'T' => 1_700_000_000_u64.to_be_bytes().to_vec(),
        _ => Vec::new(),
    };
    [&[kind][..], &value].concat()
}

/// Returns a property list: flags and values.
pub(super) fn properties(random: &mut Random) -> Vec<u8> {
    if random.percent(50) {
        return vec![0, 0];
    }
    let (mut flags, mut values) = (0_u16, Vec::new());
    for bit in (2..16).rev() {
        if random.percent(75) {
            continue;
        }
        let value = match bit {
            13 => long(&headers(random)),
            12 => vec![random.pick(&[1, 2, 2, 1, 2, 1, 0, 7])],
            11 => vec![random.pick(&[0, 5, 9, 255])],
            6 => 1_700_000_000_u64.to_be_bytes().to_vec(),
            8 => match random.below(6) {
                0 => short(random.pick(&[&b"x"[..], b"", b"-1", b" 5"])),
                _ => short(random.pick(&[&b"3600000"[..], b"7200000"])),
            },
            4 => short(random.pick(&[&b"guest"[..], b"guest", b"guest", b"eve"])),
            _ => short(random.pick(&[&b"text"[..], b"", b"q1", b"\xff\x00"])),
        };
        flags |= 1 << bit;
        values.extend(value);
    }
    [&flags.to_be_bytes()[..], &values].concat()
}

fn headers(random: &mut Random) -> Vec<u8> {
    let mut headers = table(random, 2);
    if random.percent(10) {
        let queue = [b"S", &long(b"q1")[..]].concat();
        let name = random.pick(&[&b"CC"[..], b"BCC"]);
        let value = match random.percent(80) {
            true => [b"A", &long(&queue)[..]].concat(),
            false => queue,
        };
        headers.extend(entry(name, &value));
    }
    headers
}
