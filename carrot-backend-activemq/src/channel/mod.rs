//! Channels, as the contract of backends requires them. A channel is a session of a connection.

pub(crate) mod backend;
mod channel_core;
mod channel_guard;
mod commands;
pub(crate) mod connector;
mod consumer_priority;
mod consuming;
mod deletion;
mod discarding;
mod exchange_changes;
mod exchange_checks;
mod fetching;
mod inbox;
mod link_family;
mod publish_answers;
mod publishing;
mod purged_messages;
mod purging;
mod queue_settings;
mod queues;
mod routing;
mod settling;
mod subscription;
mod supported;
mod unsent_letter;
