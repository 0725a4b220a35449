//! The properties of messages, as their peers have encoded them.
//!
//! RabbitMQ forwards the octets of properties, and reads them for its own use only. Carrot's server
//! keeps the octets of properties that would be other octets if they were encoded again.

use std::borrow::Cow;

use carrot_core::{Properties, RabbitMqRelease};

use crate::error::WireError;
use crate::properties::PropertiesRef;
use crate::table::TableRef;

/// Means that more flags follow.
const FURTHER_FLAGS: u16 = 1;
/// A flag without a property, which RabbitMQ ignores.
const UNUSED_FLAG: u16 = 2;
/// The flag of the headers.
const HEADERS: u16 = 0x2000;
/// The flags of the short strings before the headers.
const BEFORE_HEADERS: u16 = 0xC000;

/// How a release of RabbitMQ forwards properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PropertyForwarding {
    /// As they arrived.
    AsTheyArrived,
    /// Without unused flags, and with the headers in the order of their names.
    Sorted,
}

impl PropertyForwarding {
    /// Returns how a release forwards properties.
    pub fn of(release: RabbitMqRelease) -> PropertyForwarding {
        if release >= RabbitMqRelease::V4_3 {
            PropertyForwarding::Sorted
        } else {
            PropertyForwarding::AsTheyArrived
        }
    }

    /// Reads the octets of properties. Keeps octets that encoding does not restore.
    ///
    /// # Errors
    /// The octets are no property list. Headers with too many levels are kept as octets only.
    pub fn read(self, octets: &[u8]) -> Result<Properties, WireError> {
        let flags = flags(octets).unwrap_or_default();
        if flags & (UNUSED_FLAG | HEADERS) == 0 {
            return typed(octets);
        }
        let properties = typed(octets)?;
        if self == PropertyForwarding::AsTheyArrived {
            return Ok(properties.with_wire_octets(octets.to_vec()));
        }
        let known = without_unused_flag(octets);
        let sorted = with_headers(&known, |table| {
            // Headers with too many levels stay as they are.
            let sorted = TableRef::new(table).map(TableRef::sorted_by_name);
            Some(sorted.unwrap_or_else(|_| table.to_vec()))
        });
        let forwarded = sorted.unwrap_or_else(|| known.into_owned());
        Ok(typed(&forwarded)?.with_wire_octets(forwarded))
    }
}

/// Returns the octets from which properties were read, if they have not changed since. Headers that
/// could not be read follow those that the broker has added. Returns `None` if the properties have
/// no such octets, or encoding them loses nothing.
pub fn forwarded(properties: &Properties) -> Option<Cow<'_, [u8]>> {
    let octets = properties.wire_octets()?;
    if typed(octets).is_ok_and(|read| read == *properties) {
        return Some(octets.into());
    }
    if let Some(octets) = without_blind_copies(octets)
        && typed(&octets).is_ok_and(|read| read == *properties)
    {
        return Some(octets.into());
    }
    let unread = unread_headers(octets)?;
    let headers = properties.headers().cloned().unwrap_or_default();
    let changed = properties.clone().with_headers(headers);
    let mut encoded = Vec::new();
    PropertiesRef::from(&changed).write(&mut encoded).ok()?;
    with_headers(&encoded, |added| Some([added, &unread].concat())).map(Cow::from)
}

/// Removes the header `BCC`, and keeps the octets of the others.
fn without_blind_copies(octets: &[u8]) -> Option<Vec<u8>> {
    with_headers(&without_unused_flag(octets), |table| {
        Some(TableRef::new(table).map_or_else(|_| table.to_vec(), |table| table.without("BCC")))
    })
}

/// Returns the table of headers with too many levels.
fn unread_headers(octets: &[u8]) -> Option<Vec<u8>> {
    let known = without_unused_flag(octets);
    let Err(WireError::TooDeep { .. }) = PropertiesRef::read(&known) else { return None };
    let mut unread = None;
    with_headers(&known, |table| {
        unread = Some(table.to_vec());
        None
    })?;
    unread
}

fn flags(octets: &[u8]) -> Option<u16> {
    octets.first_chunk().map(|flags| u16::from_be_bytes(*flags))
}

/// Reads properties as RabbitMQ does. Headers with too many levels count as none.
fn typed(octets: &[u8]) -> Result<Properties, WireError> {
    let flags = flags(octets).unwrap_or_default();
    if flags & FURTHER_FLAGS != 0 {
        return Err(WireError::PropertyFlags { flags });
    }
    let known = without_unused_flag(octets);
    match PropertiesRef::read(&known) {
        Err(error @ WireError::TooDeep { .. }) => {
            let others = with_headers(&known, |_| None).ok_or(error)?;
            PropertiesRef::read(&others).map(|properties| properties.to_properties())
        }
        read => read.map(|properties| properties.to_properties()),
    }
}

fn without_unused_flag(octets: &[u8]) -> Cow<'_, [u8]> {
    match flags(octets) {
        Some(flags) if flags & UNUSED_FLAG != 0 => {
            let flags = flags & !UNUSED_FLAG;
            [&flags.to_be_bytes(), octets.get(2..).unwrap_or_default()].concat().into()
        }
        _ => octets.into(),
    }
}

/// Replaces the table of the headers, or removes the headers. Returns `None` if there are none.
fn with_headers(octets: &[u8], replace: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let flags = flags(octets).filter(|flags| flags & HEADERS != 0)?;
    let values = octets.get(2..)?;
    let mut at = 0;
    for _ in 0..(flags & BEFORE_HEADERS).count_ones() {
        at += 1 + usize::from(*values.get(at)?);
    }
    let (before, headers) = values.split_at_checked(at)?;
    let (size, rest) = headers.split_first_chunk()?;
    let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
    let (table, after) = rest.split_at_checked(size)?;
    Some(match replace(table) {
        Some(table) => {
            let size = u32::try_from(table.len()).ok()?.to_be_bytes();
            [&flags.to_be_bytes(), before, &size, &table, after].concat()
        }
        None => [&(flags & !HEADERS).to_be_bytes(), before, after].concat(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn read(octets: &[u8]) -> Result<Properties, WireError> {
        PropertyForwarding::AsTheyArrived.read(octets)
    }

    fn deep(levels: usize) -> Vec<u8> {
        (0..levels).fold(Vec::new(), |inner: Vec<u8>, _| {
            [b"\x01aF", &(inner.len() as u32).to_be_bytes()[..], &inner].concat()
        })
    }

    #[test]
    fn unreadable_headers_are_forwarded_beside_other_properties() {
        let table = deep(200);
        let size = (table.len() as u32).to_be_bytes();
        let octets = [b"\xa0\x80\x01t", &size[..], &table, b"\x02id"].concat();
        let properties = read(&octets).unwrap();
        assert_eq!(properties.content_type(), Some("t"));
        assert_eq!(properties.message_id(), Some("id"));
        assert!(properties.headers().is_none());
        assert_eq!(forwarded(&properties).as_deref(), Some(&octets[..]));
    }

    #[test]
    fn octets_are_forwarded_without_blind_copies() {
        // A name occurs twice, which headers cannot hold.
        let octets = b"\x20\0\0\0\0\x0b\x01aV\x03BCCV\x01aV";
        let properties = read(octets).unwrap();
        let visible = properties.without_header("BCC");
        assert_eq!(forwarded(&visible).as_deref(), Some(&b"\x20\0\0\0\0\x06\x01aV\x01aV"[..]));
    }

    #[test]
    fn unreadable_headers_follow_those_that_the_broker_adds() {
        let table = deep(200);
        let size = (table.len() as u32).to_be_bytes();
        let octets = [b"\x20\0", &size[..], &table].concat();
        let changed = read(&octets).unwrap().with_header("added", 1_i64);
        let forwarded = forwarded(&changed).unwrap();
        assert!(forwarded.ends_with(&table));
        assert!(forwarded.windows(5).any(|window| window == b"added"));
        assert!(matches!(PropertiesRef::read(&forwarded), Err(WireError::TooDeep { .. })));
    }

    #[test]
    fn octets_are_forwarded_until_the_properties_change() {
        // A name occurs twice, which headers cannot hold.
        let octets = b"\x20\0\0\0\0\x06\x01aV\x01aV";
        let properties = read(octets).unwrap();
        assert_eq!(forwarded(&properties).as_deref(), Some(&octets[..]));
        assert_eq!(forwarded(&properties.clone().with_priority(1)), None);
        assert_eq!(forwarded(&properties.without_headers()), None);
    }

    #[test]
    fn sorting_release_forwards_headers_in_the_order_of_their_names() {
        let octets = b"\xa0\x02\x01t\0\0\0\x09\x01bV\x01aV\x01bV";
        let properties = PropertyForwarding::Sorted.read(octets).unwrap();
        let sorted = &b"\xa0\0\x01t\0\0\0\x06\x01aV\x01bV"[..];
        assert_eq!(forwarded(&properties).as_deref(), Some(sorted));
        assert!(PropertyForwarding::Sorted.read(b"\x20\0\0\0\0\x03\x01a?").is_err());
        let properties = PropertyForwarding::Sorted.read(b"\0\x02").unwrap();
        assert_eq!(forwarded(&properties).as_deref(), Some(&b"\0\0"[..]));
    }

    #[test]
    fn unused_flag_is_forwarded_and_further_flags_are_refused() {
        let properties = read(b"\x08\x02\x07").unwrap();
        assert_eq!(properties.priority(), Some(7));
        assert_eq!(forwarded(&properties).as_deref(), Some(&b"\x08\x02\x07"[..]));
        for malformed in [&b"\0\x01\0\0"[..], b"\0\0x", b"\x80\0\x09x", b"\0", b""] {
            assert!(read(malformed).is_err(), "{malformed:?}");
        }
    }
}
