//! RabbitMQ's management API, which lists what AMQP cannot.

#[cfg(feature = "management")]
mod client;
#[cfg(not(feature = "management"))]
#[path = "no_client.rs"]
mod client;
mod management_url;

pub(crate) use client::ManagementClient;
pub(crate) use management_url::ManagementUrl;
