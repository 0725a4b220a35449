use crate::backend::{Backend, DeliveryTag, Extent, Rejection};
use crate::error::Result;

/// The settlement of a message at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    Ack,
    Reject,
    /// Requeues without counting a failed delivery.
    Return,
    /// Requeues and counts a failed delivery.
    Fail,
}

impl Disposition {
    pub(super) fn send(self, channel: &dyn Backend, tag: DeliveryTag) -> Result<()> {
        match self {
            Disposition::Ack => channel.ack(tag, Extent::One),
            Disposition::Reject => channel.reject(tag, Rejection::Discard, Extent::One),
            Disposition::Return => channel.reject(tag, Rejection::Requeue, Extent::One),
            Disposition::Fail => channel.reject(tag, Rejection::RequeueFailed, Extent::One),
        }
    }
}
