//! Reads any octets as a table. A table that is read is equal after the conversion to headers and
//! back, except for duplicate names. Its depth is limited, and the first of equal names counts.
#![no_main]

use std::collections::BTreeSet;

use carrot_amqp_wire::{Arguments, MAX_DEPTH, RawTable, TableRef};
use carrot_core::{Headers, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Ok(table) = TableRef::new(octets) else { return };
    let raw = RawTable::from(table);
    assert_eq!(raw.as_table(), table);
    let headers = table.to_headers();
    assert!(depth_of(&headers) <= MAX_DEPTH);
    let names: BTreeSet<&[u8]> = table.iter().map(|(name, _)| name.as_bytes()).collect();
    assert_eq!(headers.len(), names.len());
    for (name, value) in headers.iter() {
        let first = table.get(name.as_bytes()).expect("the name is in the table").to_value();
        assert_eq!(format!("{value:?}"), format!("{first:?}"));
    }
    let written = Arguments::from(&headers).to_raw().expect("headers that were read can be written");
    assert_eq!(format!("{:?}", written.as_table().to_headers()), format!("{headers:?}"));
    assert!(written.as_table().as_bytes().len() <= octets.len());
});

fn depth_of(headers: &Headers) -> usize {
    1 + headers.iter().map(|(_, value)| depth_of_value(value)).max().unwrap_or(0)
}

fn depth_of_value(value: &Value) -> usize {
    match value {
        Value::Table(table) => depth_of(table),
        Value::Array(values) => 1 + values.iter().map(depth_of_value).max().unwrap_or(0),
        _ => 0,
    }
}
