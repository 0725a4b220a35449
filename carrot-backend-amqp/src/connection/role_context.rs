//! The parts of a connection that its successors share.

use std::sync::{Arc, Weak};

use carrot_core::backend::Role;

use super::call_isolation::CallIsolation;
use super::observers::Observers;
use super::supervisor::Supervisor;

/// The parts of a connection that outlive it.
#[derive(Clone)]
pub(crate) struct RoleContext {
    pub(crate) role: Role,
    pub(crate) observers: Weak<Observers>,
    pub(crate) isolation: Arc<CallIsolation>,
    pub(crate) supervisor: Arc<Supervisor>,
    /// The bytes that may wait for the program, on a connection whose consumer has no prefetch.
    pub(crate) max_waiting_bytes: Option<u64>,
}
