//! Messages of Carrot as messages of JMS, and back.

mod broker_delay;
mod from_message;
mod jms_headers;
mod kept_properties;
pub(crate) mod queue_name;
mod to_message;

pub(crate) use broker_delay::BrokerDelay;
pub(crate) use from_message::{ReceivedContent, from_message};
pub(crate) use to_message::{MessageTerms, check_content, to_message};

/// The most bytes of all properties of a message.
const MOST_PROPERTY_BYTES: usize = 1 << 20;
