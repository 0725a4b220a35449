//! Plain data: exchanges, queues, bindings, and the properties of messages.

mod binding;
mod delete_if;
mod exchange;
mod properties;
mod queue;
mod short_string;
mod value;

pub use binding::{Binding, Destination};
pub use delete_if::DeleteIf;
pub use exchange::{Exchange, ExchangeKind};
pub use properties::{DeliveryMode, Properties};
pub use queue::{Overflow, Queue, QueueInfo};
pub use short_string::ShortString;
pub use value::{Headers, Timestamp, Value};
