mod broker;
mod conformance;
mod exchanges;
mod failed_messages;
mod features;
