//! Calls: requests, and their answers by another program.

pub(crate) mod answer;
pub(crate) mod caller;
pub(crate) mod definition;
mod direct_reply;
pub(crate) mod remote_error;
mod replies;
pub(crate) mod request_builder;
mod serve;
pub(crate) mod settings;
mod shared;
