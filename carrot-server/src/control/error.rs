//! The errors of the control interface.

use std::fmt::Display;

use carrot_core::Error;
use carrot_core::backend::printable;
use serde_json::{Value, json};

/// The longest part of a wrong value in an error, in bytes.
pub(crate) const LONGEST_VALUE: usize = 100;
/// The longest error, in bytes.
const LONGEST_ERROR: usize = 2000;

/// A request that fails: the status of its response, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlError {
    pub(crate) status: u16,
    pub(crate) reason: String,
}

impl ControlError {
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> ControlError {
        ControlError { status, reason: reason.into() }
    }

    /// A field with a wrong value.
    pub(crate) fn field(name: &str, value: &Value, limit: impl Display) -> ControlError {
        let value = printable(LONGEST_VALUE, value);
        ControlError::new(400, format!("field {name:?}: {value}: {limit}"))
    }

    /// Returns the body of the response.
    pub(crate) fn body(&self) -> Value {
        json!({ "error": printable(LONGEST_ERROR, &self.reason) })
    }
}

impl From<Error> for ControlError {
    fn from(error: Error) -> ControlError {
        let status = match error {
            Error::NotFound { .. } => 404,
            Error::Timeout { .. } | Error::Refused => 409,
            Error::PreconditionFailed { .. } | Error::Invalid { .. } => 400,
            _ => 500,
        };
        ControlError::new(status, error.to_string())
    }
}
