//! The octets by which OpenWire is recognized.

/// The word that follows the size and the type of the first command.
pub(super) const OPENWIRE_MAGIC: &[u8] = b"ActiveMQ";

/// Whether the first octets of a peer are those of OpenWire.
pub(super) fn is_openwire(first: &[u8]) -> bool {
    first.get(5..13) == Some(OPENWIRE_MAGIC)
}
