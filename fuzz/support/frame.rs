//! Reads and writes properties as frames.

use std::sync::Arc;

use amiquip::AmqpProperties;
use amq_protocol::frame::parsing::parse_content_header;
use amq_protocol::protocol::basic::parse_properties;
use carrot_core::Properties;
use carrot_core::backend::{Content, Publication};
use carrot_core::backend::frame_limits::{FRAME_OVERHEAD, check_publication};

const FRAME_MAX: usize = 131_072;
/// The size of a publication without properties: a method frame with an empty exchange and routing
/// key, and the start of the header frame.
const EMPTY: usize = 2 * FRAME_OVERHEAD + 4 + 2 + 2 + 1 + 14;

/// Returns the properties that amiquip reads from the payload of a header frame.
pub(crate) fn read_properties(payload: &[u8]) -> Option<AmqpProperties> {
    parse_content_header(payload).ok().map(|(_, header)| header.properties)
}

/// Checks that valid properties are equal after a round trip over the wire, and that their size is
/// the computed one.
pub(crate) fn check_round_trip(properties: &Properties) {
    let content = Arc::new(Content::new("", "", Vec::new()).with_properties(properties.clone()));
    let Ok(size) = check_publication(&Publication::new(&content), FRAME_MAX) else { return };
    let mut bytes = Vec::new();
    crate::wire_format::properties(&mut bytes, properties);
    // `EMPTY` includes the flags of the properties.
    assert_eq!(bytes.len() - 2, size - EMPTY, "{properties:?}");
    let (rest, back) = parse_properties(&bytes).expect("written properties can be parsed");
    assert!(rest.is_empty(), "{properties:?}");
    assert_eq!(format!("{:?}", crate::convert::from_properties(&back)), format!("{properties:?}"));
}
