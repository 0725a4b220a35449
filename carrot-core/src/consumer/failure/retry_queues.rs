//! The waiting queues of copies: one for each length of pause, named and declared by rule; pure.
//!
//! Names and arguments outlive a version of this crate, because the queues stay at the broker. They
//! never change. Another rule gets another `v`.

use std::time::Duration;

use crate::backend::Capabilities;
use crate::model::{Queue, TEMPORARY_QUEUE, whole_seconds};
use crate::waiting_queues::arguments::{kept, waiting_queue};
use crate::waiting_queues::names::{self, is_stem_of, with_suffix};

const STEPS: u32 = 18;
/// The longest pause: 131,072 s.
pub(super) const LONGEST: Duration = Duration::from_secs(1 << (STEPS - 1));
const INFIX: &str = ".retry.v";
const VERSION: &str = "1.";

/// One length of pause: a power of two of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryStep(u32);

impl RetryStep {
    /// Returns the shortest step that is at least `pause`, or the longest step.
    pub(super) fn at_least(pause: Duration) -> RetryStep {
        RetryStep(
            whole_seconds(pause)
                .max(1)
                .checked_next_power_of_two()
                .map_or(STEPS, u64::trailing_zeros)
                .min(STEPS - 1),
        )
    }

    pub(super) fn pause(self) -> Duration {
        Duration::from_secs(1 << self.0)
    }

    /// Returns the queue in which copies of messages of `queue` wait for this long.
    pub(super) fn queue(self, queue: &str, capabilities: Capabilities) -> Queue {
        let waiting = waiting_queue(self.queue_name(queue), self.pause(), "");
        kept(waiting.dead_letter_routing_key(queue), capabilities)
    }

    pub(super) fn queue_name(self, queue: &str) -> String {
        with_suffix(queue, &format!("{INFIX}{VERSION}{}s", 1_u64 << self.0))
    }
}

/// Returns whether copies of messages of `queue` wait in the queue `name`, by the rule of any
/// version.
pub(super) fn is_step_of(name: &str, queue: &str) -> bool {
    names::split(name, INFIX).is_some_and(|(stem, end)| {
        let seconds = end.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok());
        seconds.is_some() && is_stem_of(stem, queue)
    })
}

/// Returns the default name of the parking queue of `queue`. All server-named queues share one:
/// their prefix is reserved, and each would leave a parking queue behind.
pub(super) fn parking_name(queue: &str) -> String {
    let is_server_named = queue.starts_with("amq.") || queue.starts_with(TEMPORARY_QUEUE);
    with_suffix(if is_server_named { "server-named" } else { queue }, ".failed")
}

/// Returns the parking queue: durable, and replicated if the broker supports that.
pub(super) fn parking(name: &str, capabilities: Capabilities) -> Queue {
    let parking = Queue::new(name);
    match capabilities {
        Capabilities { quorum_queues: false, .. } => parking,
        // A parked message that is inspected and requeued repeatedly must not be dropped.
        Capabilities { default_delivery_limit: true, .. } => {
            parking.quorum().without_delivery_limit()
        }
        _ => parking.quorum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Headers, Value};

    const QUORUM: Capabilities = Capabilities {
        delayed_publish: false,
        secret_updates: false,
        waiting_queues: true,
        quorum_queues: true,
        default_delivery_limit: false,
        delayed_retry: false,
        direct_reply_to: false,
        queue_durable_after: Duration::ZERO,
    };
    const CLASSIC: Capabilities = Capabilities { quorum_queues: false, ..QUORUM };

    fn at_least(milliseconds: u64) -> u64 {
        RetryStep::at_least(Duration::from_millis(milliseconds)).pause().as_secs()
    }

    #[test]
    fn a_pause_is_rounded_up_to_a_power_of_two() {
        assert_eq!([0, 1, 1000, 1001, 2000, 3000, 600_000].map(at_least), [1, 1, 1, 2, 2, 4, 1024]);
        assert_eq!(at_least(131_072_000), 131_072);
        assert_eq!(RetryStep::at_least(Duration::MAX).pause(), LONGEST);
    }

    // These names and arguments exist at brokers: this test must never be changed.
    #[test]
    fn names_and_arguments_never_change() {
        let step = RetryStep::at_least(Duration::from_secs(4));
        let expected = Headers::from([
            ("x-message-ttl", Value::from(4000)),
            ("x-dead-letter-exchange", Value::from("")),
            ("x-dead-letter-routing-key", Value::from("orders")),
        ]);
        let classic = step.queue("orders", CLASSIC);
        assert_eq!((&*classic.name, classic.durable), ("orders.retry.v1.4s", true));
        let as_numbers =
            |queue: &Queue| queue.arguments.get("x-message-ttl").and_then(Value::as_i64);
        assert_eq!(as_numbers(&classic), Some(4000));
        assert_eq!(
            classic.arguments.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            expected.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
        let quorum = step.queue("orders", QUORUM);
        for (name, value) in [
            ("x-queue-type", "quorum"),
            ("x-dead-letter-strategy", "at-least-once"),
            ("x-overflow", "reject-publish"),
        ] {
            assert_eq!(quorum.arguments.get(name).and_then(Value::as_str), Some(value));
        }
        assert_eq!(quorum.arguments.len(), 6);
        assert_eq!(parking_name("orders"), "orders.failed");
        for name in ["amq.gen-x", "temp-queue://carrot-consume-f6de79bd:7"] {
            assert_eq!(parking_name(name), "server-named.failed");
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_unique() {
        let names: Vec<String> = ["a", "b"]
            .map(|end| {
                RetryStep::at_least(LONGEST).queue_name(&format!("{}{end}", "x".repeat(254)))
            })
            .into();
        assert_ne!(names[0], names[1]);
        assert!(
            names.iter().all(|name| name.len() == 255 && name.ends_with(".retry.v1.131072s")),
            "{names:?}"
        );
    }

    #[test]
    fn a_waiting_queue_is_recognized_by_its_name() {
        for name in ["orders.retry.v1.4s", "orders.retry.v2.7s"] {
            assert!(is_step_of(name, "orders"), "{name}");
        }
        for name in [
            "orders",
            "orders.failed",
            "orders.retry.v1.4",
            "orders.retry.vx.4s",
            "orders.retry.v1.xs",
            "other.retry.v1.4s",
            "orders~eu.retry.v1.4s",
        ] {
            assert!(!is_step_of(name, "orders"), "{name}");
        }
        let long = "x".repeat(255);
        assert!(is_step_of(&RetryStep::at_least(LONGEST).queue_name(&long), &long));
    }
}
