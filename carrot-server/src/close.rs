//! The reasons for which the server closes a channel or a connection.

use carrot_amqp_wire::WireError;
use carrot_backend_memory::session::Refusal;
use carrot_core::Error;

/// The longest reply text, in bytes (AMQP 0-9-1 4.2.5.3).
const LONGEST_TEXT: usize = 255;

/// The part of a connection that an error closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseScope {
    Channel,
    Connection,
}

/// A close that the server sends, in RabbitMQ's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) scope: CloseScope,
    pub(crate) code: u16,
    /// At most 255 bytes.
    pub(crate) text: String,
    /// The class and the number of the method that caused the close, or zeros.
    pub(crate) method: (u16, u16),
}

impl Close {
    pub(crate) fn connection(code: u16, text: impl Into<String>) -> Close {
        Close::new(CloseScope::Connection, code, text.into())
    }

    fn new(scope: CloseScope, code: u16, text: String) -> Close {
        Close { scope, code, text: shortened(text), method: (0, 0) }
    }

    /// Names the method that caused the close.
    pub(crate) fn caused_by(self, method: (u16, u16)) -> Close {
        Close { method, ..self }
    }

    /// Returns the close over an error of the broker.
    pub(crate) fn refused(error: &Error, vhost: &str) -> Close {
        let refusal = Refusal::of(error).in_vhost(vhost);
        let scope =
            if refusal.closes_connection { CloseScope::Connection } else { CloseScope::Channel };
        Close::new(scope, refusal.code, refusal.text)
    }

    pub(crate) fn not_implemented(reason: &str) -> Close {
        Close::connection(540, format!("NOT_IMPLEMENTED - {reason}"))
    }

    pub(crate) fn unexpected_frame(reason: &str) -> Close {
        Close::connection(505, format!("UNEXPECTED_FRAME - {reason}"))
    }

    pub(crate) fn channel_error(reason: &str) -> Close {
        Close::connection(504, format!("CHANNEL_ERROR - {reason}"))
    }

    pub(crate) fn not_allowed(reason: &str) -> Close {
        Close::connection(530, format!("NOT_ALLOWED - {reason}"))
    }

    /// Returns the close of a peer that does not read what others send. `bytes` is the limit.
    pub(crate) fn unread(bytes: usize) -> Close {
        let reason = "the client does not read: direct replies that wait for it exceed";
        Close::connection(506, format!("RESOURCE_ERROR - {reason} {bytes} bytes"))
    }

    /// Returns the close over a method that a server does not expect.
    pub(crate) fn unimplemented_method() -> Close {
        Close::connection(503, "COMMAND_INVALID - unimplemented method")
    }

    /// Returns the close over a string that has to be UTF-8.
    pub(crate) fn malformed_text() -> Close {
        Close::connection(501, "FRAME_ERROR - Malformed UTF-8 in shortstr")
    }

    /// Returns the close over octets that are no frame.
    pub(crate) fn malformed_frame(error: &WireError) -> Close {
        // RabbitMQ does not expect an empty heartbeat on a channel, and knows none with a payload.
        if let WireError::Heartbeat { size: 0, .. } = error {
            return Close::unexpected_frame(&error.to_string());
        }
        Close::connection(501, format!("FRAME_ERROR - {error}"))
    }

    /// Returns the close over octets that RabbitMQ cannot decode. A process of RabbitMQ fails, and
    /// names no method.
    pub(crate) fn undecodable() -> Close {
        Close::connection(541, "INTERNAL_ERROR")
    }

    /// Returns the close over a method whose fields are malformed.
    pub(crate) fn malformed_method(error: &WireError, payload: &[u8]) -> Close {
        match error {
            WireError::UnknownMethod { .. } => {
                Close::unimplemented_method().caused_by(ids(payload))
            }
            _ if payload.len() < 4 => Close::malformed_frame(error),
            _ => Close::connection(501, format!("FRAME_ERROR - cannot decode: {error}"))
                .caused_by(ids(payload)),
        }
    }
}

/// Returns the class and the number of a method, as far as the payload has them.
fn ids(payload: &[u8]) -> (u16, u16) {
    match payload {
        [a, b, c, d, ..] => (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])),
        _ => (0, 0),
    }
}

/// Cuts a text as RabbitMQ does, at a character.
fn shortened(mut text: String) -> String {
    const MARK: &str = "...";
    if text.len() > LONGEST_TEXT {
        let end = text.floor_char_boundary_before(LONGEST_TEXT - MARK.len());
        text.truncate(end);
        text.push_str(MARK);
    }
    text
}

/// Finds the last boundary of a character at or before a position.
trait Boundary {
    fn floor_char_boundary_before(&self, position: usize) -> usize;
}

impl Boundary for String {
    fn floor_char_boundary_before(&self, position: usize) -> usize {
        (0..=position).rev().find(|index| self.is_char_boundary(*index)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_text_is_cut_at_255_bytes() {
        let close = Close::not_allowed(&"ü".repeat(200));
        assert!(close.text.len() <= 255 && close.text.ends_with("ü..."), "{}", close.text);
        let short = Close::not_allowed("no");
        assert_eq!(short.text, "NOT_ALLOWED - no");
    }

    #[test]
    fn refusal_names_the_virtual_host() {
        let reason = "NOT_FOUND - no queue 'q' in vhost '/'".to_string();
        let close = Close::refused(&Error::NotFound { reason }, "blue");
        assert_eq!(close.text, "NOT_FOUND - no queue 'q' in vhost 'blue'");
        assert_eq!((close.code, close.scope), (404, CloseScope::Channel));
    }

    #[test]
    fn unexpected_error_of_the_broker_closes_the_connection() {
        let close = Close::refused(&Error::closed("channel"), "/");
        assert_eq!((close.code, close.scope), (541, CloseScope::Connection));
    }
}
