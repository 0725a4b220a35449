//! The greeting, the first 64 octets of each peer.

use crate::zmtp::frame::ZmtpError;

/// The size of a greeting, in octets.
pub(crate) const GREETING: usize = 64;
/// The size of the part of a greeting that names no mechanism, in octets.
pub(crate) const GREETING_START: usize = 11;
/// The octets that protocols of other servers begin with, and their names.
const OTHERS: [(&[u8], &str); 5] = [
    (b"AMQP", "AMQP"),
    // A handshake, and an alert.
    (b"\x16\x03", "TLS"),
    (b"\x15\x03", "TLS"),
    (b"GET ", "HTTP"),
    (b"POST", "HTTP"),
];

/// How a peer proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// The peer proves nothing.
    Null,
    /// User and password.
    Plain,
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Mechanism::Null => "NULL",
            Mechanism::Plain => "PLAIN",
        }
    }
}

/// Returns the greeting of a peer that speaks ZMTP 3.1.
pub(crate) fn greeting(mechanism: Mechanism, is_host: bool) -> [u8; GREETING] {
    let mut octets = [0; GREETING];
    octets[0] = 0xFF;
    octets[9] = 0x7F;
    octets[10] = 3;
    octets[11] = 1;
    let name = mechanism.name().as_bytes();
    octets.iter_mut().skip(12).zip(name).for_each(|(place, octet)| *place = *octet);
    octets[32] = u8::from(is_host && mechanism == Mechanism::Plain);
    octets
}

/// Collects the greeting of a peer.
#[derive(Debug, Default)]
pub(crate) struct GreetingReader {
    octets: Vec<u8>,
}

impl GreetingReader {
    /// Returns whether the peer answers PING, which ZMTP 3.0 lacks. The greeting is complete.
    pub(crate) fn has_heartbeats(&self) -> bool {
        let version = self.octets.get(10..12).unwrap_or_default();
        version >= &[3, 1][..]
    }

    /// Takes octets of the peer. Returns the mechanism that it names, once the greeting is
    /// complete.
    ///
    /// # Errors
    /// The octets are no greeting, or of a version before 3. The first wrong octet is enough.
    pub(crate) fn read(&mut self, octets: &mut &[u8]) -> Result<Option<Mechanism>, ZmtpError> {
        let missing = (GREETING - self.octets.len()).min(octets.len());
        let (taken, rest) = octets.split_at(missing);
        self.octets.extend_from_slice(taken);
        *octets = rest;
        let seen = |at: usize| self.octets.get(at).copied();
        if seen(0).is_some_and(|octet| octet != 0xFF) || seen(9).is_some_and(|octet| octet & 1 == 0)
        {
            let other = OTHERS.iter().find(|(start, _)| self.octets.starts_with(start));
            return Err(ZmtpError::NotZmtp { other: other.map(|(_, name)| *name) });
        }
        if let Some(version) = seen(10).filter(|version| *version < 3) {
            return Err(ZmtpError::Version { major: version });
        }
        let Some(name) = self.octets.get(12..32).filter(|_| self.octets.len() == GREETING) else {
            return Ok(None);
        };
        let name = name.split(|octet| *octet == 0).next().unwrap_or_default();
        [Mechanism::Null, Mechanism::Plain]
            .into_iter()
            .find(|mechanism| mechanism.name().as_bytes() == name)
            .map(Some)
            .ok_or_else(|| ZmtpError::Mechanism {
                named: String::from_utf8_lossy(name).into_owned(),
            })
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

    fn read(octets: &[u8]) -> Result<Option<Mechanism>, ZmtpError> {
        let mut reader = GreetingReader::default();
        let mut read = Ok(None);
        for octet in octets {
            read = reader.read(&mut &[*octet][..]);
            if read.is_err() {
                break;
            }
        }
        read
    }

    #[test]
    fn greeting_in_any_cut_names_its_mechanism() {
        for mechanism in [Mechanism::Null, Mechanism::Plain] {
            let octets = greeting(mechanism, true);
            assert_eq!(read(&octets), Ok(Some(mechanism)));
            let mut whole = &[&octets[..], b"rest"].concat()[..];
            assert_eq!(GreetingReader::default().read(&mut whole), Ok(Some(mechanism)));
            assert_eq!(whole, b"rest");
        }
    }

    #[test]
    fn other_protocols_are_refused_at_once() {
        for (octets, other) in [
            (&b"AMQP\0\0\x09\x01"[..], Some("AMQP")),
            (b"GET / HTTP/1.1", Some("HTTP")),
            (b"\x16\x03\x01", Some("TLS")),
            (b"\x15\x03\x03\0\x02\x02\x0a", Some("TLS")),
            (b"\0", None),
        ] {
            let refused = GreetingReader::default().read(&mut &octets[..]);
            assert_eq!(refused, Err(ZmtpError::NotZmtp { other }));
        }
        let mut old = greeting(Mechanism::Null, false);
        old[10] = 2;
        assert_eq!(read(&old), Err(ZmtpError::Version { major: 2 }));
    }

    #[test]
    fn unknown_mechanism_is_refused_by_name() {
        let mut octets = greeting(Mechanism::Null, false);
        octets[12..17].copy_from_slice(b"CURVE");
        assert_eq!(read(&octets), Err(ZmtpError::Mechanism { named: "CURVE".into() }));
    }
}
