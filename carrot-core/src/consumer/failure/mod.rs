//! The treatment of failed messages: retried after growing pauses, then parked.
//!
//! | file | holds |
//! |---|---|
//! | `retry.rs` | [`Retry`]: number of attempts, and pauses |
//! | `retry_queues.rs` | the waiting queues: pauses, names, arguments; pure |
//! | `broker_pause.rs` | the way in which a broker keeps a copy for a pause; pure |
//! | `copy.rs` | the contents of waiting and parked copies; pure |
//! | `settings.rs` | the settings of a consumer |
//! | `copy_channel.rs` | the channel on which copies are sent |
//! | `local_attempts.rs` | attempts that no header counts |
//! | `pause_place.rs` | where the messages of a consumer pause |
//! | `pause_queue.rs` | pauses that end at a time of the clock |
//! | `paused.rs` | messages that pause in the process, and are then requeued |
//! | `outcome.rs` | the treatments of a failed message |
//! | `failure_log.rs` | the log lines about failed messages |
//! | `policy.rs` | the decision, and its execution |
//! | `circuit_breaker.rs` | the pause of a whole consumer after consecutive failures |

mod broker_pause;
mod circuit_breaker;
mod copy;
mod copy_channel;
mod failed;
mod failure_log;
mod local_attempts;
mod outcome;
mod pause_place;
mod pause_queue;
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
pub(crate) use outcome::FailureOutcome;
pub(crate) use pause_queue::{PauseQueue, Pausing};
pub(crate) use policy::FailurePolicy;
pub(crate) use settings::{Afterwards, FailureSettings, UndecodableHandler};
