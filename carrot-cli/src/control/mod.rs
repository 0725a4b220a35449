//! The control interface of a hosted broker.

mod client;
mod control_url;
mod entries;

pub(crate) use client::HostedControl;
pub(crate) use control_url::ControlUrl;
