//! Parses any bytes as the header frame of a message. The properties that amiquip reads are equal
//! after the conversion to Carrot's types and back to the wire.
#![no_main]

#[allow(dead_code)]
#[path = "../../carrot-backend-amqp/src/convert.rs"]
mod convert;
#[path = "../support/frame.rs"]
mod frame;
#[allow(dead_code)]
#[path = "../../carrot-backend-amqp/src/inspector.rs"]
mod inspector;
#[path = "../../carrot-backend-amqp/src/wire_format.rs"]
mod wire_format;

use libfuzzer_sys::fuzz_target;

use amq_protocol::types::parsing::parse_field_table;
use carrot_core::{Headers, Value};

/// The type of a content header frame.
const HEADER: u8 = 2;

fuzz_target!(|payload: &[u8]| {
    if let Ok((_, table)) = parse_field_table(payload) {
        let (depth, inspected) = (1 + depth_of(&convert::from_table(&table)), inspector::depth(payload));
        assert!(depth <= inspected, "amiquip reads a depth of {depth}, the inspector returns {inspected}");
    }
    if inspector::check(HEADER, payload).is_ok() {
        let _ = inspector::is_complete(payload);
    }
    let Some(amqp) = frame::read_properties(payload) else { return };
    let properties = convert::from_properties(&amqp);
    frame::check_round_trip(&properties);
});

fn depth_of(headers: &Headers) -> usize {
    headers.iter().map(|(_, value)| depth_of_value(value)).max().unwrap_or(0)
}

fn depth_of_value(value: &Value) -> usize {
    match value {
        Value::Table(table) => 1 + depth_of(table),
        Value::Array(values) => 1 + values.iter().map(depth_of_value).max().unwrap_or(0),
        _ => 0,
    }
}
