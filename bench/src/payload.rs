//! The bodies of a job: fixed bytes, or an order that is encoded and decoded for each message.

use std::borrow::Cow;

use crate::order::SampleOrder;

/// The bodies that a peer without codecs sends and receives.
#[derive(Debug, Clone)]
pub enum JobPayload {
    Bytes(Vec<u8>),
    Json(SampleOrder),
    Bincode(SampleOrder),
}

impl JobPayload {
    /// Returns the body of the next message.
    pub fn body(&self) -> Cow<'_, [u8]> {
        match self {
            JobPayload::Bytes(bytes) => Cow::Borrowed(bytes),
            JobPayload::Json(order) => Cow::Owned(serde_json::to_vec(order).expect("an order is JSON")),
            JobPayload::Bincode(order) => Cow::Owned(bincode::serialize(order).expect("an order is bincode")),
        }
    }

    /// Decodes a body, if that is part of the job.
    pub fn decode(&self, body: &[u8]) {
        let order: SampleOrder = match self {
            JobPayload::Bytes(_) => return,
            JobPayload::Json(_) => serde_json::from_slice(body).expect("an order"),
            JobPayload::Bincode(_) => bincode::deserialize(body).expect("an order"),
        };
        assert_eq!(order.lines.len(), 4);
    }
}
