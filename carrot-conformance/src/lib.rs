//! The cases that every backend of Carrot must pass.
//!
//! The contract between `carrot-core` and a driver is the prose of [`carrot::backend`](carrot_core::backend). This crate is the same contract as
//! behaviour: a list of [`Case`]s, each a function with a sentence for a name, written over the three traits of the contract and nothing
//! else. A backend that passes them can be put in the place of any other. RabbitMQ is the judge of what they expect.
//!
//! # Trying a backend
//!
//! Say how to reach it, by a [`Harness`], and let [`conformance_tests!`] make a `#[test]` of every case:
//!
//! ```
//! use std::sync::Arc;
//! use std::thread;
//! use std::time::Duration;
//!
//! use carrot_conformance::{Feature, Features, Harness};
//! use carrot::backend::Connector;
//! # mod mybroker {
//! #     use std::time::Duration;
//! #     use carrot::{Error, Result};
//! #     use carrot::backend::{Backend, Capabilities, ChannelOptions, Clock, Connector, Event, Role, Status};
//! #     #[derive(Debug)]
//! #     pub struct MyConnector;
//! #     impl MyConnector { pub fn new(_address: &str) -> MyConnector { MyConnector } }
//! #     impl Connector for MyConnector {
//! #         fn open(&self, _: &ChannelOptions, _: Duration) -> Result<std::sync::Arc<dyn Backend>> { Err(Error::closed("connector")) }
//! #         fn close(&self, _: Duration) -> Result<()> { Ok(()) }
//! #         fn connect(&self, _: Role, _: Duration) -> Result<()> { Err(Error::closed("connector")) }
//! #         fn endpoint(&self) -> String { String::new() }
//! #         fn status(&self, _: Role) -> Status { Status::default() }
//! #         fn capabilities(&self) -> Capabilities { Capabilities::default() }
//! #         fn clock(&self) -> Clock { Clock::real() }
//! #         fn observe(&self, _: std::sync::Arc<dyn Fn(&Event) + Send + Sync>) {}
//! #     }
//! # }
//!
//! struct MyHarness;
//!
//! impl Harness for MyHarness {
//!     fn name(&self) -> &str {
//!         "mybroker"
//!     }
//!
//!     fn features(&self) -> Features {
//!         Features::none().with(Feature::TopicExchange).with(Feature::Returns)
//!     }
//!
//!     fn connect(&self) -> Arc<dyn Connector> {
//!         Arc::new(mybroker::MyConnector::new("localhost:7007"))
//!     }
//!
//!     fn pass(&self, duration: Duration) {
//!         thread::sleep(duration);
//!     }
//! }
//!
//! carrot_conformance::conformance_tests!(MyHarness, Basics, Settlement);
//! # fn main() {}
//! ```
//!
//! `cargo test` then shows `basics::a_requeued_message_comes_back_redelivered ... ok` and so on. Start with [`Tier::Basics`], and name
//! further tiers as the backend grows; with no tier named, all are tried.
//!
//! A case that needs a [`Feature`] which the harness does not list is not tried. It is reported by name on standard error, even where the
//! test runner captures output, and counted in the test `unsupported_cases_are_told`: never silently passed.
//!
//! # Comparing backends
//!
//! [`matrix`] tries every case on several harnesses and gives a table to print:
//!
//! ```no_run
//! # use carrot_conformance::{Harness, Tier, matrix};
//! # fn compare(memory: &dyn Harness, amqp: &dyn Harness) {
//! let matrix = matrix(&[memory, amqp], &Tier::ALL);
//! println!("{matrix}");
//! assert!(matrix.passed());
//! # }
//! ```
//!
//! # Tiers
//!
//! | tier | what a backend needs for it |
//! |---|---|
//! | [`Basics`](Tier::Basics) | queues, the default exchange, confirms, get, consume, single settlements, close |
//! | [`Settlement`](Tier::Settlement) | delivery tags, order after a requeue, prefetch, several consumers, dead channels |
//! | [`Routing`](Tier::Routing) | exchanges, bindings, returns, the life of queues and exchanges |
//! | [`Limits`](Tier::Limits) | time-to-live, length limits, priorities, dead letters, large messages, refused arguments |
//! | [`Failure`](Tier::Failure) | a harness that can cut connections, block and restart the broker |
//!
//! # What a case may rely on
//!
//! - Names are unique in every run, so cases run at the same time, against a broker that others use as well.
//! - What a case declares, it deletes in the end, also when it fails.
//! - It asserts on the kind of an error, never on its text.
//! - It waits for what has to happen, ten seconds at most. What must not happen is watched for a tenth of a second.
//! - Time-to-live cases take real time, unless [`Harness::pass`] turns a clock.

mod case;
mod cases;
mod features;
mod harness;
mod list;
mod macros;
mod matrix;
mod support;

pub use case::{Case, Tier, cases, run_as_test, tell_unsupported};
pub use features::{Feature, Features};
pub use harness::{Breakable, Harness};
pub use matrix::{Matrix, Verdict, matrix};

pub(crate) use list::__registry;
