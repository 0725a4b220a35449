mod broker;
mod cancelling;
mod conformance;
mod delays;
mod exchanges;
mod failed_messages;
mod features;
mod queue_removal;
