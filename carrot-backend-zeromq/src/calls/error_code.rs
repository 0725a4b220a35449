//! Errors in messages.

use std::sync::Arc;
use std::time::Duration;

use carrot_core::Error;
use carrot_core::backend::HardClose;

use crate::calls::fields::{CallError, FieldReader, put_long, put_short};

/// An error that no other code describes.
const OTHER: u8 = 0;

/// Appends an error: its code, a number, and three texts. What does not apply is 0 or empty.
pub(crate) fn put_error(out: &mut Vec<u8>, error: &Error) {
    let plain =
        |code: u8, reason: &str| (code, 0, reason.to_string(), String::new(), String::new());
    let (code, number, reason, field, limit) = match error {
        Error::NotFound { reason } => plain(1, reason),
        Error::AccessRefused { reason } => plain(2, reason),
        Error::ResourceLocked { reason } => plain(3, reason),
        Error::PreconditionFailed { reason } => plain(4, reason),
        Error::Unavailable { reason } => plain(5, reason),
        Error::HardError { code, reason } => {
            (6, u32::from(*code), reason.clone(), String::new(), String::new())
        }
        Error::Invalid { field, value, limit } => {
            (7, 0, value.clone(), field.to_string(), limit.to_string())
        }
        Error::Disconnected { reason, .. } => match error.hard_close() {
            Some(close) => {
                let text = close.text.clone();
                (8, u32::from(close.code), text, String::new(), String::new())
            }
            None => plain(8, reason),
        },
        Error::Closed { what } => plain(9, what),
        Error::Timeout { operation, after } => {
            let millis = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
            (10, millis, operation.to_string(), String::new(), String::new())
        }
        Error::Blocked { reason } => plain(11, reason),
        Error::Refused => plain(12, ""),
        other => plain(OTHER, &other.to_string()),
    };
    out.push(code);
    out.extend_from_slice(&number.to_be_bytes());
    put_long(out, &reason);
    put_short(out, field.as_bytes());
    put_long(out, &limit);
}

/// Takes an error. A code that this version does not know becomes [`Error::Backend`].
pub(crate) fn read_error(fields: &mut FieldReader<'_>) -> Result<Error, CallError> {
    let code = fields.u8("error code")?;
    let number = fields.u32("error number")?;
    let reason = fields.long_text("error reason")?.to_string();
    let field = fields.text("error field")?.to_string();
    let limit = fields.long_text("error limit")?.to_string();
    Ok(match code {
        1 => Error::NotFound { reason },
        2 => Error::AccessRefused { reason },
        3 => Error::ResourceLocked { reason },
        4 => Error::PreconditionFailed { reason },
        5 => Error::Unavailable { reason },
        6 => Error::HardError { code: u16::try_from(number).unwrap_or_default(), reason },
        7 => Error::Invalid { field: field.into(), value: reason, limit: limit.into() },
        8 => match u16::try_from(number) {
            Ok(0) | Err(_) => Error::disconnected(reason),
            Ok(reply_code) => failed_internally(reply_code, reason),
        },
        9 => Error::closed(reason),
        10 => Error::timeout(reason, Duration::from_millis(number.into())),
        11 => Error::Blocked { reason },
        12 => Error::Refused,
        _ => Error::Backend { reason, source: None },
    })
}

/// Returns the error of a call over which the broker closed the connection without naming it.
fn failed_internally(reply_code: u16, text: String) -> Error {
    Error::Disconnected {
        reason: format!("the broker closed the connection: {reply_code} {text}"),
        // The host answers the call that is the cause.
        source: Some(Arc::new(HardClose::new(reply_code, text, 0, 0).with_suspects(0, 1))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test may fail by panicking"
    )]

    use super::*;

    #[test]
    fn written_errors_are_read_again() {
        let reason = || "NOT_FOUND - no queue 'jobs' in vhost '/'".to_string();
        for error in [
            Error::NotFound { reason: reason() },
            Error::AccessRefused { reason: reason() },
            Error::ResourceLocked { reason: reason() },
            Error::PreconditionFailed { reason: reason() },
            Error::Unavailable { reason: reason() },
            Error::HardError { code: 503, reason: reason() },
            Error::invalid("queue", "value", "limit"),
            Error::disconnected("lost"),
            failed_internally(541, "INTERNAL_ERROR".into()),
            Error::closed("channel"),
            Error::timeout("declare", Duration::from_millis(1500)),
            Error::Blocked { reason: "low on memory".into() },
            Error::Refused,
            Error::Backend { reason: reason(), source: None },
        ] {
            let mut octets = Vec::new();
            put_error(&mut octets, &error);
            let mut fields = FieldReader::new(&octets);
            let read = read_error(&mut fields).unwrap();
            assert_eq!(format!("{read:?}"), format!("{error:?}"));
            fields.finish().unwrap();
        }
    }

    #[test]
    fn unknown_code_keeps_its_reason() {
        let mut octets = Vec::new();
        put_error(&mut octets, &Error::Refused);
        octets[0] = 200;
        let read = read_error(&mut FieldReader::new(&octets)).unwrap();
        assert!(matches!(read, Error::Backend { .. }), "{read:?}");
    }
}
