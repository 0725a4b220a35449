//! Properties as the frames that carry them.

use std::sync::Arc;

use amiquip::AmqpProperties;
use amq_protocol::frame::parsing::parse_content_header;
use amq_protocol::protocol::basic::parse_properties;
use carrot_core::Properties;
use carrot_core::backend::{Content, Publication};
use carrot_core::limits::{FRAME_OVERHEAD, check_publication};

const FRAME_MAX: usize = 131_072;
/// Of a publication, all but the properties: a method frame with an empty exchange and routing key, and the head of the header.
const EMPTY: usize = 2 * FRAME_OVERHEAD + 4 + 2 + 2 + 1 + 14;

/// What amiquip reads from the payload of a header frame.
pub(crate) fn read_properties(payload: &[u8]) -> Option<AmqpProperties> {
    parse_content_header(payload).ok().map(|(_, header)| header.properties)
}

/// Checks that valid properties come back from the wire as they were, and are as large there as was reckoned.
pub(crate) fn survives(properties: &Properties) {
    let content = Arc::new(Content::new("", "", Vec::new()).with_properties(properties.clone()));
    let Ok(size) = check_publication(&Publication { content: &content, mandatory: false }, FRAME_MAX) else { return };
    let mut bytes = Vec::new();
    crate::wire_format::properties(&mut bytes, properties);
    // The flags of the properties are counted in the head already.
    assert_eq!(bytes.len() - 2, size - EMPTY, "{properties:?}");
    let (rest, back) = parse_properties(&bytes).expect("what was written is read");
    assert!(rest.is_empty(), "{properties:?}");
    assert_eq!(format!("{:?}", crate::convert::from_properties(&back)), format!("{properties:?}"));
}
