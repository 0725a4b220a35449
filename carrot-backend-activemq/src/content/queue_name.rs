//! Names of queues, as the broker knows them.
//!
//! ActiveMQ splits names at commas, and reads wildcards and options from them. Each octet that is
//! no letter, no digit, and none of `.`, `-` and `_`, is written as `%` and two digits.

use carrot_core::backend::ShortString;

use crate::wire::destination::{DestinationKind, WireDestination};

/// The beginning of the names of temporary queues, as ActiveMQ writes it.
pub(crate) const TEMPORARY: &str = "temp-queue://";

/// Returns the queue of a name. A name behind `temp-queue://` is that of a temporary queue.
pub(crate) fn destination(name: &[u8]) -> WireDestination {
    let temporary = name.strip_prefix(TEMPORARY.as_bytes()).filter(|name| !name.is_empty());
    match temporary.and_then(|name| std::str::from_utf8(name).ok()) {
        Some(name) if name.bytes().all(is_plain_or_colon) => WireDestination::temporary_queue(name),
        _ => WireDestination::queue(escape(name)),
    }
}

/// Returns the name of a queue as programs know it; `None` for a topic.
pub(crate) fn name_of(destination: &WireDestination) -> Option<ShortString> {
    match destination.kind {
        DestinationKind::Queue => Some(unescape(&destination.name)),
        DestinationKind::TemporaryQueue => {
            Some(ShortString::from(format!("{TEMPORARY}{}", destination.name)))
        }
        DestinationKind::Topic | DestinationKind::TemporaryTopic => None,
    }
}

/// Whether an octet has no meaning in the name of a temporary queue. ActiveMQ writes colons there.
fn is_plain_or_colon(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b".-_:".contains(&octet)
}

/// Returns the name of a queue as the broker knows it.
pub(crate) fn escape(name: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |four: u8| DIGITS.get(usize::from(four)).copied().unwrap_or('0');
    let mut escaped = String::with_capacity(name.len());
    for octet in name {
        if octet.is_ascii_alphanumeric() || b".-_".contains(octet) {
            escaped.push(char::from(*octet));
        } else {
            escaped.extend(['%', digit(octet >> 4), digit(octet & 15)]);
        }
    }
    escaped
}

/// Returns the name of a queue as programs know it. A name that Carrot would not write stays as it
/// is.
pub(crate) fn unescape(name: &str) -> ShortString {
    let mut octets = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.first_chunk::<2>().filter(|_| *first == b'%');
        let decoded = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        octets.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    match escape(&octets) == name {
        true => ShortString::from_octets(&octets),
        false => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay() {
        for name in ["jobs", "VirtualTopic.E", "a-b_c.9"] {
            assert_eq!(escape(name.as_bytes()), name);
            assert_eq!(unescape(name).as_str(), name);
        }
    }

    #[test]
    fn characters_with_a_meaning_are_escaped() {
        assert_eq!(escape(b"a,b?c*d>e %"), "a%2Cb%3Fc%2Ad%3Ee%20%25");
        assert_eq!(escape("é/:".as_bytes()), "%C3%A9%2F%3A");
    }

    #[test]
    fn every_octet_survives() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape(&all)).as_bytes(), all);
    }

    #[test]
    fn temporary_queues_have_names() {
        let replies = WireDestination::temporary_queue("ID:host-1-2:3:1");
        assert_eq!(destination(b"temp-queue://ID:host-1-2:3:1"), replies);
        assert_eq!(
            name_of(&replies).map(|name| name.to_string()).as_deref(),
            Some("temp-queue://ID:host-1-2:3:1")
        );
        for name in ["temp-queue://", "temp-queue://a,b", "temp-queue://a?b"] {
            let destination = destination(name.as_bytes());
            assert_eq!(destination.kind, DestinationKind::Queue, "{name}");
            assert_eq!(name_of(&destination).map(|name| name.to_string()).as_deref(), Some(name));
        }
    }

    #[test]
    fn names_of_others_stay() {
        for name in ["100%", "%zz", "%2c", "a:b"] {
            assert_eq!(unescape(name).as_str(), name);
        }
    }
}
