//! The side of programs that reach a host: the driver of carrot's contract.

pub(crate) mod backend;
pub(crate) mod channel_handle;
pub(crate) mod channel_state;
pub(crate) mod confirm_window;
pub(crate) mod connecting;
pub(crate) mod connector;
pub(crate) mod hello;
pub(crate) mod item;
pub(crate) mod link;
pub(crate) mod link_reader;
pub(crate) mod link_shared;
pub(crate) mod subscription;
