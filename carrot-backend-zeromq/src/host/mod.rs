//! The side that has the broker.

pub(crate) mod builder;
pub(crate) mod calls;
pub(crate) mod channel;
pub(crate) mod connection;
#[cfg(unix)]
pub(crate) mod folder_lock;
pub(crate) mod item;
pub(crate) mod output;
pub(crate) mod peer;
pub(crate) mod reader;
pub(crate) mod running;
pub(crate) mod seen_tags;
pub(crate) mod settings;
#[cfg(unix)]
pub(crate) mod socket_file;
pub(crate) mod writer;
