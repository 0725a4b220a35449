//! The layers that observe: metrics, trace context, and spans.

mod metrics;
mod open_telemetry;
mod recorder;
mod report;
mod spans;
mod trace_context;
