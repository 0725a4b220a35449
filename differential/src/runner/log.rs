use std::collections::BTreeSet;

use crate::unspecified::Unspecified;

/// The observations of one operation, as lines of text.
pub type StepLog = Vec<String>;

/// The observations of one run of a program.
#[derive(Debug, Clone, Default)]
pub struct RunLog {
    /// One step for each operation, and one for the state at the end. With expected steps, ends
    /// with the first step that differs.
    pub steps: Vec<StepLog>,
    /// The first step after which AMQP does not specify the behaviour, and the reason.
    pub unspecified: Option<(usize, Unspecified)>,
    /// Whether the run was too slow for its timed operations, so a difference is no evidence.
    pub slow: bool,
    /// Every error in full, with its step. Notes are not compared.
    pub notes: Vec<String>,
    /// The queues and exchanges that the run created.
    pub created: CreatedEntities,
}

/// The queues and exchanges that a run created.
#[derive(Debug, Clone, Default)]
pub struct CreatedEntities {
    /// Queues, by their names at the broker.
    pub queues: BTreeSet<String>,
    /// Exchanges, by their names at the broker.
    pub exchanges: BTreeSet<String>,
}
