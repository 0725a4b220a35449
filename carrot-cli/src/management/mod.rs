//! RabbitMQ's management API.

mod client;
mod management_url;

pub(crate) use client::{ManagementClient, in_path};
pub(crate) use management_url::ManagementUrl;
