//! The credentials of a peer.

use carrot_amqp_wire::{RawValue, ShortStr, TableRef};

/// The mechanism of client certificates.
pub(crate) const EXTERNAL: &str = "EXTERNAL";

/// Returns the mechanisms that the server offers.
pub(crate) fn mechanisms(has_client_certificate: bool) -> &'static str {
    if has_client_certificate { "PLAIN AMQPLAIN EXTERNAL" } else { "PLAIN AMQPLAIN" }
}

/// User and password, as a mechanism encodes them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerCredentials<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a [u8],
}

impl<'a> PeerCredentials<'a> {
    /// Reads the response of a mechanism. Returns `None` for an unknown mechanism, and for a
    /// malformed response.
    pub(crate) fn read(mechanism: ShortStr<'_>, response: &'a [u8]) -> Option<PeerCredentials<'a>> {
        let (user, password) = match mechanism.as_bytes() {
            b"PLAIN" => {
                // RabbitMQ knows no identity to act as, which would be the first part.
                let mut parts = response.strip_prefix(&[0])?.splitn(2, |octet| *octet == 0);
                (parts.next()?, parts.next()?)
            }
            b"AMQPLAIN" => {
                let table = TableRef::new(response).ok()?;
                match (table.get("LOGIN")?, table.get("PASSWORD")?) {
                    (RawValue::LongString(user), RawValue::LongString(password)) => {
                        (user.as_bytes(), password.as_bytes())
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(PeerCredentials { user: std::str::from_utf8(user).ok()?, password })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn both_mechanisms_are_read() {
        let plain = PeerCredentials::read("PLAIN".into(), b"\0ann\0hu\0sh").unwrap();
        assert_eq!((plain.user, plain.password), ("ann", &b"hu\0sh"[..]));
        let table = b"\x05LOGINS\0\0\0\x03ann\x08PASSWORDS\0\0\0\x04hush";
        let amqplain = PeerCredentials::read("AMQPLAIN".into(), table).unwrap();
        assert_eq!((amqplain.user, amqplain.password), ("ann", &b"hush"[..]));
    }

    #[test]
    fn malformed_responses_are_refused() {
        for (mechanism, response) in [
            ("PLAIN", &b""[..]),
            ("PLAIN", b"\0ann"),
            ("PLAIN", b"bob\0ann\0hush"),
            ("PLAIN", b"\0\xff\0hush"),
            ("AMQPLAIN", b"\x05LOGINS\0\0\0\x03ann"),
            ("AMQPLAIN", b"\x05LOGINt\x01\x08PASSWORDS\0\0\0\x04hush"),
            ("AMQPLAIN", b"\xff"),
            ("EXTERNAL", b"\0ann\0hush"),
        ] {
            let read = PeerCredentials::read(mechanism.into(), response);
            assert!(read.is_none(), "{mechanism} {response:?}");
        }
    }
}
