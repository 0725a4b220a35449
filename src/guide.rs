#![doc = include_str!("guide/links.md")]
#![doc = ""]
#![doc = include_str!("../docs/guide/README.md")]

// The definitions of `links.md` precede those at the end of each page, and the first definition of
// a label counts. The links of a page therefore lead to modules and items here, which rustdoc
// checks, and to files and docs.rs on GitHub and in the book. `tests/guide` compares both.
macro_rules! chapters {
    ($($name:ident = $file:literal;)*) => { $(
        #[doc = include_str!("guide/links.md")]
        #[doc = ""]
        #[doc = include_str!(concat!("../docs/guide/", $file))]
        pub mod $name {}
    )* };
}

chapters! {
    first_message = "first-message.md";
    queues_and_exchanges = "queues-and-exchanges.md";
    work_queues = "work-queues.md";
    order_batches_and_delays = "order-batches-and-delays.md";
    retries_and_dead_letters = "retries-and-dead-letters.md";
    calls = "calls.md";
    testing_without_a_broker = "testing-without-a-broker.md";
    queue_types_and_durability = "queue-types-and-durability.md";
    losing_the_broker = "losing-the-broker.md";
    metrics_and_tracing = "metrics-and-tracing.md";
    shutdown_and_deployment = "shutdown-and-deployment.md";
    production_checklist = "production-checklist.md";
    limits_and_defaults = "limits-and-defaults.md";
    coming_from_pika = "coming-from-pika.md";
    coming_from_kombu = "coming-from-kombu.md";
    coming_from_bunny = "coming-from-bunny.md";
    coming_from_lapin = "coming-from-lapin.md";
}

#[doc = include_str!("guide/links.md")]
#[doc = ""]
#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("guide/links.md")]
#[doc = ""]
#[doc = include_str!("../docs/sending.md")]
pub mod sending {}

#[doc = include_str!("guide/links.md")]
#[doc = ""]
#[doc = include_str!("../docs/queue-types.md")]
pub mod queue_types {}

#[doc = include_str!("../docs/codecs.md")]
pub mod codecs {}

#[doc = include_str!("guide/links.md")]
#[doc = ""]
#[doc = include_str!("../docs/layers.md")]
pub mod layers {}

#[doc = include_str!("guide/links.md")]
#[doc = ""]
#[doc = include_str!("../docs/command.md")]
pub mod command {}

#[doc = include_str!("../docs/observing.md")]
pub mod observing {}

// The test `testing_guide` proves that each block of this page is code of `examples/unit_test.rs`.
#[cfg_attr(not(doctest), doc = include_str!("../docs/testing.md"))]
#[cfg_attr(doctest, doc = "Tests of a service.")]
#[allow(rustdoc::invalid_rust_codeblocks, reason = "some blocks are the beginning of a function")]
#[allow(clippy::test_attr_in_doctest, reason = "the page shows tests")]
pub mod testing {}

// The page is about the feature `server`, and its code needs the feature.
#[cfg_attr(feature = "server", doc = include_str!("guide/links.md"))]
#[cfg_attr(feature = "server", doc = "")]
#[cfg_attr(feature = "server", doc = include_str!("../docs/testing-in-any-language.md"))]
#[cfg_attr(not(feature = "server"), doc = "Testing in any language, with the feature `server`.")]
pub mod testing_in_any_language {}

// The page is about the feature `zeromq`, and its code needs the feature.
#[cfg_attr(feature = "zeromq", doc = include_str!("guide/links.md"))]
#[cfg_attr(feature = "zeromq", doc = "")]
#[cfg_attr(feature = "zeromq", doc = include_str!("../docs/zeromq.md"))]
#[cfg_attr(not(feature = "zeromq"), doc = "A broker in your program, with the feature `zeromq`.")]
pub mod zeromq {}

#[cfg_attr(feature = "zeromq", doc = include_str!("guide/links.md"))]
#[cfg_attr(feature = "zeromq", doc = "")]
#[cfg_attr(feature = "zeromq", doc = include_str!("../docs/zeromq-protocol.md"))]
#[cfg_attr(not(feature = "zeromq"), doc = "A protocol, with the feature `zeromq`.")]
pub mod zeromq_protocol {}

// The page is about the feature `activemq`, and its code needs the feature.
#[cfg_attr(feature = "activemq", doc = include_str!("guide/links.md"))]
#[cfg_attr(feature = "activemq", doc = "")]
#[cfg_attr(feature = "activemq", doc = include_str!("../docs/activemq.md"))]
#[cfg_attr(not(feature = "activemq"), doc = "Apache ActiveMQ, with the feature `activemq`.")]
pub mod activemq {}

#[doc = include_str!("../docs/metrics-and-traces.md")]
pub mod metrics_and_traces {}

#[doc = include_str!("guide/links.md")]
#[doc = ""]
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
