//! Defines exchanges, queues, bindings, and the properties of messages as plain data.

mod binding;
mod delayed_retry;
mod delete_if;
mod exchange;
mod header_table;
mod leader_locator;
mod properties;
mod queue;
mod queue_arguments;
mod short_string;
mod timestamp;
mod value;
mod value_from;
mod value_serde;

pub use binding::{Binding, Destination};
pub use delayed_retry::DelayedRetry;
pub use delete_if::DeleteIf;
pub use exchange::{Exchange, ExchangeKind};
pub use leader_locator::LeaderLocator;
pub use properties::{DeliveryMode, Properties};
pub(crate) use queue::TEMPORARY_QUEUE;
pub use queue::{Overflow, Queue, QueueInfo};
pub(crate) use queue_arguments::whole_seconds;
pub use short_string::ShortString;
pub use timestamp::Timestamp;
pub use value::{Headers, Value};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn topology_in_json_has_the_defaults_of_the_constructors() {
        let queue: Queue = serde_json::from_str(r#"{"name": "jobs"}"#).unwrap();
        assert_eq!(queue, Queue::new("jobs"));
        let exchange: Exchange =
            serde_json::from_str(r#"{"name": "prices", "type": "topic"}"#).unwrap();
        assert_eq!(exchange, Exchange::topic("prices"));
        let binding: Binding =
            serde_json::from_str(r#"{"source": "prices", "destination": {"queue": "jobs"}}"#)
                .unwrap();
        assert_eq!(binding, Binding::queue("prices", "jobs", ""));
    }

    #[test]
    fn topology_survives_json() {
        let queue = Queue::new("jobs").quorum().max_length(10).argument("x-other", vec![1_u8, 2]);
        let written = serde_json::to_string(&queue).unwrap();
        assert_eq!(serde_json::from_str::<Queue>(&written).unwrap(), queue);
        let exchange = Exchange::new("delays", ExchangeKind::Custom("x-delayed".into()))
            .alternate_exchange("unrouted");
        let written = serde_json::to_string(&exchange).unwrap();
        assert_eq!(serde_json::from_str::<Exchange>(&written).unwrap(), exchange);
        let binding = Binding::exchange("prices", "copies", "usd.#").argument("n", 1);
        let written = serde_json::to_string(&binding).unwrap();
        assert_eq!(serde_json::from_str::<Binding>(&written).unwrap(), binding);
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let error = serde_json::from_str::<Queue>(r#"{"name": "jobs", "durabel": true}"#);
        assert!(error.unwrap_err().to_string().contains("durabel"));
    }
}
