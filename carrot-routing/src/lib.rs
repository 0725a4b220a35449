//! Exchanges and bindings in memory, and the queues that a message reaches.
//!
//! A [`RoutingTable`] holds the exchanges, queues and bindings of one broker. It routes as AMQP
//! 0-9-1 and RabbitMQ do: direct, fanout, topic and headers exchanges, bindings between exchanges,
//! and alternate exchanges.
//!
//! * The memory broker keeps its own queues in a table, as [`RoutedQueue`]s.
//! * A backend whose broker has no exchanges keeps the definitions in the broker, and routes with a
//!   table of [`NamedQueue`]s that it builds from them.
//!
//! A table has no lock and does no I/O. It checks what routing needs: that an exchange and a queue
//! exist, and that the arguments of a binding are valid. The other rules of a broker, such as who
//! may bind, are those of the backend.
//!
//! The crate is a part of the crates that use it. It is published beside them, and its version
//! makes no promise of its own. Programs do not use it.
//!
//! ```
//! use carrot_core::{Binding, Exchange};
//! use carrot_routing::{NumberMatch, RoutedQueue, RoutingTable};
//!
//! let exchanges = [Exchange::topic("prices"), Exchange::fanout("audit")];
//! let bindings = [
//!     Binding::queue("prices", "dollars", "usd.#"),
//!     Binding::exchange("prices", "audit", "#"),
//!     Binding::queue("audit", "journal", ""),
//! ];
//! let table = RoutingTable::from_definitions(NumberMatch::ByValue, exchanges, bindings)?;
//!
//! let routes = table.routes("prices", "usd.stock", None).expect("the exchange exists");
//! let mut names: Vec<&str> = routes.iter().map(|queue| &**queue.name()).collect();
//! names.sort_unstable();
//! assert_eq!(names, ["dollars", "journal"]);
//! # Ok::<(), carrot_routing::RoutingError>(())
//! ```

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod behaviour;
mod binding_index;
mod copies;
mod death_record;
mod error;
mod exchange;
mod headers;
mod name_map;
mod named_queue;
mod routes;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod topic;

pub use behaviour::{ExchangeBehaviour, standard_exchanges};
pub use copies::{BCC, CC, copy_keys};
pub use death_record::DeathRecord;
pub use error::RoutingError;
pub use exchange::RoutingExchange;
pub use headers::{HeaderMatch, InvalidMatch, NumberMatch};
pub use name_map::{NameHasher, NameMap};
pub use named_queue::NamedQueue;
pub use routes::QueueRoutes;
pub use table::RoutingTable;
pub use target::{BindingTarget, RoutedQueue};
pub use topic::PatternTrie;
