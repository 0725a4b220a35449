//! Recognizes peers that are no broker with OpenWire, by their first octets.

/// Returns what speaks in place of a broker with OpenWire; `None` if that is not known.
pub(crate) fn foreign_peer(octets: &[u8]) -> Option<&'static str> {
    const TLS_ALERT: &[u8] = &[0x15, 0x03];
    const TLS_HANDSHAKE: &[u8] = &[0x16, 0x03];
    const KNOWN: [(&[u8], &str); 9] = [
        (b"AMQP", "the port speaks AMQP; the port of OpenWire is 61616 by default"),
        (b"HTTP", "the port speaks HTTP; the port of OpenWire is 61616 by default"),
        (b"<", "the port speaks HTTP; the port of OpenWire is 61616 by default"),
        (b"ERROR\n", "the port speaks STOMP; the port of OpenWire is 61616 by default"),
        (b"CONNECTED\n", "the port speaks STOMP; the port of OpenWire is 61616 by default"),
        (b"SSH-", "the port speaks SSH; the port of OpenWire is 61616 by default"),
        (&[0xff, 0, 0, 0], "the port speaks the protocol of ZeroMQ"),
        (TLS_ALERT, "the port expects TLS; use activemq+ssl:// in place of activemq://"),
        (TLS_HANDSHAKE, "the port expects TLS; use activemq+ssl:// in place of activemq://"),
    ];
    KNOWN.iter().find(|(start, _)| octets.starts_with(start)).map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn peers_are_recognized() {
        assert!(foreign_peer(b"AMQP\0\0\x09\x01").unwrap().contains("AMQP"));
        assert!(foreign_peer(b"HTTP/1.1 400 Bad Request").unwrap().contains("HTTP"));
        assert!(foreign_peer(&[0x15, 3, 3, 0, 2, 2, 10]).unwrap().contains("activemq+ssl://"));
        assert_eq!(foreign_peer(&[0, 0, 1, 0x46, 1]), None);
        assert_eq!(foreign_peer(b""), None);
    }
}
