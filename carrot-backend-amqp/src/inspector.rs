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
            Refused::Large(size) => write!(
                formatter,
                "a body of {size} bytes, more than the {LARGEST} that RabbitMQ ever takes"
            ),
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
            let size = payload
                .get(4..12)
                .and_then(|size| size.try_into().ok())
                .map_or(0, u64::from_be_bytes);
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

/// Whether amiquip reads all properties and headers of a message as they are. It leaves out, or takes for another, what follows a text that is
/// not UTF-8, or a type that it does not know.
pub(crate) fn is_complete(payload: &[u8]) -> bool {
    let flags =
        payload.get(12..14).map_or(u16::MAX, |flags| u16::from_be_bytes([flags[0], flags[1]]));
    // Without headers, ASCII is enough: all else that is in there are lengths and numbers.
    let is_plain =
        flags & (HEADERS | MORE_FLAGS) == 0 && payload.get(14..).is_some_and(<[u8]>::is_ascii);
    is_plain || read_properties(payload).is_some()
}

const HEADERS: u16 = 1 << 13;
/// Further flags follow, or a bit that means nothing.
const MORE_FLAGS: u16 = 0b11;

/// The first property has the highest bit. Three of them are no strings, and one is a table.
fn read_properties(payload: &[u8]) -> Option<()> {
    const DELIVERY_MODE: u16 = 1 << 12;
    const PRIORITY: u16 = 1 << 11;
    const TIMESTAMP: u16 = 1 << 6;
    let flags = u16::from_be_bytes(payload.get(12..14)?.try_into().ok()?);
    let mut rest = payload.get(14..)?;
    for bit in (2..16).rev().map(|bit| 1 << bit).filter(|bit| flags & bit != 0) {
        rest = match bit {
            HEADERS => read_table(rest)?,
            DELIVERY_MODE | PRIORITY => rest.get(1..)?,
            TIMESTAMP => rest.get(8..)?,
            _ => read_short_string(rest)?,
        };
    }
    (rest.is_empty() && flags & MORE_FLAGS == 0).then_some(())
}

fn is_text(bytes: &[u8]) -> bool {
    // Most texts are ASCII, which is found out faster.
    bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
}

fn read_short_string(bytes: &[u8]) -> Option<&[u8]> {
    let end = 1 + usize::from(*bytes.first()?);
    is_text(bytes.get(1..end)?).then_some(bytes.get(end..)?)
}

/// What stands behind a length, and what follows it.
fn with_length(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = 4_usize.checked_add(number(bytes.get(..4)?, 0))?;
    Some((bytes.get(4..end)?, bytes.get(end..)?))
}

/// Calls itself for each level, of which there are no more than [`DEEPEST`].
fn read_table(bytes: &[u8]) -> Option<&[u8]> {
    let (mut entries, rest) = with_length(bytes)?;
    let mut names = Vec::new();
    while !entries.is_empty() {
        let value = read_short_string(entries)?;
        names.push(&entries[..entries.len() - value.len()]);
        entries = read_value(value)?;
    }
    names.sort_unstable();
    // Of two of the same name, one is lost.
    names.windows(2).all(|two| two[0] != two[1]).then_some(rest)
}

fn read_value(bytes: &[u8]) -> Option<&[u8]> {
    let (kind, rest) = bytes.split_first()?;
    match kind {
        b'V' => Some(rest),
        b't' | b'b' | b'B' => rest.get(1..),
        b's' | b'u' | b'U' => rest.get(2..),
        b'I' | b'i' | b'f' => rest.get(4..),
        b'D' => rest.get(5..),
        b'l' | b'L' | b'T' | b'd' => rest.get(8..),
        b'x' => with_length(rest).map(|(_, rest)| rest),
        b'S' => with_length(rest).and_then(|(text, rest)| is_text(text).then_some(rest)),
        b'F' => read_table(rest),
        b'A' => {
            let (mut values, rest) = with_length(rest)?;
            while !values.is_empty() {
                values = read_value(values)?;
            }
            Some(rest)
        }
        _ => None,
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
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
        as usize
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
        assert_eq!(
            depth(b"\0\0\0\x0c\x01kS\0\0\0\x05A\0\0\0\0"),
            1,
            "a string that looks like an array"
        );
        assert_eq!(
            depth(b"\0\0\0\x07\x01kA\0\0\0\x09"),
            1,
            "an array that is longer than what it is in"
        );
        assert_eq!(
            depth(b"\0\0\0\x09\x01k?\x01kA\0\0\0\0"),
            1,
            "what follows an unknown type is not read"
        );
    }

    #[test]
    fn deep_headers_and_greetings_are_refused() {
        let greeting = |levels| [&START[..], &[0, 9], &nested(levels, true)].concat();
        assert!(check(METHOD, &greeting(DEEPEST)).is_ok());
        assert!(matches!(check(METHOD, &greeting(DEEPEST + 1)), Err(Refused::Nested)));
        assert!(check(HEADER, &header(5, &nested(DEEPEST, true))).is_ok());
        assert!(matches!(
            check(HEADER, &header(5, &nested(DEEPEST + 1, false))),
            Err(Refused::Nested)
        ));
    }

    #[test]
    fn what_cannot_be_read_whole_is_found() {
        let content = |table: &[u8]| {
            header(
                5,
                &[&u32::try_from(table.len()).unwrap_or_default().to_be_bytes()[..], table]
                    .concat(),
            )
        };
        for table in [
            &b""[..],
            b"\x01aV",
            b"\x01at\x01\x01bS\0\0\0\x03abc",
            b"\x01ax\0\0\0\x02\xff\xfe",
            b"\x01aA\0\0\0\x02t\x00\x01bF\0\0\0\x03\x01cV",
        ] {
            assert!(is_complete(&content(table)), "{table:?}");
        }
        for table in [
            &b"\x01aS\0\0\0\x04caf\xe9"[..],
            b"\x01\xe9V",
            b"\x01a?",
            b"\x01aS\0\0\0\x09abc",
            b"\x01aA\0\0\0\x06S\0\0\0\x01\xff",
            b"\x01aF\0\0\0\x03\x01\xe9V",
            b"\x05a",
            b"\x01aV\x01bV\x01aV",
        ] {
            assert!(!is_complete(&content(table)), "{table:?}");
        }
        let mut property = header(5, &[0, 0, 0, 0]);
        assert!(is_complete(&property));
        property[15] = 0xff;
        assert!(!is_complete(&property), "a content type that is not UTF-8");
        property[15] = b't';
        property.push(0);
        assert!(!is_complete(&property), "bytes that belong to no property");
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let check = |size| check(HEADER, &header(size, &[0, 0, 0, 0]));
        assert!(check(LARGEST).is_ok());
        assert!(matches!(check(LARGEST + 1), Err(Refused::Large(536_870_913))));
        assert!(matches!(check(u64::MAX), Err(Refused::Large(u64::MAX))));
    }
}
