use std::error::Error as StdError;
use std::fmt;

use crate::consumer::handler_error::HandlerError;
use crate::error::Error;
use crate::escaping::printable;
use crate::model::{Properties, Value};
use crate::panic_guard::{describe, drop_guarded};

/// The header of an answer that holds the kind of an error.
const KIND_HEADER: &str = "carrot-error-kind";
/// The header of an answer that holds the text of an error.
const MESSAGE_HEADER: &str = "carrot-error";
/// The maximum length of a kind, in bytes.
const LONGEST_KIND: usize = 100;
/// The maximum length of a text, in bytes.
const LONGEST_MESSAGE: usize = 1000;
/// The kind of an error whose header is no text.
const UNKNOWN: &str = "unknown";

/// An error with which a server answers a request: a kind for programs, and a text for people.
///
/// The caller receives both as [`Error::Remote`]. Any error converts to one of the kind
/// [`HANDLER`](RemoteError::HANDLER), by `?` or `.into()`.
///
/// ```
/// use carrot::call::RemoteError;
///
/// fn rate(pair: &str) -> Result<f64, RemoteError> {
///     match pair {
///         "GBP/USD" => Ok("1.27".parse()?),
///         _ => Err(RemoteError::new("unknown-pair", format!("no rate of {pair}"))),
///     }
/// }
///
/// assert_eq!(rate("XXX/USD").unwrap_err().kind(), "unknown-pair");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteError {
    kind: String,
    message: String,
}

impl RemoteError {
    /// The kind of an error that a handler returns without a kind.
    pub const HANDLER: &str = "handler";
    /// The kind of the answer after a panic of a handler.
    pub const PANIC: &str = "panic";
    /// The kind of the answer to a request that the server could not decode.
    pub const DECODE: &str = "decode";
    /// The kind of the answer whose value could not be encoded, or was too large to send.
    pub const ENCODE: &str = "encode";

    /// Creates an error. Control characters of both texts are escaped. A kind is cut after 100
    /// bytes, and a text after 1000 bytes.
    pub fn new(kind: impl AsRef<str>, message: impl AsRef<str>) -> RemoteError {
        RemoteError {
            kind: printable(LONGEST_KIND, kind.as_ref()),
            message: printable(LONGEST_MESSAGE, message.as_ref()),
        }
    }

    /// Returns the kind, by which a caller decides.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the text, for people and logs.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Reads the error of an answer, if it is one.
    pub(crate) fn of_answer(properties: &Properties) -> Option<RemoteError> {
        // A kind of another type is an error, too: the body holds no answer then.
        let kind = properties.header(KIND_HEADER)?;
        let message = properties.header(MESSAGE_HEADER).and_then(Value::as_str).unwrap_or_default();
        Some(RemoteError::new(kind.as_str().unwrap_or(UNKNOWN), message))
    }

    /// Adds the error to the properties of an answer.
    pub(crate) fn add_to(&self, properties: Properties) -> Properties {
        properties.with_header(KIND_HEADER, &*self.kind).with_header(MESSAGE_HEADER, &*self.message)
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (kind {:?})", self.message, self.kind)
    }
}

impl fmt::Debug for RemoteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RemoteError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .finish()
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync + 'static>>> From<E> for RemoteError {
    /// Converts an error to one of the kind [`HANDLER`](RemoteError::HANDLER), with the texts of
    /// its sources.
    fn from(error: E) -> RemoteError {
        let error = error.into();
        let remote = RemoteError::new(RemoteError::HANDLER, describe(&*error));
        drop_guarded(error);
        remote
    }
}

impl From<RemoteError> for Error {
    fn from(RemoteError { kind, message }: RemoteError) -> Error {
        Error::Remote { kind, message }
    }
}

/// The error types of a server's handler: any error that is `Send` and `Sync`, a string, a
/// [`HandlerError`], or a [`RemoteError`].
#[diagnostic::on_unimplemented(
    message = "the handler of a server cannot fail with `{Self}`",
    label = "this error cannot be a server's",
    note = "a server's handler fails with an error that is `Send + Sync + 'static`, with a string, \
            or with a `carrot::call::RemoteError`"
)]
pub trait IntoRemoteError {
    /// Converts the value to the error of an answer. Only a [`RemoteError`] has a kind of its own.
    fn into_remote_error(self) -> RemoteError;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn StdError + Send + Sync + 'static>>> IntoRemoteError for E {
    fn into_remote_error(self) -> RemoteError {
        RemoteError::from(self)
    }
}

impl IntoRemoteError for RemoteError {
    fn into_remote_error(self) -> RemoteError {
        self
    }
}

impl IntoRemoteError for HandlerError {
    fn into_remote_error(self) -> RemoteError {
        RemoteError::from(self.into_inner())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn remote_error_survives_an_answer() {
        let sent = RemoteError::new("unknown-pair", "no rate\nof \u{1b}[31m");
        let properties = sent.add_to(Properties::new());
        assert_eq!(RemoteError::of_answer(&properties).unwrap(), sent);
        assert_eq!(sent.message(), "no rate\\nof \\u{1b}[31m");
    }

    #[test]
    fn remote_error_long_is_cut() {
        let long = "x".repeat(100_000);
        let error = RemoteError::new(&long, &long);
        assert!(error.kind().len() < 120 && error.message().len() < 1020);
        let hostile =
            Properties::new().with_header(KIND_HEADER, &*long).with_header(MESSAGE_HEADER, &*long);
        assert_eq!(RemoteError::of_answer(&hostile).unwrap(), error);
    }

    #[test]
    fn remote_error_with_headers_of_other_types_is_of_unknown_kind() {
        let hostile = Properties::new()
            .with_header(KIND_HEADER, vec![Value::from(1)])
            .with_header(MESSAGE_HEADER, 7);
        assert_eq!(RemoteError::of_answer(&hostile).unwrap(), RemoteError::new("unknown", ""));
        let answer = Properties::new().with_header(MESSAGE_HEADER, "an answer all the same");
        assert_eq!(RemoteError::of_answer(&answer), None);
    }

    #[test]
    fn remote_error_of_an_error_names_its_sources() {
        let error = Error::Encode {
            content_type: "text/plain".into(),
            source: std::sync::Arc::new(std::io::Error::other("inner")),
        };
        let remote = error.into_remote_error();
        assert_eq!(remote.kind(), RemoteError::HANDLER);
        assert!(remote.message().ends_with(": inner"), "{remote}");
        assert_eq!("text".into_remote_error().message(), "text");
        let handler = HandlerError::permanent("gone").into_remote_error();
        assert_eq!((handler.kind(), handler.message()), ("handler", "gone"));
    }
}
