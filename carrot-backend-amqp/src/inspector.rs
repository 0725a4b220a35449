//! Looks at what comes in before amiquip does, whose parser calls itself for each level of a header table, and which sets memory aside
//! for whatever size a header claims: a single message could end the whole process.

/// As deep as serde_json goes; what Carrot itself sends is at most 32 deep.
const DEEPEST: usize = 128;
/// RabbitMQ takes no larger message, whatever its settings.
const LARGEST: u64 = 536_870_912;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const START: [u8; 4] = [0, 10, 0, 10];

/// Why a message, or a greeting, is not let through.
#[derive(Debug)]
pub(crate) enum Refused {
    Nested,
    Large(u64),
    Overlong,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Nested => write!(formatter, "headers nested over {DEEPEST} deep"),
            Refused::Overlong => formatter.write_str("a body larger than its header says"),
            Refused::Large(size) => write!(formatter, "a body of {size} bytes, more than the {LARGEST} that RabbitMQ ever takes"),
        }
    }
}

impl std::error::Error for Refused {}

/// Whether a frame can hold a table: the header of a message, and of the methods of a broker only the greeting, on channel 0.
pub(crate) fn is_suspect(kind: u8, channel: u16) -> bool {
    kind == HEADER || (kind == METHOD && channel == 0)
}

/// Looks at the payload of a suspect frame.
pub(crate) fn check(kind: u8, payload: &[u8]) -> Result<(), Refused> {
    let table = match kind {
        HEADER => {
            let size = payload.get(4..12).and_then(|size| size.try_into().ok()).map_or(0, u64::from_be_bytes);
            if size > LARGEST {
                return Err(Refused::Large(size));
            }
            headers(payload)
        }
        _ if payload.starts_with(&START) => payload.get(6..),
        _ => None,
    };
    match table {
        // A level takes five bytes at least.
        Some(table) if table.len() > 5 * DEEPEST && depth(table) > DEEPEST => Err(Refused::Nested),
        _ => Ok(()),
    }
}

/// From where the header table of a message begins, if it has one: content type and encoding come before it.
fn headers(payload: &[u8]) -> Option<&[u8]> {
    let flags = *payload.get(12)?;
    let mut rest = payload.get(14..)?;
    for string in [0x80, 0x40] {
        if flags & string != 0 {
            rest = rest.get(1 + usize::from(*rest.first()?)..)?;
        }
    }
    (flags & 0x20 != 0).then_some(rest)
}

/// How deep tables and arrays lie within each other, the outermost counted, as far as amiquip would read: at what it does not know, it
/// leaves the table that it is in.
pub(crate) fn depth(bytes: &[u8]) -> usize {
    struct Level {
        end: usize,
        is_table: bool,
    }
    let enter = |at: usize, end: usize, is_table: bool| {
        let content = at + 4;
        let level = Level { end: content.saturating_add(number(bytes, at)), is_table };
        (content <= end && level.end <= end).then_some(level)
    };
    let Some(outermost) = enter(0, bytes.len(), true) else { return 0 };
    let (mut levels, mut deepest, mut at) = (vec![outermost], 1, 4);
    while let Some(&Level { end, is_table }) = levels.last() {
        if is_table && at < end {
            at += 1 + usize::from(bytes[at]);
        }
        if at >= end {
            at = end;
            levels.pop();
            continue;
        }
        let kind = bytes[at];
        at += 1;
        at = match kind {
            b'V' => at,
            b't' | b'b' | b'B' => at + 1,
            b's' | b'u' | b'U' => at + 2,
            b'I' | b'i' | b'f' => at + 4,
            b'D' => at + 5,
            b'l' | b'L' | b'T' | b'd' => at + 8,
            b'S' | b'x' => (at + 4).saturating_add(number(bytes, at)),
            b'A' | b'F' => match enter(at, end, kind == b'F') {
                Some(level) => {
                    levels.push(level);
                    deepest = deepest.max(levels.len());
                    at + 4
                }
                None => end,
            },
            _ => end,
        };
    }
    deepest
}

/// The four bytes at a place as a number; zero if they are not all there.
fn number(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize, is_table: bool) -> Vec<u8> {
        let mut inner = Vec::new();
        for _ in 1..levels {
            let mut outer = if is_table { vec![1, b'k', b'F'] } else { vec![b'A'] };
            outer.extend(u32::try_from(inner.len()).unwrap_or_default().to_be_bytes());
            outer.append(&mut inner);
            inner = outer;
        }
        if !is_table {
            inner.splice(0..0, [1, b'k']);
        }
        let mut table = u32::try_from(inner.len()).unwrap_or_default().to_be_bytes().to_vec();
        table.append(&mut inner);
        table
    }

    fn header(size: u64, table: &[u8]) -> Vec<u8> {
        let mut payload = vec![0, 60, 0, 0];
        payload.extend(size.to_be_bytes());
        payload.extend([0xE0, 0]);
        payload.extend(b"\x01t\x01e");
        payload.extend(table);
        payload
    }

    #[test]
    fn depth_is_counted_as_amiquip_would_go() {
        for is_table in [true, false] {
            for levels in [2, 3, 128, 129, 20_000] {
                assert_eq!(depth(&nested(levels, is_table)), levels);
            }
        }
        assert_eq!(depth(&[]), 0);
        assert_eq!(depth(&[0, 0, 0, 0]), 1);
        assert_eq!(depth(b"\0\0\0\x0c\x01kS\0\0\0\x05A\0\0\0\0"), 1, "a string that looks like an array");
        assert_eq!(depth(b"\0\0\0\x07\x01kA\0\0\0\x09"), 1, "an array that is longer than what it is in");
        assert_eq!(depth(b"\0\0\0\x09\x01k?\x01kA\0\0\0\0"), 1, "what follows an unknown type is not read");
    }

    #[test]
    fn deep_headers_and_greetings_are_refused() {
        let greeting = |levels| [&START[..], &[0, 9], &nested(levels, true)].concat();
        assert!(check(METHOD, &greeting(DEEPEST)).is_ok());
        assert!(matches!(check(METHOD, &greeting(DEEPEST + 1)), Err(Refused::Nested)));
        assert!(check(HEADER, &header(5, &nested(DEEPEST, true))).is_ok());
        assert!(matches!(check(HEADER, &header(5, &nested(DEEPEST + 1, false))), Err(Refused::Nested)));
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let check = |size| check(HEADER, &header(size, &[0, 0, 0, 0]));
        assert!(check(LARGEST).is_ok());
        assert!(matches!(check(LARGEST + 1), Err(Refused::Large(536_870_913))));
        assert!(matches!(check(u64::MAX), Err(Refused::Large(u64::MAX))));
    }
}
