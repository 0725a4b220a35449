//! Exchanges, bindings and settings of queues, which the broker does not have.

pub(crate) mod death_mark;
pub(crate) mod death_record;
pub(crate) mod queue_rules;
pub(crate) mod routing_definitions;
pub(crate) mod table_octets;
