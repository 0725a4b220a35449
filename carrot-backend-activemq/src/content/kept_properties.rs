//! The parts that JMS has no place for: one property of octets, which other clients pass on.
//!
//! The octets are a version, the exchange and the routing key, each behind its length, and the
//! property list of AMQP 0-9-1.

use carrot_amqp_wire::PropertiesRef;
use carrot_core::Properties;
use carrot_core::backend::ShortString;

/// The name of the property.
pub(crate) const NAME: &str = "carrot";
/// The name of the property that marks dead letters. No header of a program has it.
pub(crate) const DEATH_MARK: &str = "carrotDeath";
/// The version of the octets.
const VERSION: u8 = 1;

/// The parts of a message that JMS does not have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptProperties {
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    pub(crate) properties: Properties,
}

/// Returns the octets.
///
/// # Errors
/// The text of a limit that the properties exceed.
pub(crate) fn write(
    exchange: &ShortString,
    routing_key: &ShortString,
    properties: &Properties,
) -> Result<Vec<u8>, String> {
    let mut out = vec![VERSION];
    for name in [exchange, routing_key] {
        let octets = name.as_bytes();
        let length = u8::try_from(octets.len())
            .map_err(|_| format!("a name has {} bytes, and the limit is 255", octets.len()))?;
        out.push(length);
        out.extend_from_slice(octets);
    }
    PropertiesRef::from(properties).write(&mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

/// Reads the octets.
///
/// # Errors
/// The reason, without octets of the peer.
pub(crate) fn read(octets: &[u8]) -> Result<KeptProperties, String> {
    let Some((&version, rest)) = octets.split_first() else {
        return Err(format!("the property {NAME} is empty"));
    };
    if version != VERSION {
        return Err(format!("the property {NAME} has the version {version}, and not {VERSION}"));
    }
    let (exchange, rest) = short(rest)?;
    let (routing_key, rest) = short(rest)?;
    let properties = PropertiesRef::read(rest).map_err(|error| error.to_string())?;
    Ok(KeptProperties { exchange, routing_key, properties: properties.to_properties() })
}

fn short(octets: &[u8]) -> Result<(ShortString, &[u8]), String> {
    let split =
        octets.split_first().and_then(|(&length, rest)| rest.split_at_checked(length.into()));
    let (name, rest) = split.ok_or_else(|| format!("the property {NAME} ends within a name"))?;
    Ok((ShortString::from_octets(name), rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn written() -> Vec<u8> {
        let properties = Properties::new().with_app_id("shop").with_header("n", 3_u32);
        write(&"events".into(), &ShortString::from_octets(&[0xe9, 0xff]), &properties).unwrap()
    }

    #[test]
    fn parts_are_read_as_written() {
        let kept = read(&written()).unwrap();
        assert_eq!(kept.exchange.as_str(), "events");
        assert_eq!(kept.routing_key.as_bytes(), [0xe9, 0xff]);
        let properties = Properties::new().with_app_id("shop").with_header("n", 3_u32);
        assert_eq!(kept.properties, properties);
    }

    #[test]
    fn every_cut_is_refused() {
        let written = written();
        for end in 0..written.len() {
            assert!(read(&written[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn other_version_is_refused() {
        let mut written = written();
        written[0] = 2;
        let reason = "the property carrot has the version 2, and not 1";
        assert_eq!(read(&written).unwrap_err(), reason);
    }
}
