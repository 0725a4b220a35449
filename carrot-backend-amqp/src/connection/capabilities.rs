//! The features of a broker, by its product and version; pure.

use std::time::Duration;

use carrot_core::backend::Capabilities;

/// RabbitMQ writes the names of quorum queues to disk at most a second after their declaration
/// (measured with 3.10.8 and 4.3.6).
const SETTLE_IN: Duration = Duration::from_millis(1200);

/// The smallest frame_max of RabbitMQ 4.1 and later.
pub(crate) const RABBITMQ_MIN_FRAME_MAX: u32 = 8192;

/// The features and limits of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BrokerFeatures {
    pub(crate) capabilities: Capabilities,
    /// The smallest frame_max that the broker accepts; 0 if it is not known.
    pub(crate) min_frame_max: u32,
}

/// Returns the features of a product in a version. A product that is not RabbitMQ has the features
/// that all AMQP brokers share.
pub(crate) fn of(product: &str, version: &str) -> BrokerFeatures {
    let mut numbers = version
        .split(|letter: char| !letter.is_ascii_digit())
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let is_rabbitmq = product == "RabbitMQ";
    let mut capabilities = Capabilities::default();
    capabilities.waiting_queues = true;
    capabilities.secret_updates = is_rabbitmq && version >= (3, 8);
    capabilities.quorum_queues = is_rabbitmq && version >= (3, 10);
    capabilities.default_delivery_limit = is_rabbitmq && version >= (4, 0);
    capabilities.delayed_retry = is_rabbitmq && version >= (4, 3);
    capabilities.direct_reply_to = is_rabbitmq && version >= (3, 4);
    capabilities.queue_durable_after = SETTLE_IN;
    let min_frame_max = if is_rabbitmq && version >= (4, 1) { RABBITMQ_MIN_FRAME_MAX } else { 0 };
    BrokerFeatures { capabilities, min_frame_max }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_release_has_its_features() {
        let said = |product, version| {
            let Capabilities { secret_updates, quorum_queues, default_delivery_limit, .. } =
                of(product, version).capabilities;
            (secret_updates, quorum_queues, default_delivery_limit)
        };
        assert_eq!(said("RabbitMQ", "3.7.28"), (false, false, false));
        assert_eq!(said("RabbitMQ", "3.9.29"), (true, false, false));
        assert_eq!(said("RabbitMQ", "3.10.8"), (true, true, false));
        assert_eq!(said("RabbitMQ", "3.13.7+beta"), (true, true, false));
        assert_eq!(said("RabbitMQ", "4.0.5"), (true, true, true));
        assert_eq!(said("RabbitMQ", "10.0"), (true, true, true));
        assert_eq!(said("LavinMQ", "4.0.0"), (false, false, false));
        assert_eq!(said("RabbitMQ", "4294967296.x"), (false, false, false));
    }

    #[test]
    fn messages_are_delayed_since_4_3() {
        let delays = |product, version| of(product, version).capabilities.delayed_retry;
        assert!(delays("RabbitMQ", "4.3.0") && delays("RabbitMQ", "5.0.0"));
        assert!(!delays("RabbitMQ", "4.2.9") && !delays("LavinMQ", "4.3.0"));
    }

    #[test]
    fn direct_replies_exist_since_3_4() {
        let replies = |product, version| of(product, version).capabilities.direct_reply_to;
        assert!(replies("RabbitMQ", "3.4.0") && replies("RabbitMQ", "4.3.6"));
        assert!(!replies("RabbitMQ", "3.3.5") && !replies("LavinMQ", "4.3.0"));
    }

    #[test]
    fn small_frames_are_refused_since_4_1() {
        let least = |product, version| of(product, version).min_frame_max;
        assert_eq!([least("RabbitMQ", "4.0.9"), least("RabbitMQ", "4.1.0")], [0, 8192]);
        assert_eq!([least("RabbitMQ", "10.0"), least("LavinMQ", "4.1.0")], [8192, 0]);
    }
}
