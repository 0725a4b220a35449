//! What becomes of messages at which a handler fails: tried again after a pause that grows, then parked.
//!
//! | file | holds |
//! |---|---|
//! | `retry.rs` | [`Retry`]: how often, after which pauses |
//! | `ladder.rs` | the waiting queues: pauses, names, arguments; pure |
//! | `copy.rs` | what a copy that waits, or is parked, looks like; pure |
//! | `settings.rs` | what a program chose for a consumer |
//! | `channel.rs` | the channel on which copies are sent |
//! | `counted.rs` | attempts that no header carries |
//! | `paused.rs` | messages that pause in the process |
//! | `policy.rs` | the decision, and its execution |
//! | `breaker.rs` | the pause of a whole consumer after failures in a row |

mod breaker;
mod channel;
mod copy;
mod counted;
mod ladder;
mod paused;
mod policy;
mod retry;
mod settings;

pub use retry::Retry;

pub(crate) use breaker::Breaker;
pub(crate) use copy::{Original, deaths};
pub(crate) use policy::{Failure, FailureOutcome, FailurePolicy};
pub(crate) use settings::{Afterwards, FailureSettings, UndecodableHandler};
