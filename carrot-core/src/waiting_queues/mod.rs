//! Queues in which messages wait for a time before the broker moves them on.
//!
//! | file | holds |
//! |---|---|
//! | `names.rs` | names that are bounded and outlive a version; pure |
//! | `arguments.rs` | the arguments of a waiting queue; pure |
//! | `delay_levels.rs` | the levels of a delay, and the routing key through them; pure |
//! | `delay_chain.rs` | the exchanges and queues of delayed messages; pure |
//! | `declaring.rs` | declares a waiting queue |
//! | `known_parts.rs` | the parts of a chain that are known to exist |
//! | `declared_chains.rs` | declares the chains that a publisher uses |

pub(crate) mod arguments;
pub(crate) mod declared_chains;
pub(crate) mod declaring;
pub(crate) mod delay_chain;
pub(crate) mod delay_levels;
pub(crate) mod known_parts;
pub(crate) mod names;
