#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use amq_protocol::protocol::basic::{gen_properties, parse_properties};
use carrot_core::Headers;
use proptest::prelude::*;

use crate::testing::{headers, properties, short_string};

use super::*;

fn written(properties: &PropertiesRef<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    properties.write(&mut octets).unwrap();
    octets
}

proptest! {
    #[test]
    fn properties_survive_the_wire(properties in properties(short_string(), headers())) {
        let octets = written(&PropertiesRef::from(&properties));
        let read = PropertiesRef::read(&octets).unwrap();
        prop_assert_eq!(read.to_properties(), properties);
        prop_assert_eq!(written(&read), octets);
    }

    #[test]
    fn octets_that_are_no_utf_8_survive_the_wire(
        strings in prop::array::uniform10(short_string()),
        is_set: [bool; 10],
    ) {
        let get = |at: usize| is_set[at].then(|| ShortStr::from(&strings[at]));
        let properties = PropertiesRef {
            content_type: get(0),
            content_encoding: get(1),
            correlation_id: get(2),
            reply_to: get(3),
            expiration: get(4),
            message_id: get(5),
            kind: get(6),
            user_id: get(7),
            app_id: get(8),
            cluster_id: get(9),
            priority: Some(5),
            ..PropertiesRef::default()
        };
        let octets = written(&properties);
        prop_assert_eq!(PropertiesRef::read(&octets), Ok(properties));
    }

    #[test]
    fn properties_cut_at_any_octet_or_followed_by_octets_are_refused(
        properties in properties(short_string(), headers()),
    ) {
        let mut octets = written(&PropertiesRef::from(&properties));
        for length in 0..octets.len() {
            let read = PropertiesRef::read(&octets[..length]);
            prop_assert!(matches!(read, Err(WireError::Truncated { .. })), "{:?}", read);
        }
        octets.push(0);
        let trailing = WireError::Trailing { within: WITHIN, octets: 1 };
        prop_assert_eq!(PropertiesRef::read(&octets), Err(trailing));
    }

    #[test]
    fn properties_are_written_and_read_as_amq_protocol_does(
        properties in properties("[a-z]{0,9}", Just(Headers::from([("a", 1), ("b", 2)]))),
    ) {
        let octets = written(&PropertiesRef::from(&properties));
        let (rest, amq) = parse_properties(&octets).unwrap();
        prop_assert!(rest.is_empty());
        let mut generated = vec![0; octets.len()];
        let length = gen_properties((&mut generated, 0), &amq).unwrap().1;
        prop_assert_eq!(&generated[..length], &octets[..]);
        let same = |amq: &Option<String>, text: Option<&str>| amq.as_deref() == text;
        prop_assert!(same(amq.content_type(), properties.content_type()));
        prop_assert!(same(amq.content_encoding(), properties.content_encoding()));
        prop_assert!(same(amq.correlation_id(), properties.correlation_id()));
        prop_assert!(same(amq.reply_to(), properties.reply_to()));
        prop_assert!(same(amq.expiration(), properties.expiration()));
        prop_assert!(same(amq.message_id(), properties.message_id()));
        prop_assert!(same(amq.type_(), properties.kind()));
        prop_assert!(same(amq.user_id(), properties.user_id()));
        prop_assert!(same(amq.app_id(), properties.app_id()));
        prop_assert!(same(amq.cluster_id(), properties.cluster_id()));
        prop_assert_eq!(*amq.timestamp(), properties.timestamp());
        prop_assert_eq!(*amq.priority(), properties.priority());
        prop_assert_eq!(*amq.delivery_mode(), properties.delivery_mode().map(u8::from));
        prop_assert_eq!(amq.headers().is_some(), properties.headers().is_some());
    }

    #[test]
    fn any_octets_are_read_or_refused(octets: Vec<u8>) {
        if let Ok(properties) = PropertiesRef::read(&octets) {
            let again = written(&properties);
            // Flags that announce no property are not kept.
            prop_assert!(again == octets || octets[1] & 1 == 1);
        }
    }
}

#[test]
fn a_message_id_that_is_no_utf_8_moves_no_octet_into_the_user_id() {
    let mut octets = vec![0x00, 0xF0];
    octets.extend([7, 255, 255, 255, 255, 255, 255, 255]);
    octets.extend(*b"\x07typetyp");
    octets.extend(*b"\x05admin");
    octets.extend(*b"\x06sender");
    let properties = PropertiesRef::read(&octets).unwrap();
    assert_eq!(properties.message_id, Some(ShortStr::new(&[255; 7])));
    assert_eq!(properties.timestamp, Some(u64::from_be_bytes(*b"\x07typetyp")));
    assert_eq!(properties.kind, Some("admin".into()));
    assert_eq!(properties.user_id, Some("sender".into()));
    let owned = properties.to_properties();
    assert_eq!((owned.kind(), owned.user_id()), (Some("admin"), Some("sender")));
}

#[test]
fn a_content_encoding_that_is_no_utf_8_moves_no_octet_into_the_priority() {
    let properties = PropertiesRef::read(&[0x58, 0x00, 1, 0xE9, 2, 5]).unwrap();
    let expected = PropertiesRef {
        content_encoding: Some(ShortStr::new(b"\xe9")),
        delivery_mode: Some(2),
        priority: Some(5),
        ..PropertiesRef::default()
    };
    assert_eq!(properties, expected);
}

#[test]
fn a_content_type_that_is_no_utf_8_is_not_absent() {
    let properties = PropertiesRef::read(&[0x80, 0x00, 3, 0xFF, 0xFE, 0x80]).unwrap();
    assert_eq!(properties.content_type, Some(ShortStr::new(b"\xff\xfe\x80")));
    let owned = properties.to_properties();
    assert_eq!(owned.content_type(), Some("\u{fffd}\u{fffd}\u{fffd}"));
}

#[test]
fn a_flag_that_names_no_property_is_refused() {
    let refused = |flags| Err(WireError::PropertyFlags { flags });
    assert_eq!(PropertiesRef::read(&[0, 2]), refused(2));
    for flag in 1..16 {
        let [high, low] = u16::to_be_bytes(1 << flag);
        let further = [0, 1, high, low, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(PropertiesRef::read(&further), refused(1 << flag));
    }
}

#[test]
fn further_flags_of_which_none_is_set_are_read() {
    let properties = PropertiesRef::read(&[0x08, 0x01, 0, 1, 0, 0, 5]).unwrap();
    assert_eq!(properties, PropertiesRef { priority: Some(5), ..PropertiesRef::default() });
    let truncated = WireError::Truncated { within: WITHIN, field: "flags" };
    assert_eq!(PropertiesRef::read(&[0x08, 0x01, 5]), Err(truncated));
}

#[test]
fn headers_longer_than_their_frame_are_refused() {
    let truncated = WireError::Truncated { within: WITHIN, field: "headers" };
    assert_eq!(PropertiesRef::read(&[0x20, 0, 255, 255, 255, 255, 1, 2]), Err(truncated));
}

#[test]
fn an_empty_header_table_differs_from_none() {
    let empty = Headers::new();
    let properties = PropertiesRef { headers: Some((&empty).into()), ..PropertiesRef::default() };
    let octets = written(&properties);
    assert_eq!(octets, [0x20, 0, 0, 0, 0, 0]);
    assert_eq!(PropertiesRef::read(&octets).unwrap().to_properties().headers(), Some(&empty));
    assert_eq!(PropertiesRef::read(&[0, 0]).unwrap().to_properties().headers(), None);
}
