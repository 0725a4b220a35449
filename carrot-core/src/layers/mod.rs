//! Layers that Carrot ships, built on the two traits alone.

pub(crate) mod deduplicate;
#[cfg(any(feature = "metrics", feature = "tracing", feature = "opentelemetry"))]
mod destination;
#[cfg(any(feature = "metrics", feature = "tracing", feature = "opentelemetry"))]
mod error_type;
pub(crate) mod id_store;
pub(crate) mod log_messages;
pub(crate) mod memory_ids;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
#[cfg(feature = "opentelemetry")]
pub(crate) mod open_telemetry;
mod quoted;
pub(crate) mod rate_limit;
pub(crate) mod slow_handlers;
#[cfg(feature = "tracing")]
pub(crate) mod spans;
pub(crate) mod trace_context;
pub(crate) mod trace_parent;
mod trace_state;
