//! Converts any properties of Carrot to amiquip's types and to the wire. The properties are equal
//! after the way back.
#![no_main]

#[allow(dead_code)]
#[path = "../../carrot-backend-amqp/src/convert.rs"]
mod convert;
#[path = "../support/frame.rs"]
#[allow(dead_code)]
mod frame;
#[path = "../../carrot-backend-amqp/src/wire_format.rs"]
mod wire_format;

use carrot_core::backend::validate::table;
use carrot_core::{DeliveryMode, Headers, Properties, Value};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

const MAX_DEPTH: usize = 40;

fuzz_target!(|data: &[u8]| {
    let Ok(properties) = properties(&mut Unstructured::new(data)) else { return };
    if let Some(headers) = properties.headers() {
        let _ = table("headers", headers);
        assert_eq!(format!("{:?}", convert::from_table(&convert::to_table(headers))), format!("{headers:?}"));
    }
    frame::check_round_trip(&properties);
});

fn properties(data: &mut Unstructured<'_>) -> Result<Properties> {
    let mut properties = Properties::new();
    let setters: [fn(Properties, String) -> Properties; 10] = [
        |properties, text| properties.with_content_type(text),
        |properties, text| properties.with_content_encoding(text),
        |properties, text| properties.with_correlation_id(text),
        |properties, text| properties.with_reply_to(text),
        |properties, text| properties.with_expiration(text),
        |properties, text| properties.with_message_id(text),
        |properties, text| properties.with_kind(text),
        |properties, text| properties.with_user_id(text),
        |properties, text| properties.with_app_id(text),
        |properties, text| properties.with_cluster_id(text),
    ];
    for set in setters {
        if data.arbitrary()? {
            properties = set(properties, data.arbitrary()?);
        }
    }
    if data.arbitrary()? {
        properties = properties.with_priority(data.arbitrary()?);
    }
    if data.arbitrary()? {
        properties = properties.with_timestamp(data.arbitrary::<u64>()?);
    }
    if data.arbitrary()? {
        properties = properties.with_delivery_mode(DeliveryMode::from(data.arbitrary::<u8>()?));
    }
    if data.arbitrary()? {
        properties = properties.with_headers(headers(data, 1)?);
    }
    Ok(properties)
}

fn headers(data: &mut Unstructured<'_>, depth: usize) -> Result<Headers> {
    let mut headers = Headers::new();
    while !data.is_empty() && data.arbitrary()? {
        headers.insert(data.arbitrary::<String>()?, value(data, depth)?);
    }
    Ok(headers)
}

fn value(data: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    let kind = if depth < MAX_DEPTH { data.int_in_range(0..=16)? } else { data.int_in_range(0..=14)? };
    Ok(match kind {
        0 => Value::Void,
        1 => Value::Bool(data.arbitrary()?),
        2 => Value::I8(data.arbitrary()?),
        3 => Value::U8(data.arbitrary()?),
        4 => Value::I16(data.arbitrary()?),
        5 => Value::U16(data.arbitrary()?),
        6 => Value::I32(data.arbitrary()?),
        7 => Value::U32(data.arbitrary()?),
        8 => Value::I64(data.arbitrary()?),
        9 => Value::F32(data.arbitrary()?),
        10 => Value::F64(data.arbitrary()?),
        11 => Value::Decimal { scale: data.arbitrary()?, value: data.arbitrary()? },
        12 => Value::String(data.arbitrary()?),
        13 => Value::Bytes(data.arbitrary()?),
        14 => Value::Timestamp(data.arbitrary()?),
        15 => {
            let mut values = Vec::new();
            while !data.is_empty() && data.arbitrary()? {
                values.push(value(data, depth + 1)?);
            }
            Value::Array(values)
        }
        _ => Value::Table(headers(data, depth + 1)?),
    })
}
