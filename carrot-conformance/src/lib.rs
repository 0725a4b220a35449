//! The conformance cases that every backend of Carrot has to pass.
//!
//! [`carrot::backend`](carrot_core::backend) specifies the contract between `carrot-core` and a
//! backend. This crate tests the contract with a list of [`Case`]s. Each case is a function over
//! the three traits of the contract, and its name is a sentence. A backend that passes all cases
//! can replace any other. The cases expect the behaviour of RabbitMQ.
//!
//! # Testing a backend
//!
//! Implement a [`Harness`], which connects to the backend. [`conformance_tests!`] generates a
//! `#[test]` for every case:
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
//! #     use carrot::backend::{
//! #         Backend, Capabilities, ChannelOptions, Clock, Connector, Event, Role, Status,
//! #     };
//! #     #[derive(Debug)]
//! #     pub struct MyConnector;
//! #     impl MyConnector { pub fn new(_address: &str) -> MyConnector { MyConnector } }
//! #     impl Connector for MyConnector {
//! #         fn open(
//! #             &self,
//! #             _: &ChannelOptions,
//! #             _: Duration,
//! #         ) -> Result<std::sync::Arc<dyn Backend>> {
//! #             Err(Error::closed("connector"))
//! #         }
//! #         fn close(&self, _: Duration) -> Result<()> { Ok(()) }
//! #         fn connect(&self, _: Role, _: Duration) -> Result<()> {
//! #             Err(Error::closed("connector"))
//! #         }
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
//! `cargo test` then prints a line for each case, such as
//! `basics::a_requeued_message_comes_back_redelivered ... ok`. Start with [`Tier::Basics`], and add
//! tiers as the backend grows. Without a tier, the macro generates the tests of all tiers.
//!
//! A case does not run if the harness lacks a [`Feature`] that the case needs. The kit writes the
//! name of the case to standard error, even if the test runner captures output. The test runner
//! counts such a case as passed. The last test, `unsupported_cases_are_reported`, therefore writes
//! the numbers of passed, failed and unsupported cases.
//!
//! # Comparing backends
//!
//! [`matrix`] runs every case on several harnesses, and returns a table to print:
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
//! | tier | the capabilities that a backend needs |
//! |---|---|
//! | [`Basics`](Tier::Basics) | queues, the default exchange, confirms, get, consume, single settlements, close |
//! | [`Settlement`](Tier::Settlement) | delivery tags, order after a requeue, prefetch, several consumers, failed channels, properties of queues and conditions of their deletion |
//! | [`Routing`](Tier::Routing) | exchanges, bindings, returns, the life of queues and exchanges |
//! | [`Limits`](Tier::Limits) | time-to-live, length limits, priorities, dead letters, large messages, refused arguments |
//! | [`Failure`](Tier::Failure) | a harness that can cut connections, block and restart the broker |
//!
//! # Releases of RabbitMQ
//!
//! Some answers of RabbitMQ depend on its release. [`Harness::release`] says which answers are
//! expected. Defaults to those of the newest known release, which is 4.3.
//!
//! # Rules of the cases
//!
//! - Names are unique in every run. Cases can therefore run at the same time, on a broker that
//!   other programs use.
//! - A case deletes its queues and exchanges at the end, also when it fails.
//! - A case asserts on the kind of an error, never on its text.
//! - A case waits for an expected event for at most ten seconds. It watches for an unexpected event
//!   for a tenth of a second.
//! - Time-to-live cases take real time, unless [`Harness::pass`] advances a clock.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod case;
mod case_bodies;
mod features;
mod harness;
mod list;
mod macros;
mod matrix;
mod release;
mod release_answers;
mod runner;
mod support;

pub use case::{Case, Tier};
pub use features::{Feature, Features};
pub use harness::{Breakable, Harness};
pub use matrix::{Matrix, Verdict, matrix};
pub use release::Release;
#[doc(hidden)]
pub use runner::Tally;
pub use runner::{cases, report_unsupported, run_as_test};

pub(crate) use list::__registry;
