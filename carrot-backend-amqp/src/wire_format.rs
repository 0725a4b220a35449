//! Properties and tables as AMQP writes them; pure.

use carrot_core::{Headers, Properties, Value};

/// The flags of the properties that are set, and their values.
pub(crate) fn properties(out: &mut Vec<u8>, properties: &Properties) {
    let at = out.len();
    out.extend([0, 0]);
    let mut flags = 0_u16;
    let mut string = |out: &mut Vec<u8>, flag: u16, text: Option<&str>| {
        if let Some(text) = text {
            flags |= flag;
            short_string(out, text);
        }
    };
    string(out, 0x8000, properties.content_type());
    string(out, 0x4000, properties.content_encoding());
    let mut others = 0_u16;
    if let Some(headers) = properties.headers() {
        others |= 0x2000;
        table(out, headers);
    }
    if let Some(mode) = properties.delivery_mode() {
        others |= 0x1000;
        out.push(mode.into());
    }
    if let Some(priority) = properties.priority() {
        others |= 0x0800;
        out.push(priority);
    }
    string(out, 0x0400, properties.correlation_id());
    string(out, 0x0200, properties.reply_to());
    string(out, 0x0100, properties.expiration());
    string(out, 0x0080, properties.message_id());
    if let Some(seconds) = properties.timestamp() {
        others |= 0x0040;
        out.extend(seconds.to_be_bytes());
    }
    string(out, 0x0020, properties.kind());
    string(out, 0x0010, properties.user_id());
    string(out, 0x0008, properties.app_id());
    string(out, 0x0004, properties.cluster_id());
    out[at..at + 2].copy_from_slice(&(flags | others).to_be_bytes());
}

fn table(out: &mut Vec<u8>, headers: &Headers) {
    sized(out, |out| {
        for (name, value) in headers.iter() {
            short_string(out, name);
            self::value(out, value);
        }
    });
}

fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Void => out.push(b'V'),
        Value::Bool(truth) => out.extend([b't', u8::from(*truth)]),
        Value::I8(number) => tagged(out, b'b', &number.to_be_bytes()),
        Value::U8(number) => out.extend([b'B', *number]),
        Value::I16(number) => tagged(out, b's', &number.to_be_bytes()),
        Value::U16(number) => tagged(out, b'u', &number.to_be_bytes()),
        Value::I32(number) => tagged(out, b'I', &number.to_be_bytes()),
        Value::U32(number) => tagged(out, b'i', &number.to_be_bytes()),
        Value::I64(number) => tagged(out, b'l', &number.to_be_bytes()),
        Value::F32(number) => tagged(out, b'f', &number.to_be_bytes()),
        Value::F64(number) => tagged(out, b'd', &number.to_be_bytes()),
        Value::Decimal { scale, value } => {
            out.extend([b'D', *scale]);
            out.extend(value.to_be_bytes());
        }
        Value::String(text) => long_string(out, b'S', text.as_bytes()),
        Value::Bytes(bytes) => long_string(out, b'x', bytes),
        Value::Timestamp(seconds) => tagged(out, b'T', &seconds.to_be_bytes()),
        Value::Array(values) => {
            out.push(b'A');
            sized(out, |out| values.iter().for_each(|value| self::value(out, value)));
        }
        Value::Table(headers) => {
            out.push(b'F');
            table(out, headers);
        }
    }
}

fn tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn long_string(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// At most 255 bytes; what is longer was refused before.
pub(crate) fn short_string(out: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(255)];
    out.push(bytes.len() as u8);
    out.extend_from_slice(bytes);
}

/// Writes something with its length before it.
fn sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0; 4]);
    write(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}
