//! One call of an operation.

use std::sync::Mutex;

use carrot_backend_memory::Broker;
use serde_json::{Value, json};

use crate::control::error::ControlError;
use crate::control::fields::ControlFields;
use crate::control::operations::kept_recordings::KeptRecordings;

/// The longest name of an entity, in bytes (AMQP 0-9-1 4.2.5.3).
pub(super) const LONGEST_NAME: usize = 255;

/// One call of an operation.
pub(super) struct OperationCall<'c> {
    pub(super) vhost: &'c str,
    pub(super) broker: &'c Broker,
    pub(super) fields: ControlFields,
    pub(super) recordings: &'c Mutex<KeptRecordings>,
    /// Whether the interface ends.
    pub(super) is_stopping: &'c dyn Fn() -> bool,
}

/// The result of an operation that returns nothing.
pub(super) fn done() -> Result<Value, ControlError> {
    Ok(json!({}))
}
