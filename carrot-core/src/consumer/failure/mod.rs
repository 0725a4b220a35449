//! What becomes of messages at which a handler fails: tried again after a pause that grows, then
//! parked.
//!
//! | file | holds |
//! |---|---|
//! | `retry.rs` | [`Retry`]: how often, after which pauses |
//! | `retry_queues.rs` | the waiting queues: pauses, names, arguments; pure |
//! | `copy.rs` | what a copy that waits, or is parked, looks like; pure |
//! | `settings.rs` | what a program chose for a consumer |
//! | `copy_channel.rs` | the channel on which copies are sent |
//! | `local_attempts.rs` | attempts that no header carries |
//! | `paused.rs` | messages that pause in the process |
//! | `policy.rs` | the decision, and its execution |
//! | `circuit_breaker.rs` | the pause of a whole consumer after failures in a row |

mod circuit_breaker;
mod copy;
mod copy_channel;
mod failed;
mod local_attempts;
mod paused;
mod policy;
mod retry;
mod retry_queues;
mod settings;

pub use retry::Retry;

pub(crate) use circuit_breaker::CircuitBreaker;
pub(crate) use copy::{Original, deaths};
pub(crate) use failed::Failure;
pub(crate) use local_attempts::LocalAttempts;
pub(crate) use policy::{FailureOutcome, FailurePolicy};
pub(crate) use settings::{Afterwards, FailureSettings, UndecodableHandler};
