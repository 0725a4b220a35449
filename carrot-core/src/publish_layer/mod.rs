//! Layers around sending: the trait, the messages that the layers see, and their order.

pub(crate) mod layer;
pub(crate) mod outgoing;
pub(crate) mod passed_layers;
