use carrot_core::backend::{Acknowledgement, ConsumeOptions, Rejection};

use super::unacked::SettlementKind;

/// The parts of a consumer's options that decide about its deliveries.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConsumerTerms {
    pub(super) is_automatic: bool,
    /// Whether the consumer reads a stream, as its offset shows.
    pub(super) is_stream: bool,
    /// The maximum number of deliveries that wait.
    pub(super) max_waiting: Option<usize>,
}

impl ConsumerTerms {
    pub(super) fn of(options: &ConsumeOptions) -> ConsumerTerms {
        let is_automatic = options.acknowledgement == Acknowledgement::Automatic;
        let is_stream = options.arguments.contains("x-stream-offset");
        let is_limited = !is_automatic && options.prefetch > 0;
        let max_waiting = is_limited.then(|| max_waiting(options.prefetch, is_stream));
        ConsumerTerms { is_automatic, is_stream, max_waiting }
    }

    /// Returns the settlement of a delivery that no caller has received.
    ///
    /// A stream keeps its messages. RabbitMQ 3.10 closes the connection over a nack to a stream.
    pub(super) fn unread(self) -> SettlementKind {
        if self.is_stream {
            SettlementKind::Ack
        } else {
            SettlementKind::Reject(Rejection::Requeue)
        }
    }
}

/// Returns the maximum number of deliveries that wait for a consumer.
///
/// A broker that moves a queue to another node may send a prefetch again before the first was
/// settled. Several such moves in a short time are allowed for with the rest. RabbitMQ 3.10 sends
/// whole chunks of a stream: 66 messages waited with a prefetch of 1 (measured with 3.10.8).
fn max_waiting(prefetch: u16, is_stream: bool) -> usize {
    const REST: usize = 10;
    const STREAM_CHUNKS: usize = 20_000;
    2 * usize::from(prefetch) + if is_stream { STREAM_CHUNKS } else { REST }
}
