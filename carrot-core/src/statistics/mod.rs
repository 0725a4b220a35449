//! The figures of a connection: what its publishers and consumers count, and its health.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | [`Statistics`]: the numbers as a program reads them |
//! | `health.rs` | [`Health`] |
//! | `registry.rs` | [`Registry`]: sums the figures of all publishers, or of all consumers |
//! | `roles.rs` | the losses and reconnects of the connection of one role |

pub(crate) mod health;
pub(crate) mod registry;
pub(crate) mod roles;

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::statistics::health::WorkerHealth;
use crate::statistics::registry::{FigureSum, Registry};

/// The numbers of one connection, since it was created. Returned by
/// [`Connection::statistics`](crate::Connection::statistics).
///
/// The numbers cover all publishers and consumers of the connection, the dropped ones included.
/// Clones of a connection share them. Most numbers only grow; the documentation of a field says
/// "now" if it does not. A number without a unit counts messages.
///
/// The numbers of publishing belong to one moment, and so do those of one consumer. Numbers of
/// different publishers and consumers can be some microseconds apart.
///
/// Serializes to nested objects with these names. A missing field reads as zero.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = carrot::connect("memory://")?;
/// connection.declare_queue("jobs")?;
/// let publisher = connection.publisher().routing_key("jobs").build()?;
/// publisher.send_all(["one", "two"])?;
/// drop(publisher);
///
/// let statistics = connection.statistics();
/// assert_eq!(statistics.publishing.confirmed, 2);
/// assert_eq!(statistics.connecting.publish.losses, 0);
/// println!("{}", serde_json::to_string(&statistics)?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Statistics {
    /// The messages that publishers sent.
    pub publishing: PublishingStatistics,
    /// The messages that consumers received.
    pub consuming: ConsumingStatistics,
    /// The connections to the broker.
    pub connecting: ConnectingStatistics,
}

/// The messages that the publishers of a connection sent. Part of [`Statistics`].
///
/// At each moment, `published` equals `confirmed + returned + refused + failed + without_confirm +
/// in_flight`.
///
/// The answers of the broker count once they are here: reading the statistics takes them, up to the
/// oldest message without an answer. Copies of failed messages, which consumers send, are not
/// counted here, and neither are the requests of callers. The answers of servers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PublishingStatistics {
    /// Admitted to the window of a publisher, or sent by a publisher without confirms. Messages
    /// that failed before, such as invalid ones, do not count.
    pub published: u64,
    /// Confirmed by the broker.
    pub confirmed: u64,
    /// Returned by the broker, because the message was mandatory and could not be routed.
    pub returned: u64,
    /// Refused by the broker with a nack.
    pub refused: u64,
    /// Failed in any other way, for example at the send timeout. The broker may have the message.
    pub failed: u64,
    /// Sent by publishers without confirms. Their outcome stays unknown.
    pub without_confirm: u64,
    /// Times that a message was sent again after a loss or a nack.
    pub resent: u64,
    /// Without a known outcome now.
    pub in_flight: u64,
    /// The bodies of the messages in flight now, in bytes.
    pub bytes_in_flight: u64,
}

/// The messages that the consumers of a connection received. Part of [`Statistics`].
///
/// Handlers are those of workers and of callbacks. The results of messages that the program settles
/// itself are not counted, except those given to [`Message::fail`](crate::Message::fail) and
/// [`Message::retry_after`](crate::Message::retry_after). The other names are those of
/// [`Report`](crate::Report).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConsumingStatistics {
    /// Passed to the program: to a worker, to callbacks, or as a result of a fetch or an iterator.
    /// A message that is delivered again counts again.
    pub delivered: u64,
    /// Handled and acknowledged.
    pub acknowledged: u64,
    /// Handled, and rejected by the handler.
    pub rejected: u64,
    /// Handled, and requeued by the handler; or failed, and requeued because the consumer leaves
    /// failures to the broker.
    pub requeued: u64,
    /// Attempts at which the handler failed or panicked, or that the program failed itself.
    pub failed: u64,
    /// Attempts at which the body could not be decoded, or a part of the message not be read.
    pub undecodable: u64,
    /// Failed, and tried again later.
    pub retried: u64,
    /// Parked permanently.
    pub parked: u64,
    /// Rejected after the last attempt, or because a part of the message could not be read.
    pub discarded: u64,
    /// Failed, but neither copied nor parked: kept in the process for the pause, and then requeued.
    /// A growing number needs a repair.
    pub paused: u64,
    /// Delivered, but requeued because the consumer was stopped.
    pub requeued_unhandled: u64,
    /// Failed or not handled, with automatic acknowledgement. The broker no longer has the message.
    pub lost: u64,
    /// Handled after the channel was lost. The broker redelivers the message.
    pub stale: u64,
    /// Workers and callbacks that are busy with a message now, pauses in the process excluded.
    pub handlers_running: u64,
    /// Failed messages that wait in the process now, for their next attempt or to be requeued.
    pub paused_messages: u64,
    /// The bodies that consumers with
    /// [`max_held_bytes`](crate::ConsumerDefinition::max_held_bytes) hold now, in bytes: the
    /// program's and those that wait for it. Zero for consumers with automatic acknowledgement.
    pub held_bytes: u64,
    /// Times that `max_held_bytes` made a consumer cancel its subscription, to subscribe again with
    /// a smaller or larger prefetch.
    pub prefetch_changes: u64,
    /// Times that
    /// [`pause_after_failures`](crate::ConsumerDefinition::pause_after_failures) paused a consumer.
    pub consumer_pauses: u64,
    /// Runs of consumers that `pause_after_failures` pauses now.
    pub paused_consumers: u64,
}

/// The connections to the broker. Part of [`Statistics`].
///
/// Publishers share one connection; consumers and declarations share another. With AMQP, a consumer
/// without a prefetch has a connection of its own, which counts as one for consuming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConnectingStatistics {
    /// The connection of the publishers.
    pub publish: RoleStatistics,
    /// The connection of the consumers and declarations.
    pub consume: RoleStatistics,
}

/// The connection of one role. Part of [`ConnectingStatistics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RoleStatistics {
    /// Times that the connection was lost. A close by this program is no loss, and neither is a
    /// failed attempt to connect.
    pub losses: u64,
    /// Times that the connection was open again after a loss.
    pub reconnects: u64,
    /// Whether the broker blocks publishing on the connection now.
    pub blocked: bool,
}

/// The figures of all publishers of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct PublishingSum {
    pub(crate) statistics: PublishingStatistics,
    /// The time when the message that was confirmed last was sent.
    pub(crate) last_confirmed: Option<Instant>,
}

impl FigureSum for PublishingSum {
    fn forget_current(&mut self) {
        self.statistics.in_flight = 0;
        self.statistics.bytes_in_flight = 0;
    }
}

/// The figures of all consumers of a connection, and of their runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConsumingSum {
    pub(crate) statistics: ConsumingStatistics,
    pub(crate) workers: WorkerHealth,
}

impl FigureSum for ConsumingSum {
    fn forget_current(&mut self) {
        let statistics = &mut self.statistics;
        statistics.handlers_running = 0;
        statistics.paused_messages = 0;
        statistics.held_bytes = 0;
        statistics.paused_consumers = 0;
        self.workers = WorkerHealth::default();
    }
}

/// Sums the figures of the publishers and of the consumers of one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionFigures {
    pub(crate) publishing: Arc<Registry<PublishingSum>>,
    pub(crate) consuming: Arc<Registry<ConsumingSum>>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn statistics_survive_json_and_other_versions() {
        let mut statistics = Statistics::default();
        statistics.publishing.confirmed = u64::MAX;
        statistics.consuming.parked = 3;
        statistics.connecting.consume.blocked = true;
        let mut json = serde_json::to_value(statistics).unwrap();
        assert_eq!(json["consuming"]["parked"], 3, "{json}");
        json["consuming"]["added_later"] = 1.into();
        assert_eq!(serde_json::from_value::<Statistics>(json).unwrap(), statistics);
        assert_eq!(serde_json::from_str::<Statistics>("{}").unwrap(), Statistics::default());
    }
}
