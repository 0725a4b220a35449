//! Reopens connections and channels after a loss.

pub(crate) mod backoff;
pub(crate) mod channel;
pub(crate) mod effects;
pub(crate) mod handle;
pub(crate) mod hard_closes;
pub(crate) mod hooks;
pub(crate) mod isolation;
pub(crate) mod nack_grace;
pub(crate) mod reconnecting;
pub(crate) mod serial_channel;
pub(crate) mod shared;
pub(crate) mod wait_queue;
