//! Guides: pages that explain more than one type.
//!
//! | guide | content |
//! |---|---|
//! | [`guarantees`] | the promises, the cost of each failure, the deadline of each call |
//! | [`sending`] | many messages with their progress, delayed messages, the outbox |
//! | [`queue_types`] | classic queues, quorum queues and streams: which to choose, the promises of each |
//! | [`codecs`] | the formats of bodies, compression, untrusted bodies |
//! | [`layers`] | code around sending and handling: order, faults, the shipped layers, writing one |
//! | [`observing`] | the figures of a running program, and its readiness probe |
//! | [`testing`] | tests of a service on the memory broker: time, failures, a look inside |
//! | [`metrics_and_traces`] | metrics, trace context and spans: their names and attributes, exporters |
//! | [`interop`] | messages of clients in Python and Node.js |
//! | [`backends`] | a backend for another broker, step by step |
//! | [`performance`] | comparison with other clients, what limits each row, tuning |

#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("../docs/sending.md")]
pub mod sending {}

#[doc = include_str!("../docs/queue-types.md")]
pub mod queue_types {}

#[doc = include_str!("../docs/codecs.md")]
pub mod codecs {}

#[doc = include_str!("../docs/layers.md")]
pub mod layers {}
#[doc = include_str!("../docs/observing.md")]
pub mod observing {}

// The test `testing_guide` proves that each block of this page is code of `examples/unit_test.rs`.
#[cfg_attr(not(doctest), doc = include_str!("../docs/testing.md"))]
#[cfg_attr(doctest, doc = "Tests of a service.")]
#[allow(rustdoc::invalid_rust_codeblocks, reason = "some blocks are the beginning of a function")]
#[allow(clippy::test_attr_in_doctest, reason = "the page shows tests")]
pub mod testing {}

#[doc = include_str!("../docs/metrics-and-traces.md")]
pub mod metrics_and_traces {}

#[doc = include_str!("../docs/interop.md")]
pub mod interop {}

#[doc = include_str!("../docs/backend-guide.md")]
pub mod backends {}

// A first definition of the link `plot` takes the place of the file, which rustdoc does not copy:
// an empty image. The plot itself follows the page.
#[doc = "[plot]: data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="]
#[doc = ""]
#[doc = include_str!("../docs/performance.md")]
#[doc = ""]
#[doc = "## Plot"]
#[doc = ""]
#[doc = include_str!("../docs/performance.svg")]
pub mod performance {}
