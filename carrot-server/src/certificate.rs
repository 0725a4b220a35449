//! The common name in an X.509 certificate.

/// The object identifier of common names, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// The longest common name, in bytes, which is the longest name of a user.
const LONGEST: usize = 255;

const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The tag of the version, which certificates of version 1 omit.
const VERSION: u8 = 0xa0;

/// Returns the common name of the subject of a certificate in DER. As on RabbitMQ, several common
/// names are joined with commas.
///
/// Returns `None` if there is none, if it is no UTF-8 without control characters, if it has more
/// than 255 bytes, or if the certificate is malformed.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let mut certificate = Der(certificate).read(SEQUENCE)?;
    let mut fields = certificate.read(SEQUENCE)?;
    if fields.0.first() == Some(&VERSION) {
        fields.next()?;
    }
    // The serial number, the signature algorithm, the issuer and the validity.
    for _ in 0..4 {
        fields.next()?;
    }
    let mut subject = fields.read(SEQUENCE)?;
    let mut found: Option<String> = None;
    while !subject.0.is_empty() {
        let mut attributes = subject.read(SET)?;
        while !attributes.0.is_empty() {
            let mut attribute = attributes.read(SEQUENCE)?;
            let kind = attribute.read(OBJECT_IDENTIFIER)?;
            let (tag, value) = attribute.next()?;
            if kind.0 != COMMON_NAME {
                continue;
            }
            let name = text(tag, value.0)?;
            match &mut found {
                None => found = Some(name.to_string()),
                Some(names) => {
                    names.push(',');
                    names.push_str(name);
                }
            }
        }
    }
    found.filter(|name| !name.is_empty() && name.len() <= LONGEST)
}

fn text(tag: u8, octets: &[u8]) -> Option<&str> {
    if !matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING) {
        return None;
    }
    std::str::from_utf8(octets).ok().filter(|text| !text.contains(char::is_control))
}

/// The values of DER that have not been read. Reading takes a value from the front, and steps
/// forward in the same octets: nothing is allocated, and nothing is nested.
#[derive(Clone, Copy)]
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    /// Reads a value of this tag.
    fn read(&mut self, expected: u8) -> Option<Der<'d>> {
        self.next().filter(|(tag, _)| *tag == expected).map(|(_, value)| value)
    }

    /// Reads a value. Tags of several octets, and lengths over four octets, are malformed here.
    fn next(&mut self) -> Option<(u8, Der<'d>)> {
        let (tag, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let mut length = usize::from(*first);
        if *first >= 0x80 {
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return None;
            }
            let (octets, after) = rest.split_at_checked(count)?;
            length = octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
            rest = after;
        }
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, Der(value)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    fn certificate(name: DistinguishedName) -> Vec<u8> {
        let mut params = CertificateParams::new(["host".to_string()]).unwrap();
        params.distinguished_name = name;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn named(common_name: DnValue) -> Vec<u8> {
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, "the shop");
        name.push(DnType::CommonName, common_name);
        name.push(DnType::OrganizationalUnitName, "workers");
        certificate(name)
    }

    #[test]
    fn common_name_of_the_subject_is_found() {
        let names = ["ann", "jürgen", &"x".repeat(255)];
        for expected in names {
            let found = common_name(&named(DnValue::Utf8String(expected.into())));
            assert_eq!(found.as_deref(), Some(expected));
        }
        let printable = DnValue::PrintableString("worker 1".try_into().unwrap());
        assert_eq!(common_name(&named(printable)).as_deref(), Some("worker 1"));
    }

    #[test]
    fn unusable_common_name_is_none() {
        assert_eq!(common_name(&certificate(DistinguishedName::new())), None);
        for unusable in ["", "a\0b", "a\nb", &"x".repeat(256)] {
            let found = common_name(&named(DnValue::Utf8String(unusable.into())));
            assert_eq!(found, None, "{unusable:?}");
        }
    }

    #[test]
    fn malformed_certificate_is_none_and_never_panics() {
        let whole = named(DnValue::Utf8String("ann".into()));
        for length in 0..whole.len() {
            assert_eq!(common_name(&whole[..length]), None, "cut at {length}");
        }
        for index in 0..whole.len() {
            for flipped in [0x00, 0x7f, 0x80, 0x84, 0xff] {
                let mut broken = whole.clone();
                broken[index] = flipped;
                // Any result is right but a panic or another length.
                let _ = common_name(&broken);
            }
        }
        assert_eq!(common_name(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(common_name(&[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1]), None);
    }
}
