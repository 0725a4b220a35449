//! The contract of carrot-core: connectors, channels and subscriptions.

pub(crate) mod backend;
pub(crate) mod channel_handle;
pub(crate) mod connector;
pub(crate) mod declare;
pub(crate) mod subscription;
