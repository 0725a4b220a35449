//! Names of direct replies, which reach a channel without a queue.

/// The queue name that stands for direct replies to the consuming channel.
pub(super) const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";

/// Returns whether an address for replies is one of direct replies.
///
/// RabbitMQ before 4.3 returns each mandatory message to such an address, also if it arrives.
pub(super) fn is_direct(address: &str) -> bool {
    address.starts_with(PSEUDO_QUEUE)
}
