mod broker;
mod cancelling;
mod conformance;
mod exchanges;
mod failed_messages;
mod features;
