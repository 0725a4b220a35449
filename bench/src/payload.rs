//! What is in the bodies: bytes that do not matter, or an order that is encoded for each message and decoded from each.

use std::borrow::Cow;

use crate::order::Order;

/// What a peer without codecs of its own sends, and makes of what it gets.
#[derive(Debug, Clone)]
pub enum Payload {
    Bytes(Vec<u8>),
    Json(Order),
    Bincode(Order),
}

impl Payload {
    /// The body of the next message.
    pub fn body(&self) -> Cow<'_, [u8]> {
        match self {
            Payload::Bytes(bytes) => Cow::Borrowed(bytes),
            Payload::Json(order) => Cow::Owned(serde_json::to_vec(order).expect("an order is JSON")),
            Payload::Bincode(order) => Cow::Owned(bincode::serialize(order).expect("an order is bincode")),
        }
    }

    /// Decodes a body, if that is part of the work.
    pub fn take(&self, body: &[u8]) {
        let order: Order = match self {
            Payload::Bytes(_) => return,
            Payload::Json(_) => serde_json::from_slice(body).expect("an order"),
            Payload::Bincode(_) => bincode::deserialize(body).expect("an order"),
        };
        assert_eq!(order.lines.len(), 4);
    }
}
