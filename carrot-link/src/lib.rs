//! The parts that the drivers of Carrot share, for protocols with threads of their own.
//!
//! * A [`LinkAttempt`] connects to the first of several addresses, within one deadline.
//! * [`RoleLinks`] hold the connection of each role. One thread opens it, and the others wait.
//! * A [`LinkLife`] reports how a connection ended, and holds the entries that last as long.
//! * A [`LinkCall`] waits for the answer to a call.
//! * [`start_threads`] starts the reader and the writer of a connection. [`write_items`] is the
//!   work of the writer.
//! * A [`CallDeadline`] is the end of the time of a call.
//!
//! The crate knows no protocol. Programs do not use it.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![warn(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unreachable)]

mod call_deadline;
#[cfg_attr(not(feature = "tls"), path = "no_client_tls.rs")]
mod client_tls;
mod link_attempt;
mod link_call;
mod link_life;
mod link_threads;
mod role_links;

pub use call_deadline::CallDeadline;
pub use link_attempt::LinkAttempt;
pub use link_call::LinkCall;
pub use link_life::LinkLife;
pub use link_threads::{start_threads, write_items};
pub use role_links::{RoleLink, RoleLinks, on_live_link};
