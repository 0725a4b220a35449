mod broker;
mod conformance;
mod features;
