//! Programs: plain data that can be generated, shrunk, printed and kept.
//!
//! Names are slots of small pools. Several operations therefore use the same entity.
//! [`Names`](crate::names::Names) translates slots to names at the broker.

use serde::{Deserialize, Serialize};

use crate::specs::{
    BindingSpec, ConsumeSpec, ExchangeName, ExchangeSpec, PublishSpec, QueueName, QueueSpec,
    TableValue, is_false, is_zero,
};
use crate::unspecified::SHORTLY;

/// A sequence of operations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Program {
    /// The operations, in the order in which they run.
    pub operations: Vec<ProgramOperation>,
}

impl Program {
    /// Returns whether an operation has an effect that is due [`SHORTLY`].
    pub fn is_timed(&self) -> bool {
        let shortly = i64::try_from(SHORTLY.as_millis()).unwrap_or(i64::MAX);
        self.operations.iter().any(|operation| match &operation.action {
            ProgramAction::DeclareQueue(queue) => queue.arguments.iter().any(|(name, value)| {
                matches!(&**name, "x-message-ttl" | "x-expires" | "x-delayed-retry-min")
                    && *value == TableValue::I64(shortly)
            }),
            ProgramAction::Publish(publish) => publish
                .properties
                .expiration
                .as_ref()
                .is_some_and(|expiration| *expiration == shortly.to_string()),
            _ => false,
        })
    }
}

/// The number of channel slots.
pub const CHANNELS: u8 = 4;
/// The number of connection slots.
pub const CONNECTIONS: usize = 2;
/// The slot of the channel without confirms.
pub const UNCONFIRMED: u8 = 2;

/// Returns the connection slot of a channel slot.
pub fn connection_of(channel: u8) -> usize {
    usize::from(channel == CHANNELS - 1)
}

/// One action on one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgramOperation {
    /// The slot of the channel: 0 to 2 on the first connection, 3 on the second. Slot 2 has no
    /// confirms. The first use of a slot opens its channel.
    #[serde(rename = "on", default, skip_serializing_if = "is_zero")]
    pub channel: u8,
    /// Whether to use a failed channel. If `false`, the run opens a new channel first.
    #[serde(rename = "even_if_dead", default, skip_serializing_if = "is_false")]
    pub even_if_failed: bool,
    /// The action.
    #[serde(rename = "do")]
    pub action: ProgramAction,
}

/// An action on a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramAction {
    /// Declares an exchange.
    DeclareExchange(ExchangeSpec),
    /// Declares a queue.
    DeclareQueue(QueueSpec),
    /// Creates a binding.
    Bind(BindingSpec),
    /// Deletes a binding.
    Unbind(BindingSpec),
    /// Deletes an exchange.
    DeleteExchange {
        /// The name.
        name: ExchangeName,
        /// Whether to delete the exchange only if it is unused.
        #[serde(default, skip_serializing_if = "is_false")]
        if_unused: bool,
    },
    /// Deletes a queue.
    DeleteQueue {
        /// The name.
        name: QueueName,
        /// Whether to delete the queue only if it has no consumer.
        #[serde(default, skip_serializing_if = "is_false")]
        if_unused: bool,
        /// Whether to delete the queue only if it has no ready message.
        #[serde(default, skip_serializing_if = "is_false")]
        if_empty: bool,
    },
    /// Purges a queue.
    Purge(QueueName),
    /// Publishes a message.
    Publish(PublishSpec),
    /// Waits for all outstanding confirms of the channel.
    Confirm,
    /// Gets a message.
    Get {
        /// The queue.
        queue: QueueName,
        /// Whether the broker acknowledges automatically.
        #[serde(default, skip_serializing_if = "is_false")]
        automatic: bool,
    },
    /// Starts a consumer.
    Consume(ConsumeSpec),
    /// Receives deliveries of a lazy consumer.
    Take {
        /// The index of a live subscription, modulo their number.
        subscription: u8,
        /// The largest number of deliveries.
        most: u8,
    },
    /// Cancels a consumer.
    Cancel {
        /// The index of a live subscription, modulo their number.
        subscription: u8,
    },
    /// Drops a subscription.
    DropSubscription {
        /// The index of a live subscription, modulo their number.
        subscription: u8,
    },
    /// Acknowledges a delivery.
    Ack {
        /// The delivery.
        delivery: DeliveryChoice,
        /// Whether to settle all earlier deliveries, too.
        #[serde(default, skip_serializing_if = "is_false")]
        multiple: bool,
    },
    /// Rejects a delivery.
    Reject {
        /// The delivery.
        delivery: DeliveryChoice,
        /// Whether to requeue the message.
        #[serde(default, skip_serializing_if = "is_false")]
        requeue: bool,
        /// Whether a requeued message counts as a failed delivery.
        #[serde(default, skip_serializing_if = "is_false")]
        failed: bool,
        /// Whether to settle all earlier deliveries, too.
        #[serde(default, skip_serializing_if = "is_false")]
        multiple: bool,
    },
    /// Closes the channel.
    CloseChannel,
    /// Drops the channel and its subscriptions.
    DropChannel,
    /// Closes the connection of the channel.
    CloseConnection,
    /// Waits until all effects that are due shortly have happened.
    Wait,
}

/// The delivery to settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryChoice {
    /// An unsettled delivery of the channel, modulo their number, the oldest first. If the channel
    /// has none, a delivery of the next channel with unsettled deliveries.
    Unsettled(u8),
    /// A settled delivery of the channel, modulo their number.
    Settled(u8),
    /// Tag zero.
    Zero,
    /// A tag that the broker has not used.
    Unknown,
}
