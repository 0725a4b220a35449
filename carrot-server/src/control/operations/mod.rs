//! The operations of the control interface, by name.

mod call;
mod clock;
mod faults;
mod inspect;
mod kept_recordings;
mod messages;
mod recordings;
mod shown;

use std::collections::BTreeMap;
use std::sync::Mutex;

use carrot_backend_memory::Broker;
use carrot_core::backend::printable;
use serde_json::{Value, json};

use crate::control::error::{ControlError, LONGEST_VALUE};
use crate::control::fields::ControlFields;
use crate::control::operations::call::{LONGEST_NAME, OperationCall};
use crate::control::operations::kept_recordings::KeptRecordings;

/// The virtual host of an operation that names none.
pub(super) const DEFAULT_VHOST: &str = "/";

/// The brokers that a control interface controls.
pub(crate) struct ControlledBrokers {
    vhosts: BTreeMap<String, Broker>,
    recordings: Mutex<KeptRecordings>,
}

/// Takes the fields, checks that none remains, and only then acts.
type Operate = fn(OperationCall<'_>) -> Result<Value, ControlError>;

/// Every operation, except `vhosts`, which has no virtual host.
const OPERATIONS: &[(&str, Operate)] = &[
    ("advance_clock", clock::advance),
    ("advance_clock_to_next", clock::advance_to_next),
    ("bindings", inspect::bindings),
    ("block_publishers", faults::block_publishers),
    ("clear_faults", faults::clear),
    ("clock", clock::show),
    ("close_connection_at", faults::close_connection_at),
    ("connections", inspect::connections),
    ("delay", faults::delay),
    ("drop_connections", faults::drop_connections),
    ("drop_connections_at", faults::drop_connections_at),
    ("exchanges", inspect::exchanges),
    ("fail_next", faults::fail_next),
    ("faults", faults::show),
    ("lose_confirms", faults::lose_confirms),
    ("messages", messages::peek),
    ("nack_publishes", faults::nack_publishes),
    ("put", messages::put),
    ("queue", inspect::queue),
    ("queues", inspect::queues),
    ("record", recordings::start),
    ("recorded", recordings::show),
    ("refuse_connects", faults::refuse_connects),
    ("refuse_messages", faults::refuse_messages),
    ("statistics", inspect::statistics),
    ("stop_recording", recordings::stop),
    ("unblock_publishers", faults::unblock_publishers),
    ("wait_until_idle", inspect::wait_until_idle),
];
const VHOSTS: &str = "vhosts";

impl ControlledBrokers {
    pub(crate) fn new(vhosts: BTreeMap<String, Broker>) -> ControlledBrokers {
        ControlledBrokers { vhosts, recordings: Mutex::default() }
    }

    /// Carries out an operation. `body` has its fields.
    pub(crate) fn carry_out(
        &self,
        name: &str,
        body: &[u8],
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<Value, ControlError> {
        if name == VHOSTS {
            ControlFields::of_body(body)?.finish()?;
            return Ok(json!({ "vhosts": self.vhosts.keys().collect::<Vec<_>>() }));
        }
        let Some((_, operate)) = OPERATIONS.iter().find(|(known, _)| *known == name) else {
            let name = printable(LONGEST_VALUE, name);
            let known: Vec<&str> = OPERATIONS.iter().map(|(known, _)| *known).collect();
            let reason =
                format!("no operation \"{name}\"; there are {VHOSTS}, {}", known.join(", "));
            return Err(ControlError::new(404, reason));
        };
        let mut fields = ControlFields::of_body(body)?;
        let vhost = fields.optional_text("vhost", LONGEST_NAME)?;
        let vhost = vhost.as_deref().unwrap_or(DEFAULT_VHOST);
        let Some(broker) = self.vhosts.get(vhost) else {
            let reason = format!("no virtual host \"{}\"", printable(LONGEST_VALUE, vhost));
            return Err(ControlError::new(404, reason));
        };
        operate(OperationCall { vhost, broker, fields, recordings: &self.recordings, is_stopping })
    }
}
