//! What differs between the releases of RabbitMQ that the broker imitates. Everything else is the
//! same in all of them.

use carrot_core::RabbitMqRelease;

/// The rules of one release.
#[derive(Debug)]
pub(crate) struct ReleaseRules {
    pub(crate) release: RabbitMqRelease,
    /// The largest body of a message, in bytes.
    pub(crate) largest_body: usize,
    /// Whether the declaration of an exchange of an unknown type closes the connection. Otherwise,
    /// it closes the channel.
    pub(crate) unknown_exchange_type_closes_connection: bool,
}

const V3_10: ReleaseRules = ReleaseRules {
    release: RabbitMqRelease::V3_10,
    largest_body: 134_217_728,
    unknown_exchange_type_closes_connection: true,
};

const V4_3: ReleaseRules = ReleaseRules {
    release: RabbitMqRelease::V4_3,
    largest_body: 16_777_216,
    unknown_exchange_type_closes_connection: false,
};

impl ReleaseRules {
    /// Returns the rules of a release; those of the newest known release for a later one.
    pub(crate) fn of(release: RabbitMqRelease) -> &'static ReleaseRules {
        match release {
            RabbitMqRelease::V3_10 => &V3_10,
            _ => &V4_3,
        }
    }
}
